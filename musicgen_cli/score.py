"""A score: which key sounds from when to when. Every other form of music here is a view of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

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


class Draft(NamedTuple):
    """What a score is made of, `Score(*draft)`, its notes in any order: to be quantised, they need none."""

    notes: NDArray[np.int64]
    ticks_per_quarter: int
    length: int
    tempo: float
    time_signature: tuple[int, int]


def on_keyboard(score: Score | Draft) -> NDArray[np.bool_]:
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
    scores: Sequence[Score | Draft], steps_per_quarter: int, max_steps: int = MAX_STEPS, finer: int = 1
) -> list[Score | MusicgenError]:
    """What `quantise` makes of each score, or raises; many short ones at once take little longer than a long one.

    finer: how many times finer the grid of the results is than that on which `max_steps` are counted
    """
    results, short = list[Score | MusicgenError | None](), list[Score | Draft]()
    for score in scores:
        length = _steps(score, steps_per_quarter)
        if length > max_steps:
            way_out = f"`encode --max-steps {length}` takes it"
            results.append(MusicgenError(f"lasts {length} steps, more than {max_steps} ({way_out})"))
        else:
            results.append(None)
            short.append(score)
    snapped = iter(_snapped(short, steps_per_quarter * finer))
    return [result or next(snapped) for result in results]


def _steps(score: Score | Draft, steps_per_quarter: int) -> int:
    half = score.ticks_per_quarter  # the length is a Python integer: no declared one overflows
    return (2 * score.length * steps_per_quarter + half) // (2 * half)


def _snapped(scores: Sequence[Score | Draft], steps_per_quarter: int) -> list[Score]:
    """Scores as `quantise` wants them; their notes are laid end to end, each song a step after the one before."""
    if not scores:
        return []
    lengths = [_steps(score, steps_per_quarter) for score in scores]
    begun = np.cumsum([0, *(length + 1 for length in lengths)])
    counts = [len(score.notes) for score in scores]
    *ticks, pitch = np.concatenate([score.notes for score in scores]).T
    half = np.repeat([score.ticks_per_quarter for score in scores], counts)
    start, end = ((2 * steps_per_quarter * np.array(ticks) + half) / (2 * half)).astype(np.int64)  # exact to 2 ** 53
    lasts = np.maximum(end - start, 1)
    start += np.repeat(begun[:-1], counts)
    played = (pitch >= LOWEST) & (pitch < LOWEST + KEYS)
    if not played.all():
        start, lasts, pitch = start[played], lasts[played], pitch[played]

    pitch, start, lasts = sort_rows(pitch, start, lasts)
    last = np.append((start[1:] != start[:-1]) | (pitch[1:] != pitch[:-1]), True)[: len(pitch)]
    pitch, start, lasts = pitch[last], start[last], lasts[last]  # of equal starts the longest
    until = start[1:] - start[:-1]
    np.minimum(lasts[:-1], until, out=lasts[:-1], where=pitch[1:] == pitch[:-1])
    start, pitch, lasts = sort_rows(start, pitch, lasts)
    edges = np.searchsorted(start, begun).tolist()
    start -= np.repeat(begun[:-1], np.diff(edges))
    notes = np.array([start, start + lasts, pitch]).T
    return [
        Score(notes[a:b], steps_per_quarter, length, score.tempo, score.time_signature)
        for (a, b), length, score in zip(pairwise(edges), lengths, scores)
    ]


def sort_rows(*columns: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Columns of whole numbers from 0, their rows in order; packed into a number each, rows are sorted much faster."""
    widths = [int(column.max(initial=0)).bit_length() for column in columns]
    if sum(widths) > 64:
        order = np.lexsort(columns[::-1])
        return [column.take(order) for column in columns]
    dtype = np.uint32 if sum(widths) <= 32 else np.uint64
    rows: NDArray[Any] = columns[0].astype(dtype)
    for column, width in zip(columns[1:], widths[1:]):
        rows = rows << width | column.astype(dtype)
    rows.sort()
    found = list[NDArray[Any]]()
    for width in widths[::-1]:
        found.append((rows & ((1 << width) - 1)).astype(np.int64))
        rows >>= width
    return found[::-1]
