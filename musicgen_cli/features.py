"""What one piece of music is like: numbers that MusPy and others measure, each with its source.

All read a roll, bool (T, 88, 2) or (T, 88); beat and bar are in steps. What comes to 0/0 is undefined: nan. "MusPy" is
Dong, Chen, McAuley and Berg-Kirkpatrick, "MusPy: a toolkit for symbolic music generation" (ISMIR 2020); where it has a
metric, its name is kept.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.harmony import highest
from musicgen_cli.roll import decode, sounding, struck
from musicgen_cli.score import END, KEYS, LOWEST, START

Roll = NDArray[np.bool_]

PITCHES = np.arange(LOWEST, LOWEST + KEYS)
MODES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # major, natural minor
SCALES = np.array([[(c - root) % 12 in mode for c in range(12)] for mode in MODES for root in range(12)])
GRAM = 4  # struck chords in a row, of distinct_ngrams
LOOPS = 3  # times that a loop is heard at least


# --- pitch ---


def pitch_range(roll: Roll) -> float:
    """Semitones from the lowest note to the highest (MusPy, where silence has 0; here it is undefined)."""
    used = np.flatnonzero(sounding(roll).any(0))
    return float(used[-1] - used[0]) if len(used) else np.nan


def n_pitches_used(roll: Roll) -> float:
    """How many different pitches there are (MusPy)."""
    return float(np.count_nonzero(sounding(roll).any(0)))


def n_pitch_classes_used(roll: Roll) -> float:
    """How many different pitch classes there are (MusPy)."""
    return float(np.count_nonzero(pitch_classes(roll)))


def mean_pitch(roll: Roll) -> float:
    """The mean MIDI pitch of the notes: the register (Yang and Lerch 2020 use the histogram)."""
    notes = struck(roll).sum(0)
    return ratio(int(notes @ PITCHES), int(notes.sum()))


def pitch_entropy(roll: Roll) -> float:
    """Bits of entropy of the notes' pitches (MusPy)."""
    return entropy(struck(roll).sum(0))


def pitch_class_entropy(roll: Roll) -> float:
    """Bits of entropy of the notes' pitch classes (MusPy; Wu and Yang 2020, "The Jazz Transformer...", as H)."""
    return entropy(pitch_classes(roll))


def scale_consistency(roll: Roll) -> float:
    """Share of the notes that are in the one major or minor scale that holds most of them.

    MusPy; Mogren 2016, "C-RNN-GAN". Music without a key has some 0.6: seven of twelve classes.
    """
    classes = pitch_classes(roll)
    return ratio((SCALES @ classes).max(), classes.sum())


# --- texture ---


def density(roll: Roll) -> float:
    """Share of the roll's bits that are set."""
    return ratio(int(np.count_nonzero(roll)), roll.size)


def polyphony(roll: Roll) -> float:
    """Keys that sound at a time, on average over the steps where any does (MusPy)."""
    sounds = sounding(roll)
    return ratio(sounds.sum(), sounds.any(1).sum())


def polyphony_rate(roll: Roll) -> float:
    """Share of all steps at which two keys or more sound (MusPy; Mogren 2016)."""
    return ratio((sounding(roll).sum(1) >= 2).sum(), len(roll))


def semitone_rate(roll: Roll) -> float:
    """Share of the chords, step by step, that hold two pitch classes a semitone apart: how dissonant it is."""
    sounds = sounding(roll)
    classes = np.stack([sounds[:, c == PITCHES % 12].any(1) for c in range(12)], 1)
    clash = (classes & np.roll(classes, 1, 1)).any(1)
    return ratio(clash.sum(), (sounds.sum(1) >= 2).sum())


def distinct_ngrams(roll: Roll) -> float:
    """Different runs of four struck chords, as a share of all (distinct-n of Li et al. 2016, of chords for words)."""
    strikes = struck(roll)
    ids = row_ids(np.packbits(strikes[strikes.any(1)], axis=1))
    if len(ids) < GRAM:
        return np.nan
    grams = np.lib.stride_tricks.sliding_window_view(ids, GRAM)
    return len(np.unique(grams, axis=0)) / len(grams)


def loop_rate(roll: Roll) -> float:
    """The share of its strikes that a loop explains: the same chord was struck p steps before, at the best of all p.

    A loop must be heard three times, so p is a third of the length at most. Undefined where all strikes
    are in the first third.
    """
    at, furthest = onsets(roll), len(roll) // LOOPS
    if not furthest or not (at >= furthest).any():
        return np.nan
    chords = np.concatenate([struck(roll), sounding(roll)], 1)[at]
    ids = -np.arange(len(roll)) - 1  # a step without a strike is like no other
    ids[at] = row_ids(np.packbits(chords, axis=1))
    hits = np.array([np.count_nonzero(ids[p:] == ids[:-p]) for p in range(1, furthest + 1)])
    return float((hits / (len(at) - np.searchsorted(at, np.arange(1, furthest + 1)))).max())


# --- time ---


def note_length(roll: Roll, beat: int) -> float:
    """How long a note lasts on average, in beats (Yang and Lerch 2020 use the histogram)."""
    lengths = note_lengths(roll)
    return ratio(lengths.sum(), len(lengths) * beat)


def inter_onset_interval(roll: Roll, beat: int) -> float:
    """Beats from one strike to the next, on average (Yang and Lerch 2020: IOI)."""
    intervals = np.diff(onsets(roll))
    return ratio(intervals.sum(), len(intervals) * beat)


