import numpy as np
import pytest

from musicgen_cli.pictures import ascii_roll, block_roll, pitch_name
from tests.strategies import drawn

TUNE = """\
 C5 ......|.#
 B4 ....#-|#.
A#4 ......|..
 A4 ......|..
G#4 ......|..
 G4 ##--..|--"""


def test_a_roll_is_drawn_with_high_keys_on_top():
    assert ascii_roll(drawn(TUNE), steps_per_bar=6) == [
        " C5 ......|.#",
        " B4 ....#-|#.",
        "A#4 ......|..",
        " A4 ......|..",
        "G#4 ......|..",
        " G4 ##--..|#-",  # nothing sounded before: it is a start
    ]


def test_without_bars_a_line_is_unbroken():
    assert ascii_roll(drawn("C4 #---####")) == [" C4 #---####"]


def test_a_roll_of_sounding_keys_starts_where_silence_ends():
    assert ascii_roll(drawn("C4 #-##..#-").any(2)) == [" C4 #---..#-"]


def test_half_blocks_draw_two_keys_in_a_line():
    assert block_roll(drawn(TUNE), steps_per_bar=6) == [
        " B4     ▄▄|▄▀",
        " A4       |  ",
        " G4 ▄▄▄▄  |▄▄",
    ]


@pytest.mark.parametrize("key", [0, 1, 2, 86, 87])
def test_half_blocks_draw_every_key_to_both_ends_of_the_piano(key):
    roll = np.zeros((2, 88), bool)
    roll[0, key] = True
    (line,) = block_roll(roll)
    assert line == f"{pitch_name(21 + key - key % 2):>3} {'▄▀'[key % 2]} "


def test_both_halves_of_a_block_can_sound():
    assert block_roll(drawn("A#0 ##..\nA0 #.#.")) == [" A0 █▀▄ "]


@pytest.mark.parametrize("draw", [ascii_roll, block_roll])
@pytest.mark.parametrize("roll", [np.zeros((4, 88, 2), bool), np.zeros((4, 88), bool), np.zeros((0, 88, 2), bool)])
def test_silence_is_said_not_drawn(draw, roll):
    assert draw(roll) == ["(silence)"]


@pytest.mark.parametrize(("pitch", "name"), [(21, "A0"), (60, "C4"), (61, "C#4"), (69, "A4"), (71, "B4"), (108, "C8")])
def test_middle_c_is_c4(pitch, name):
    assert pitch_name(pitch) == name
