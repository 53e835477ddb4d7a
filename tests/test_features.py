import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import features
from musicgen_cli.features import describe
from musicgen_cli.roll import decode, sounding, struck
from musicgen_cli.score import KEYS
from tests.strategies import drawn, rolls

BEAT, BAR = 2, 4
MAJOR, MINOR = {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 10}
TUNE = drawn("G4 #-#-|#-#-|..#-\nE4 #---|#---|....\nC4 #---|#-#-|#---\nC3 ....|....|#---")


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def over(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def bits(values) -> float:
    counts = Counter(values)
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if counts else math.nan


def plain(roll) -> dict[str, float]:
    """The features that fit a line or two of plain Python."""
    notes = decode(roll, 1).notes.tolist()
    pitches = [pitch for _, _, pitch in notes]
    sets = [{start_key for start_key in range(KEYS) if row[start_key]} for row in sounding(roll)]
    strikes = [frozenset(np.flatnonzero(row).tolist()) for row in struck(roll)]
    hits = [t for t, chord in enumerate(strikes) if chord]
    loud = [chord for chord in sets if chord]
    scales = [{(c + root) % 12 for c in mode} for mode in (MAJOR, MINOR) for root in range(12)]
    words = [strikes[t] for t in hits]
    grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    beats = [sets[t : t + BEAT] for t in range(0, len(sets) - BEAT + 1, BEAT)]
    bars = [tuple(bool(c) for c in strikes[t : t + BAR]) for t in range(0, len(sets) - BAR + 1, BAR)]
    differ = sum(a != b for one, two in pairwise(bars) for a, b in zip(one, two))
    clash = [any((a - b) % 12 == 1 for a in chord for b in chord) for chord in sets if len(chord) > 1]
    return {
        "polyphony": over(sum(map(len, sets)), len(loud)),
        "polyphony_rate": over(sum(len(chord) > 1 for chord in sets), len(sets)),
        "pitch_range": max(pitches) - min(pitches) if pitches else math.nan,
        "n_pitches_used": len(set(pitches)),
        "n_pitch_classes_used": len({pitch % 12 for pitch in pitches}),
        "mean_pitch": over(sum(pitches), len(pitches)),
        "pitch_entropy": bits(pitches),
        "pitch_class_entropy": bits(pitch % 12 for pitch in pitches),
        "scale_consistency": over(max(sum(p % 12 in scale for p in pitches) for scale in scales), len(pitches)),
        "semitone_rate": over(sum(clash), len(clash)),
        "distinct_ngrams": over(len(set(grams)), len(grams)),
        "note_length": over(sum(end - start for start, end, _ in notes), BEAT * len(notes)),
        "inter_onset_interval": over(sum(b - a for a, b in pairwise(hits)), BEAT * (len(hits) - 1)),
        "empty_beat_rate": over(sum(not any(beat) for beat in beats), len(beats)),
        "groove_consistency": 1 - over(differ, BAR * (len(bars) - 1)) if len(bars) > 1 else math.nan,
    }  # fmt: skip


@settings(deadline=None)
@given(st.one_of(rolls(), rolls(bits=1)))
def test_features_are_those_of_plain_python(roll):
    if not struck(roll).any():
        return
    found = describe(roll, BEAT, BAR)
    expected = plain(roll)
    assert {name: (found[name], value) for name, value in expected.items() if not same(found[name], value)} == {}


def test_features_of_a_tune_by_hand():
    found = describe(TUNE, BEAT, BAR)
    assert found["density"] == 34 / TUNE.size
    assert found["polyphony"] == pytest.approx(34 / 12)
    assert found["n_pitch_classes_used"] == 3
    assert found["pitch_range"] == 19
    assert found["scale_consistency"] == 1
    assert found["empty_beat_rate"] == 0
    assert found["groove_consistency"] == 1  # every bar strikes on its two beats
    assert found["self_repeat_rate"] == 0


def test_silence_is_undefined_where_it_is_nothing_over_nothing():
    found = describe(np.zeros((16, KEYS, 2), bool), BEAT, BAR)
    defined = {name: value for name, value in found.items() if not math.isnan(value)}
    assert defined == {
        "density": 0, "polyphony_rate": 0, "n_pitches_used": 0, "n_pitch_classes_used": 0, "longest_hold": 0,
        "empty_beat_rate": 1, "groove_consistency": 1,
    }  # fmt: skip


def test_no_steps_have_no_features_but_counts():
    found = describe(np.zeros((0, KEYS), bool), BEAT, BAR)
    assert {value for value in found.values() if not math.isnan(value)} == {0.0}


@settings(deadline=None)
@given(rolls(), st.integers(1, 11))
def test_what_is_transposed_keeps_all_but_its_register(roll, shift):
    roll[:, KEYS - shift :] = False
    one, other = describe(roll, BEAT, BAR), describe(np.roll(roll, shift, 1), BEAT, BAR)
    changed = {name for name in one if not same(one[name], other[name])}
    assert changed <= {"mean_pitch"}
    if "mean_pitch" in changed:
        assert other["mean_pitch"] == pytest.approx(one["mean_pitch"] + shift)


@pytest.mark.parametrize("period", [1, 3, 4, 5])
def test_a_loop_explains_every_strike_at_its_period(period):
    chords = np.zeros((period, KEYS), bool)
    chords[np.arange(period), 40 + 3 * np.arange(period)] = True
    loop = np.stack([np.tile(chords, (4, 1)), np.zeros((4 * period, KEYS), bool)], 2)
    assert features.loop_rate(loop) == 1


def test_one_repeat_is_no_loop():
    tune = drawn("C5 #...#...\nA4 .#.#....\nF4 ..#....#\nD4 .....##.")
    assert features.loop_rate(np.concatenate([tune, tune])) < 0.5


def test_a_chord_that_is_struck_again_is_held_as_long():
    assert features.longest_hold(drawn("E4 #-#-#...\nC4 #-#-#---"), 1) == 5
    assert features.longest_hold(drawn("E4 ....\nC4 ...."), 1) == 0


def test_bars_repeat_note_for_note():
    assert features.self_repeat_rate(drawn("C4 #-#-|#-#-|....|#-##|#-#-"), 4) == pytest.approx(2 / 3)


def test_leaps_at_bar_lines_are_told_from_those_inside():
    roll = drawn("C5 ....|#---|....\nD4 ..#-|....|..#-\nC4 ##..|....|##..")
    assert features.leap(roll, 4) == 2
    assert features.bar_line_leap(roll, 4) == pytest.approx((10 + 12) / 2)
