"""What a piece has in common with others, note for note: the longest run of strikes, as it stands or transposed.

A strike is a step at which at least one note begins. Two runs of strikes are the same where the same keys begin and the
same keys are held at each of them, and the same time passes from each to the next; transposed, where all keys lie a
constant interval apart. Only strikes are counted: a chord that both hold for two bars, or a silence, is no long run.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.comparison import Diagnosis
from musicgen_cli.corpus import Corpus
from musicgen_cli.features import onsets, row_ids
from musicgen_cli.roll import sounding, struck
from musicgen_cli.score import KEYS

ALIKE = 0.5  # share of its strikes that a piece has in one run with its near-copy
LONG = 2  # a run is copied where it is so many times as long as what 95 % of real pieces share
WITHOUT_REFERENCE = 16  # strikes that are copied where no real pieces can be compared with each other


@dataclass(frozen=True)
class Run:
    """The longest run of strikes that a piece shares, and where.

    strikes: 0 where nothing is shared; then song is -1
    of: all strikes of the piece
    song: of the other corpus, by index
    at, there: the step at which the run begins, in the piece and in that song
    shift: keys that the piece lies above that song
    """

    strikes: int
    of: int
    song: int = -1
    at: int = 0
    there: int = 0
    shift: int = 0

    @property
    def near_copy(self) -> bool:
        """Whether the run is half of the piece."""
        return bool(self.strikes and self.strikes >= ALIKE * self.of)


@dataclass(frozen=True)
class Copying:
    """What each sample shares with the songs, exact and transposed (never shorter), and what real pieces share.

    real: the transposed runs of the songs, each against all others
    """

    exact: list[Run]
    transposed: list[Run]
    real: list[Run]

    @property
    def usual(self) -> NDArray[np.float64]:
        """Strikes that real pieces share: median, 95th percentile, most; near-copies (see `near_copies`) left out."""
        strikes = [run.strikes for run in self.real if not run.near_copy]
        known = strikes and len(self.real) > 1
        return np.percentile(strikes, [50, 95, 100]) if known else np.full(3, np.nan)

    @property
    def near_copies(self) -> int:
        return sum(run.near_copy for run in self.real)

    @property
    def limit(self) -> float:
        """Strikes beyond which a run counts as copied: twice the 95th percentile of real pieces."""
        return LONG * float(self.usual[1]) if np.isfinite(self.usual[1]) else WITHOUT_REFERENCE

    def diagnoses(self, names: list[str]) -> list[Diagnosis]:
        """Which samples are copies, as they stand and transposed; names: of the songs."""
        exact = tuple(i for i, run in enumerate(self.exact) if run.strikes > self.limit)
        moved = tuple(i for i, run in enumerate(self.transposed) if run.strikes > self.limit and i not in exact)
        found = []
        for name, which, runs in (("copies", exact, self.exact), ("transposed copies", moved, self.transposed)):
            if which:
                longest = max((runs[i] for i in which), key=lambda run: run.strikes)
                why = f"up to {longest.strikes} strikes in a row from {names[longest.song]}, more than {self.limit:g}"
                found.append(Diagnosis(name, why, which))
        return found


@dataclass(frozen=True)
class _Strikes:
    """The strikes of many pieces end to end, (N,): the piece of each, its step, its lowest key."""

    song: NDArray[np.int64]
    steps: NDArray[np.int64]
    lowest: NDArray[np.int64]
    chord: NDArray[np.bool_]  # (N, 176): which keys begin, which sound


def compare(samples: Corpus, songs: Corpus) -> Copying:
    """What samples copy from songs, beside what the songs copy from each other."""
    rolls = [songs.roll(i) for i in range(len(songs))]
    made = [samples.roll(i) for i in range(len(samples))]
    exact, moved = (between(made, rolls, transposed) for transposed in (False, True))
    return Copying(exact, moved, among(rolls, transposed=True))


def between(samples: list[NDArray[np.bool_]], songs: list[NDArray[np.bool_]], transposed: bool) -> list[Run]:
    """The longest run that each sample has in common with any of the songs, all of them rolls."""
    strikes = _strikes([*samples, *songs])
    sides = np.repeat([0, 1], [len(samples), len(songs)])
    return _longest(strikes, sides[strikes.song], len(samples) + len(songs), len(samples), transposed)[: len(samples)]


def among(songs: list[NDArray[np.bool_]], transposed: bool) -> list[Run]:
    """The longest run that each song has in common with any other."""
    strikes = _strikes(songs)
    return _longest(strikes, strikes.song, len(songs), 0, transposed)


def _strikes(rolls: list[NDArray[np.bool_]]) -> _Strikes:
    steps = [onsets(roll) for roll in rolls]
    song = np.repeat(np.arange(len(rolls)), [len(at) for at in steps])
    rows = [np.concatenate([struck(roll)[at], sounding(roll)[at]], 1) for roll, at in zip(rolls, steps)]
    chord = np.concatenate([np.zeros((0, 2 * KEYS), bool), *rows])
    return _Strikes(song, np.concatenate([np.zeros(0, np.int64), *steps]), chord[:, KEYS:].argmax(1), chord)


def _tokens(strikes: _Strikes, transposed: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of what each strike is in itself, (N,), and of that together with how it follows the one before, (N,)."""
    chord, moves = strikes.chord.reshape(-1, 2, KEYS), np.zeros(len(strikes.song), np.int64)
    if transposed:
        padded = np.concatenate([chord, np.zeros_like(chord)], 2)
        chord = np.take_along_axis(padded, (strikes.lowest[:, None] + np.arange(KEYS))[:, None], 2)
        moves = np.diff(strikes.lowest, prepend=0)
    alone = row_ids(np.packbits(chord.reshape(-1, 2 * KEYS), axis=1))
    following = np.stack([alone, moves, np.diff(strikes.steps, prepend=0)], 1)
    return alone, row_ids(following.view(np.uint8))


def _longest(strikes: _Strikes, owner: NDArray[np.int64], songs: int, first: int, transposed: bool) -> list[Run]:
    """Each piece's longest run that another owner has too.

    Runs grow by one strike a round, and only from those that were shared so far: a few rounds leave a few places.
    """
    alone, following = _tokens(strikes, transposed)
    length, at, there = (np.zeros(songs, np.int64) for _ in range(3))
    place, run, size = np.arange(len(alone)), alone, 0
    while len(place):
        size += 1
        number, begin, run = np.unique(run, return_index=True, return_inverse=True)
        end = np.zeros(len(number), np.int64)
        end[run] = np.arange(len(run))  # of equal runs the last: places are in order
        one, other = place[begin[run]], place[end[run]]
        shared = owner[one] != owner[other]
        place, run, one, other = place[shared], run[shared], one[shared], other[shared]
        partner = np.where(owner[place] == owner[one], other, one)
        song, where = np.unique(strikes.song[place], return_index=True)
        length[song], at[song], there[song] = size, place[where], partner[where]
        following_on = place + size < len(alone)
        following_on[following_on] = strikes.song[(place + size)[following_on]] == strikes.song[place[following_on]]
        place = place[following_on]
        run = run[following_on] * len(alone) + following[place + size]
    of = np.bincount(strikes.song, minlength=songs)
    return [
        Run(n, total, int(strikes.song[b]) - first, int(strikes.steps[a]), int(strikes.steps[b]),
            int(strikes.lowest[a] - strikes.lowest[b]))
        if n else Run(0, total)
        for n, total, a, b in zip(length.tolist(), of.tolist(), at.tolist(), there.tolist())
    ]  # fmt: skip