def longest_hold(roll: Roll, beat: int) -> float:
    """The longest time, in beats, that the same keys sound, struck again or not; 0 in silence."""
    sounds = sounding(roll)
    changes = np.append(np.flatnonzero((sounds[1:] != sounds[:-1]).any(1)) + 1, len(roll))
    begins = np.append(0, changes[:-1])
    lasts = (changes - begins)[sounds[begins].any(1)] if len(roll) else begins[:0]
    return float(lasts.max(initial=0)) / beat


def empty_beat_rate(roll: Roll, beat: int) -> float:
    """Share of the beats in which nothing sounds (MusPy, which counts a beat as filled by a note that ends on it)."""
    filled = np.asarray(whole(sounding(roll), beat).any((1, 2)))
    return ratio(int((~filled).sum()), len(filled))


def groove_consistency(roll: Roll, bar: int) -> float:
    """How alike the rhythms of neighbouring bars are: 1 less the mean share of steps where one strikes, one doesn't.

    MusPy; after Wu and Yang 2020. Undefined for fewer than two bars.
    """
    rhythm = np.asarray(whole(struck(roll), bar).any(2))
    return 1 - ratio((rhythm[1:] != rhythm[:-1]).sum(), rhythm[1:].size)


def self_repeat_rate(roll: Roll, bar: int) -> float:
    """Share of the bars, from the second that sounds on, that are an earlier one note for note."""
    bars = whole(np.concatenate([struck(roll), sounding(roll)], 1), bar).reshape(-1, bar * 2 * KEYS)
    ids = row_ids(np.packbits(bars[bars.any(1)], axis=1))
    return ratio(len(ids) - len(set(ids.tolist())), max(len(ids) - 1, 0))


def leap(roll: Roll, bar: int) -> float:
    """Semitones that the highest voice moves by when it moves inside a bar, on average."""
    return _leap(roll, np.arange(1, len(roll)) % bar != 0)


def bar_line_leap(roll: Roll, bar: int) -> float:
    """The same across bar lines: bars that do not belong together leap there."""
    return _leap(roll, np.arange(1, len(roll)) % bar == 0)


def _leap(roll: Roll, at: NDArray[np.bool_]) -> float:
    top = highest(sounding(roll))
    moves = np.abs(np.diff(top))[at & (top[1:] >= 0) & (top[:-1] >= 0)]
    return ratio(moves.sum(), int(np.count_nonzero(moves)))


FEATURES: dict[str, Callable[[Roll], float]] = {
    "density": density,
    "polyphony": polyphony,
    "polyphony_rate": polyphony_rate,
    "pitch_range": pitch_range,
    "n_pitches_used": n_pitches_used,
    "n_pitch_classes_used": n_pitch_classes_used,
    "mean_pitch": mean_pitch,
    "pitch_entropy": pitch_entropy,
    "pitch_class_entropy": pitch_class_entropy,
    "scale_consistency": scale_consistency,
    "semitone_rate": semitone_rate,
    "distinct_ngrams": distinct_ngrams,
    "loop_rate": loop_rate,
}
IN_BEATS: dict[str, Callable[[Roll, int], float]] = {
    "note_length": note_length,
    "inter_onset_interval": inter_onset_interval,
    "longest_hold": longest_hold,
    "empty_beat_rate": empty_beat_rate,
}
IN_BARS: dict[str, Callable[[Roll, int], float]] = {
    "groove_consistency": groove_consistency,
    "self_repeat_rate": self_repeat_rate,
    "leap": leap,
    "bar_line_leap": bar_line_leap,
}


def describe(roll: Roll, beat: int, bar: int) -> dict[str, float]:
    """All features of a piece, by name."""
    found = {name: feature(roll) for name, feature in FEATURES.items()}
    found |= {name: feature(roll, beat) for name, feature in IN_BEATS.items()}
    return found | {name: feature(roll, bar) for name, feature in IN_BARS.items()}


# --- what the features are made of ---


def ratio(part: float, all_of_it: float) -> float:
    """A quotient; 0/0 is undefined."""
    return float(part) / float(all_of_it) if all_of_it else np.nan


def entropy(counts: NDArray[np.int64]) -> float:
    """Bits of entropy of a histogram; undefined for an empty one."""
    share = counts[counts > 0] / max(counts.sum(), 1)
    return max(0.0, float(-(share * np.log2(share)).sum())) if len(share) else np.nan


def whole(rows: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Steps (T, ...) as whole beats or bars (n, length, ...); what is left over is left out."""
    count = len(rows) // length
    return rows[: count * length].reshape(count, length, *rows.shape[1:])


def row_ids(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A number for each row (N, bytes), the same for equal ones."""
    if not len(rows):
        return np.zeros(0, np.int64)
    return np.unique(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel(), return_inverse=True)[1]


def pitch_classes(roll: Roll) -> NDArray[np.int64]:
    """Notes of each pitch class, (12,), C first."""
    return np.bincount(PITCHES % 12, struck(roll).sum(0), 12).astype(np.int64)


def onsets(roll: Roll) -> NDArray[np.int64]:
    """The steps at which something is struck."""
    return np.flatnonzero(struck(roll).any(1))


def note_lengths(roll: Roll) -> NDArray[np.int64]:
    """Steps that each note lasts."""
    notes = decode(roll, 1).notes
    return np.asarray(notes[:, END] - notes[:, START])
