"""A score: which key sounds from when to when. Every other form of music here is a view of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError, or_raise

LOWEST, KEYS = 21, 88  # the piano: A0, MIDI pitch 21, to C8, MIDI pitch 108
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)  # of time signatures
MAX_GRID = 960  # steps per quarter note, as fine as MIDI usually is
MAX_STEPS = 1 << 17  # nine hours of sixteenths at 60 quarter notes a minute
START, END, PITCH = 0, 1, 2  # the columns of Score.notes


@dataclass(frozen=True, eq=False)
class Score:
    """Notes on a grid of ticks, in order of start, then pitch, then end.

    notes: int64 (N, 3) of start, end (exclusive), pitch (MIDI, 60 is C4); times in ticks
    length: ticks, with the rest after the last note
    tempo: quarter notes per minute
    """

    notes: NDArray[np.int64]
    ticks_per_quarter: int
    length: int = 0
    tempo: float = 120.0
    time_signature: tuple[int, int] = (4, 4)

    def __post_init__(self) -> None:
        notes = np.asarray(self.notes, np.int64).reshape(-1, 3)
        place = notes[:, START] * 128 + notes[:, PITCH]
        if not (place[1:] > place[:-1]).all():
            notes = notes.take(np.lexsort((notes[:, END], place)), 0)
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "length", int(max(self.length, notes[:, END].max(initial=0))))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Score)
            and np.array_equal(self.notes, other.notes)
            and (self.ticks_per_quarter, self.length, self.tempo, self.time_signature)
            == (other.ticks_per_quarter, other.length, other.tempo, other.time_signature)
        )

    __hash__ = None  # type: ignore[assignment]


def on_keyboard(score: Score) -> NDArray[np.bool_]:
    """Which notes a piano has a key for, bool (N,)."""
    pitch = score.notes[:, PITCH]
    return (pitch >= LOWEST) & (pitch < LOWEST + KEYS)


def steps_per_bar(time_signature: tuple[int, int], steps_per_quarter: int) -> int:
    numerator, denominator = time_signature
    return max(1, round(4 * steps_per_quarter * numerator / denominator))


def quantise(score: Score, steps_per_quarter: int, max_steps: int = MAX_STEPS) -> Score:
    """Snap a score to what a piano can play on a grid: whole steps, 88 keys, one note at a time per key.

    Onsets and ends go to the nearest step, half up; a note lasts at least a step; a new strike cuts the old one.
    Raises MusicgenError where the score is longer than `max_steps`.
    """
    return or_raise(quantise_all([score], steps_per_quarter, max_steps)[0])


def quantise_all(
    scores: Sequence[Score], steps_per_quarter: int, max_steps: int = MAX_STEPS
) -> list[Score | MusicgenError]:
    """What `quantise` makes of each score, or raises; many short ones at once take little longer than a long one."""
    results, lengths = list[Score | MusicgenError](scores), list[int]()
    for i, score in enumerate(scores):
        half = score.ticks_per_quarter  # the length is a Python integer: no declared one overflows
        length = (2 * score.length * steps_per_quarter + half) // (2 * half)
        if length > max_steps:
            way_out = f"`encode --max-steps {length}` takes it"
            results[i] = MusicgenError(f"lasts {length} steps, more than {max_steps} ({way_out})")
        else:
            lengths.append(length)
    short = [i for i, score in enumerate(results) if isinstance(score, Score)]
    for i, notes, length in zip(short, _snapped([scores[i] for i in short], lengths, steps_per_quarter), lengths):
        results[i] = Score(notes, steps_per_quarter, length, scores[i].tempo, scores[i].time_signature)
    return results


def _snapped(scores: list[Score], lengths: list[int], steps_per_quarter: int) -> list[NDArray[np.int64]]:
    """The notes of scores, each of so many steps, as `quantise` wants them."""
    if not scores:
        return []
    notes = np.concatenate([score.notes for score in scores])
    song = np.repeat(np.arange(len(scores)), [len(score.notes) for score in scores])
    key = notes[:, PITCH].clip(0, 127).astype(np.uint8)
    order = np.argsort(key, kind="stable")  # by key, then by song, then by start
    order = order[slice(*np.searchsorted(key[order], [LOWEST, LOWEST + KEYS]))]
    (start, end, pitch), song = notes.take(order, 0).T, song[order]
    half = np.array([score.ticks_per_quarter for score in scores])[song]
    start = (2 * start * steps_per_quarter + half) // (2 * half)
    end = np.maximum((2 * end * steps_per_quarter + half) // (2 * half), start + 1)

    first = np.flatnonzero(np.append(True, (np.diff(pitch) | np.diff(song) | np.diff(start)) != 0)[: len(pitch)])
    start, pitch, song = start[first], pitch[first], song[first]
    end = np.maximum.reduceat(end, first)  # of equal starts the longest
    same_key = (pitch[1:] == pitch[:-1]) & (song[1:] == song[:-1])
    end[:-1] = np.where(same_key, np.minimum(end[:-1], start[1:]), end[:-1])

    begun = np.cumsum([0, *(length + 1 for length in lengths)])
    order = np.argsort((begun[song] + start).astype(np.min_scalar_type(begun[-1])), kind="stable")
    notes = np.stack([start, end, pitch], 1).take(order, 0)
    edges = np.searchsorted(song[order], np.arange(len(scores) + 1)).tolist()
    return [notes[a:b] for a, b in pairwise(edges)]
