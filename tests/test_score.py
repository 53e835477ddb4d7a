import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import MAX_STEPS, Draft, Score, on_keyboard, quantise, quantise_all, sort_rows
from tests.strategies import GRIDS, metres, quantised, scores, tempos


def plainly_quantised(score: Score, steps_per_quarter: int) -> tuple[list[tuple[int, int, int]], int]:
    """Notes and length in steps, one note after another, in whole numbers."""

    def step(tick: int) -> int:
        whole, rest = divmod(tick * steps_per_quarter, score.ticks_per_quarter)
        return whole + (2 * rest >= score.ticks_per_quarter)

    longest: dict[tuple[int, int], int] = {}
    for start, end, pitch in score.notes.tolist():
        if 21 <= pitch <= 108:
            place = pitch, step(start)
            longest[place] = max(longest.get(place, 0), step(end), step(start) + 1)
    notes = []
    for pitch, start in longest:
        later = [other for key, other in longest if key == pitch and other > start]
        notes.append((start, min([longest[pitch, start], *later]), pitch))
    return sorted(notes, key=lambda note: (note[0], note[2])), max([step(score.length), *(end for _, end, _ in notes)])


@given(scores(), st.sampled_from(GRIDS))
def test_quantise_is_what_a_plain_loop_over_notes_does(score, grid):
    notes, length = plainly_quantised(score, grid)
    assert quantise(score, grid) == Score(notes, grid, length, score.tempo, score.time_signature)


@given(st.lists(scores(), max_size=5), st.sampled_from(GRIDS), st.sampled_from([10, MAX_STEPS]))
def test_scores_are_quantised_together_as_each_of_them_alone(some, grid, most):
    for score, together in zip(some, quantise_all(some, grid, most), strict=True):
        if isinstance(together, MusicgenError):
            with pytest.raises(MusicgenError, match=re.escape(str(together))):
                quantise(score, grid, most)
        else:
            assert together == quantise(score, grid, most)


@given(scores(), st.sampled_from(GRIDS), st.randoms(use_true_random=False))
def test_a_draft_is_quantised_as_its_score_whatever_the_order_of_its_notes(score, grid, dice):
    notes = score.notes[dice.sample(range(len(score.notes)), len(score.notes))]
    draft = Draft(notes, score.ticks_per_quarter, score.length, score.tempo, score.time_signature)
    assert quantise_all([draft], grid) == [quantise(score, grid)]


@given(scores(), st.sampled_from(GRIDS), st.integers(1, 6))
def test_a_finer_grid_is_another_grid_on_which_no_more_is_refused(score, grid, finer):
    assert quantise_all([score], grid, finer=finer) == [quantise(score, grid * finer, MAX_STEPS * finer)]


@given(st.lists(st.tuples(*[st.integers(0, 3) | st.integers(0, 1 << 62)] * 3)) | st.lists(st.tuples(st.integers(0, 9))))
def test_rows_are_sorted_whether_or_not_they_fit_into_one_number(rows):
    columns = sort_rows(*np.array(rows, np.int64).reshape(len(rows), -1 if rows else 3).T)
    assert list(zip(*(column.tolist() for column in columns))) == sorted(rows)


@given(quantised())
def test_what_is_quantised_stays_as_it_is(score):
    assert quantise(score, score.ticks_per_quarter) == score


@given(scores(), st.sampled_from(GRIDS))
def test_a_quantised_score_has_one_note_at_a_time_on_each_of_88_keys(score, grid):
    notes = quantise(score, grid).notes
    assert on_keyboard(quantise(score, grid)).all()
    assert (notes[:, 1] > notes[:, 0]).all()
    for pitch in np.unique(notes[:, 2]):
        own = notes[notes[:, 2] == pitch]
        assert (own[1:, 0] >= own[:-1, 1]).all()


@given(tempos, metres)
def test_quantising_keeps_tempo_and_time_signature(tempo, metre):
    score = quantise(Score([[0, 480, 60]], 480, 480, tempo, metre), 4)
    assert (score.tempo, score.time_signature) == (tempo, metre)


