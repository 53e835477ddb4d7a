"""A score: which key sounds from when to when. Every other form of music here is a view of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError

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
        notes = notes.take(np.lexsort((notes[:, END], notes[:, START] * 128 + notes[:, PITCH])), 0)
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
    ticks, half = 2 * score.ticks_per_quarter, score.ticks_per_quarter
    length = (2 * score.length * steps_per_quarter + half) // ticks  # a Python integer: no declared length overflows it
    if length > max_steps:
        raise MusicgenError(f"lasts {length} steps, more than {max_steps} (`encode --max-steps {length}` takes it)")

    key = score.notes[:, PITCH].clip(0, 127).astype(np.uint8)
    order = np.argsort(key, kind="stable")  # by key, then by start
    order = order[slice(*np.searchsorted(key[order], [LOWEST, LOWEST + KEYS]))]
    start, end, pitch = score.notes.take(order, 0).T
    start = (2 * start * steps_per_quarter + half) // ticks
    end = np.maximum((2 * end * steps_per_quarter + half) // ticks, start + 1)

    new = np.append(True, (pitch[1:] != pitch[:-1]) | (start[1:] != start[:-1]))[: len(pitch)]
    first = np.flatnonzero(new)
    start, end, pitch = start[first], np.maximum.reduceat(end, first), pitch[first]  # of equal starts the longest
    same_key = pitch[1:] == pitch[:-1]
    end[:-1] = np.where(same_key, np.minimum(end[:-1], start[1:]), end[:-1])
    return Score(np.stack([start, end, pitch], 1), steps_per_quarter, length, score.tempo, score.time_signature)
