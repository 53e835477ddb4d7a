import sys

import numpy as np
import pytest
from hypothesis import given

from musicgen_cli import midi
from musicgen_cli.cli import run
from musicgen_cli.pictures import ascii_roll, block_roll, braille_roll, pitch_name
from tests.strategies import drawn, rolls
from tests.tunes import tune

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


def test_braille_draws_two_steps_and_four_keys_in_a_cell():
    assert braille_roll(drawn("G4 #.#.\nF4 .##."), 2) == [" F4 ⢂|⡂"]
    assert braille_roll(drawn(TUNE)) == [" A4 ⠀⠀⠒⠊", " F4 ⠒⠒⠀⠒"]


@given(rolls())
def test_every_dot_of_braille_is_a_key_that_sounds(roll):
    lines = braille_roll(roll)
    bits = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}  # as in Unicode
    found = set()
    names = {pitch_name(21 + key): key for key in range(88)}
    for line in lines if lines != ["(silence)"] else []:
        lowest = names[line[:3].strip()]
        for i, cell in enumerate(line[4:]):
            dots = ord(cell) - 0x2800
            found |= {(2 * i + bits[b][0], lowest + 3 - bits[b][1]) for b in range(8) if dots >> b & 1}
    assert found == {(int(step), int(key)) for step, key in np.argwhere(roll.any(2))}


@pytest.mark.parametrize(("bar", "text"), [(4, "⠉⠉|⠉⠉"), (3, "⠉⠉⠉⠉"), (2, "⠉|⠉|⠉|⠉")])
def test_braille_has_the_bar_lines_that_fall_between_cells(bar, text):
    assert braille_roll(drawn("C4 ########"), bar)[0][4:] == text


@pytest.mark.parametrize("draw", [ascii_roll, block_roll, braille_roll])
@pytest.mark.parametrize("roll", [np.zeros((4, 88, 2), bool), np.zeros((4, 88), bool), np.zeros((0, 88, 2), bool)])
def test_silence_is_said_not_drawn(draw, roll):
    assert draw(roll) == ["(silence)"]


@pytest.mark.parametrize(("pitch", "name"), [(21, "A0"), (60, "C4"), (61, "C#4"), (69, "A4"), (71, "B4"), (108, "C8")])
def test_middle_c_is_c4(pitch, name):
    assert pitch_name(pitch) == name


@pytest.mark.parametrize(
    ("terminal", "options", "sign"),
    [
        (True, [], "█▄▀"),
        (True, ["--steps", "64"], "█▄▀"),
        (True, ["--steps", "160"], "⠤⣀⠒⠉"),  # what is too wide for blocks
        (False, ["--steps", "160"], "█▄▀"),
        (False, ["--braille"], "⠤⣀⠒⠉"),
        (False, ["--ascii"], "#-"),
    ],
)
def test_show_draws_as_the_terminal_can(tmp_path, monkeypatch, capsys, terminal, options, sign):
    (tmp_path / "song.mid").write_bytes(midi.write(tune(1, bars=12)))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert run(["show", str(tmp_path / "song.mid"), *options]) == 0
    lines = capsys.readouterr().out.split("steps 1 to ")[1].splitlines()[1:]
    drawn = set("".join(line[4:] for line in lines))
    assert drawn & set(sign)
    assert not drawn & (set("█▄▀⠤⣀⠒⠉#-") - set(sign))
    assert not terminal or max(map(len, lines)) <= 100


def test_two_ways_to_draw_are_one_too_many(tmp_path, capsys):
    assert run(["show", "song.mid", "--ascii", "--braille"]) == 2
    assert "draw in two ways" in capsys.readouterr().err