# At 480 ticks per quarter note and 4 steps, a step is 120 ticks.
SNAPPED = {
    "to the nearest step": ([[59, 179, 60]], [[0, 1, 60]]),
    "half a step goes up": ([[60, 300, 60]], [[1, 3, 60]]),
    "a note lasts at least a step": ([[120, 130, 60]], [[1, 2, 60]]),
    "a note of no length lasts a step": ([[120, 120, 60]], [[1, 2, 60]]),
    "a new strike cuts the old note": ([[0, 480, 60], [240, 360, 60]], [[0, 2, 60], [2, 3, 60]]),
    "a strike on another key cuts nothing": ([[0, 480, 60], [240, 360, 61]], [[0, 4, 60], [2, 3, 61]]),
    "of equal starts the longest stays": ([[0, 120, 60], [0, 360, 60], [0, 240, 60]], [[0, 3, 60]]),
    "starts that become equal are equal": ([[0, 480, 60], [50, 240, 60]], [[0, 4, 60]]),
    "notes off the keyboard are dropped": ([[0, 120, 20], [0, 120, 21], [0, 120, 108], [0, 120, 109]],
                                           [[0, 1, 21], [0, 1, 108]]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), SNAPPED.values(), ids=SNAPPED)
def test_quantise_snaps(before, after):
    assert quantise(Score(before, 480), 4).notes.tolist() == after


def test_the_rest_after_the_last_note_is_kept_and_rounded_like_a_note():
    score = Score([[0, 120, 60]], 480, length=480 + 60)
    assert quantise(score, 4).length == 5


def test_silence_keeps_its_length():
    silence = quantise(Score(np.zeros((0, 3)), 480, 960), 4)
    assert (silence.notes.shape, silence.length) == ((0, 3), 8)


@pytest.mark.parametrize("ticks", [10**12, 1 << 62])
def test_a_note_that_never_ends_is_refused_before_anything_is_allocated(ticks):
    score = Score([[0, ticks, 60]], 480)
    tracemalloc.start()
    with pytest.raises(MusicgenError, match=r"--max-steps \d+` takes it"):
        quantise(score, 4)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_silence_that_never_ends_is_refused_too():
    with pytest.raises(MusicgenError, match="more than 131072"):
        quantise(Score([], 480, length=10**30), 4)


def test_the_cap_is_the_last_length_that_is_let_in():
    longest = Score([[0, 120, 60]], 480, length=MAX_STEPS * 120)
    assert quantise(longest, 4).length == MAX_STEPS
    with pytest.raises(MusicgenError, match=f"lasts {MAX_STEPS + 1} steps"):
        quantise(Score([], 480, length=(MAX_STEPS + 1) * 120), 4)
    assert quantise(Score([], 480, length=(MAX_STEPS + 1) * 120), 4, MAX_STEPS + 1).length == MAX_STEPS + 1


def test_the_same_notes_in_another_order_are_the_same_score():
    notes = [[0, 4, 60], [0, 2, 64], [0, 2, 60], [4, 8, 59]]
    assert Score(notes, 4) == Score(notes[::-1], 4)
    assert Score(notes, 4).notes.tolist() == [[0, 2, 60], [0, 4, 60], [0, 2, 64], [4, 8, 59]]


@pytest.mark.parametrize(
    "other",
    [
        Score([[0, 4, 61]], 4, 8, 90.0, (3, 4)),
        Score([[0, 4, 60]], 8, 8, 90.0, (3, 4)),
        Score([[0, 4, 60]], 4, 9, 90.0, (3, 4)),
        Score([[0, 4, 60]], 4, 8, 91.0, (3, 4)),
        Score([[0, 4, 60]], 4, 8, 90.0, (4, 4)),
        Score([], 4, 8, 90.0, (3, 4)),
        "music",
    ],
)
def test_scores_differ_in_any_of_notes_grid_length_tempo_and_metre(other):
    assert Score([[0, 4, 60]], 4, 8, 90.0, (3, 4)) != other


def test_a_score_is_as_long_as_its_last_note_at_least():
    assert Score([[0, 4, 60], [1, 9, 62]], 4, length=5).length == 9


# --- DESIGN 8.9: what the reference got wrong ---


def test_pitches_below_a0_and_above_c8_are_dropped_and_do_not_wrap():  # DESIGN 8.9
    everything = Score([[0, 4, pitch] for pitch in range(128)], 4)
    assert on_keyboard(everything).nonzero()[0].tolist() == list(range(21, 109))
    assert quantise(everything, 4).notes[:, 2].tolist() == list(range(21, 109))


def test_quantising_does_not_lose_the_tail_of_the_last_note():  # DESIGN 8.9
    score = Score([[0, 120, 60], [120, 1080, 67]], 480)
    assert quantise(score, 4).notes[-1].tolist() == [1, 9, 67]
    assert quantise(score, 4).length == 9
