from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import roll
from musicgen_cli.score import Score, quantise
from tests.strategies import drawn, quantised, rolls, sounds

# Two voices: a held note under a repeated one, a rest at the end.
TUNE = Score([[0, 4, 60], [0, 1, 64], [1, 2, 64], [2, 5, 67]], 4, 8)
PICTURE = """
    G4 ..#--...
    E4 ##......
    C4 #---....
"""


def test_a_tune_is_drawn_as_a_reviewer_would_draw_it():
    assert np.array_equal(roll.encode(TUNE), drawn(PICTURE))


def test_a_drawing_is_read_as_a_musician_would_read_it():
    assert roll.decode(drawn(PICTURE), 4) == TUNE


# What model output may hold, and what it is read as.
READINGS = {
    "a continue with nothing to continue is a start": ("C4 .--.", [[1, 3, 60]]),
    "a continue at the first step is a start": ("C4 --..", [[0, 2, 60]]),
    "a continue after another key is a start": ("C4 #-..\nD4 ..--", [[0, 2, 60], [2, 4, 62]]),
    "a start after a note is a new note": ("C4 #-#-", [[0, 2, 60], [2, 4, 60]]),
    "starts side by side are notes side by side": ("C4 ####", [[0, 1, 60], [1, 2, 60], [2, 3, 60], [3, 4, 60]]),
    "a note may last to the end": ("C4 ..#-", [[2, 4, 60]]),
}


@pytest.mark.parametrize(("picture", "notes"), READINGS.values(), ids=READINGS)
def test_any_bits_have_one_reading(picture, notes):
    assert roll.decode(drawn(picture), 4) == Score(notes, 4, 4)


def test_start_wins_over_continue_where_both_bits_are_set():
    both = drawn("C4 #-#-")
    both[2, 39] = True, True
    assert roll.decode(both, 4).notes.tolist() == [[0, 2, 60], [2, 4, 60]]


def test_one_bit_rolls_join_what_repeats_and_keep_what_sounds():
    one = roll.encode(TUNE, bits=1)
    assert one.shape == (8, 88)
    assert roll.decode(one, 4) == Score([[0, 4, 60], [0, 2, 64], [2, 5, 67]], 4, 8)


@given(quantised())
def test_decode_undoes_encode(score):
    assert roll.decode(roll.encode(score), score.ticks_per_quarter, score.tempo, score.time_signature) == score


def test_crowded_music_is_drawn_note_for_note():
    dice = np.random.default_rng(7)
    cuts = [np.unique(np.append(dice.integers(0, 700, 5), [0, 700])) for _ in range(88)]
    notes = [(a, b, 21 + key) for key, at in enumerate(cuts) for a, b in pairwise(at.tolist()) if dice.random() < 0.8]
    bits = roll.encode(Score(notes, 4, 700))
    wanted = np.zeros((700, 88, 2), bool)
    for start, end, pitch in notes:
        wanted[start, pitch - 21, 0] = True
        wanted[start + 1 : end, pitch - 21, 1] = True
    assert wanted.sum(dtype=int) > roll.SPARSE * 700
    assert np.array_equal(bits, wanted)


@given(rolls(), st.sampled_from([1, 4, 7, 12]))
def test_any_bits_decode_to_a_score_that_is_on_the_grid(bits, grid):
    score = roll.decode(bits, grid)
    assert quantise(score, grid) == score
    assert score.length == len(bits)


@given(rolls())
def test_any_bits_sound_the_same_after_they_were_read(bits):
    again = roll.encode(roll.decode(bits, 4))
    assert sounds(again.any(2)) == sounds(bits.any(2))
    assert (again[:, :, 0] >= bits[:, :, 0]).all()  # every start is still one
    assert not again.all(2).any()  # and no key both starts and continues


@given(rolls())
def test_bits_are_read_once_and_for_all(bits):
    score = roll.decode(bits, 4)
    assert roll.decode(roll.encode(score), 4) == score


@given(rolls(bits=1))
def test_one_bit_rolls_are_what_they_sound(bits):
    score = roll.decode(bits, 4)
    assert quantise(score, 4) == score
    assert np.array_equal(roll.encode(score, bits=1), bits)


@given(quantised())
def test_one_bit_is_the_two_bits_without_their_difference(score):
    assert np.array_equal(roll.encode(score, bits=1), roll.encode(score).any(2))


@given(rolls())
def test_a_packed_roll_unpacks_to_itself(bits):
    packed = roll.pack(bits)
    assert (packed.dtype, packed.shape) == (np.uint8, (len(bits), 22))
    assert np.array_equal(roll.unpack(packed), bits)


def test_packed_bits_lie_as_numpy_packs_176_bits():
    bits = drawn("A0 #-\nC8 .#")
    assert roll.pack(bits).tolist() == [[0b10000000, *[0] * 21], [0b01000000, *[0] * 20, 0b00000010]]


def test_windows_of_packed_rolls_unpack_at_once():
    bits = drawn("C4 #-#-##")
    windows = np.stack([roll.pack(bits)[:3], roll.pack(bits)[3:]])
    assert np.array_equal(roll.unpack(windows), bits.reshape(2, 3, 88, 2))


def test_struck_and_sounding_say_where_notes_begin_and_are():
    bits = drawn("C4 #--.#-#.")
    assert roll.struck(bits)[:, 39].tolist() == [1, 0, 0, 0, 1, 0, 1, 0]
    assert roll.sounding(bits)[:, 39].tolist() == [1, 1, 1, 0, 1, 1, 1, 0]
    assert roll.struck(roll.sounding(bits))[:, 39].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]


def test_reading_leaves_the_roll_as_it_was():
    bits = drawn(PICTURE)
    bits.flags.writeable = False  # as one that is memory-mapped
    assert roll.decode(bits, 4) == TUNE


# --- DESIGN 8.3 and 8.9: what the reference got wrong ---


@pytest.mark.parametrize("pitch", [21, 60, 107, 108])
def test_held_notes_stay_on_their_key(pitch):  # DESIGN 8.3
    bits = roll.encode(Score([[0, 4, pitch]], 4))
    assert sounds(bits.any(2)) == {(step, pitch - 21) for step in range(4)}
    assert bits[:, pitch - 21].tolist() == [[True, False], [False, True], [False, True], [False, True]]


def test_the_last_note_keeps_its_tail():  # DESIGN 8.9
    assert roll.encode(Score([[0, 2, 60], [2, 16, 67]], 4))[15, 46].tolist() == [False, True]
    assert roll.decode(drawn("G4 ..#---"), 4).notes.tolist() == [[2, 6, 67]]


def test_pitches_off_the_keyboard_leave_the_top_and_bottom_keys_alone():  # DESIGN 8.9
    beyond = Score([[0, 4, pitch] for pitch in [0, 9, 20, 109, 118, 127]], 4)
    assert not roll.encode(quantise(beyond, 4)).any()


def test_tempo_and_time_signature_pass_through_a_roll():  # DESIGN 8.9
    score = roll.decode(drawn(PICTURE), 4, 72.5, (3, 8))
    assert (score.tempo, score.time_signature) == (72.5, (3, 8))
