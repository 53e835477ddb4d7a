"""Pairs for a listening test: what a person wrote beside what a machine made, alike in everything else.

Both clips of a pair begin at a bar line, last the same bars at the same tempo, and end before the last bar of their
songs: endings tell. Songs that begin alike, because one was primed with the other, are heard from where they part.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.quiz_score import OBVIOUS, PAIR, SAME
from musicgen_cli.score import END, PITCH, START, Score, quantise, steps_per_bar

FINEST = 16  # ticks per quarter note by which all bars are whole
FEWEST = 2  # bars of a clip
LEAD = 2  # bars that a primed pair has in common, at most
OPENING = 8  # quarter notes; songs that share them begin alike
SIXTEENTHS = 4  # steps per quarter note
NOISE = range(40, 89)  # pitches


@dataclass(frozen=True, eq=False)
class Piece:
    """A song and where it comes from, or a clip of it."""

    source: str
    score: Score

    @property
    def bar(self) -> int:
        return steps_per_bar(self.score.time_signature, self.score.ticks_per_quarter)

    @property
    def metre(self) -> Fraction:
        """Quarter notes of a bar."""
        return Fraction(self.bar, self.score.ticks_per_quarter)

    @property
    def first(self) -> int:
        """The first bar that sounds, from 0."""
        return int(self.score.notes[:, START].min(initial=self.score.length)) // self.bar

    @property
    def last(self) -> int:
        """The bar that its last note ends in."""
        return int(self.score.notes[:, END].max(initial=1) - 1) // self.bar

    def bars_in(self, seconds: float) -> int:
        return int(seconds * self.score.tempo / 60 / self.metre)


@dataclass(frozen=True, eq=False)
class Pair:
    """The clip that a person wrote and the other one; of kind SAME they are one clip; alike: their beginnings are."""

    kind: str
    clips: tuple[Piece, Piece]
    alike: bool = False


def ready(songs: Sequence[Piece], seconds: float, grid: int = 0) -> list[Piece]:
    """The songs that clips of so many seconds can be cut from, by ticks that all bars are whole in.

    grid: steps per quarter note to move all notes to, the nearest
    """
    fine = [replace(song, score=_finer(on_grid(song.score, grid) if grid else song.score)) for song in songs]
    return [song for song in fine if song.last - song.first >= FEWEST <= song.bars_in(seconds)]


def on_grid(score: Score, grid: int) -> Score:
    """One note at a time per key, as a roll has them, however long the score is."""
    return quantise(score, grid, sys.maxsize)


def _finer(score: Score) -> Score:
    return on_grid(score, math.lcm(score.ticks_per_quarter, FINEST))


def distinct(human: Sequence[Piece], machine: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The `ready` songs of both sides without those that have the notes of one before them, on sixteenths."""
    once: dict[bytes, Piece] = {}
    for song in (*human, *machine):
        once.setdefault(_sixteenths(song).tobytes(), song)
    kept = set(once.values())
    return [song for song in human if song in kept], [song for song in machine if song in kept]


def off_grid(songs: Sequence[Piece]) -> float:
    """The share of notes that begin or end on no sixteenth and no triplet."""
    off = [(song.score.notes[:, [START, END]] * 12 % song.score.ticks_per_quarter).any(axis=1) for song in songs]
    return sum(int(one.sum()) for one in off) / max(sum(one.size for one in off), 1)


def pair_up(human: Sequence[Piece], machine: Sequence[Piece], count: int, seconds: float, seed: int) -> list[Pair]:
    """Up to `count` pairs from `ready` songs, each song in one pair, and three controls.

    Controls are two pairs of twice the same clip, one of either side, and a clip beside notes at random. Raises
    MusicgenError where there are too few songs.
    """
    rng = np.random.default_rng(seed)
    human, machine = ([side[i] for i in rng.permutation(len(side))] for side in (human, machine))
    matches = _matches(human, machine, seconds)
    for kept in range(min(count, len(matches)), 0, -1):
        taken = {song for person, song, _ in matches[:kept] for song in (person, song)}
        persons, machines = ([song for song in side if song not in taken] for side in (human, machine))
        if len(persons) > 1 and machines:
            break
    else:
        raise MusicgenError(
            f"of {len(human)} human and {len(machine)} machine songs that are long enough no pair can be made beside"
            " its controls: 3 and 2 in one metre are the least"
        )
    pairs = [Pair(PAIR, _clips(one, other, seconds, at), at is not None) for one, other, at in matches[:kept]]
    same = [Pair(SAME, _clips(song, song, seconds)) for song in (persons[0], machines[0])]
    noise = replace(persons[1], source="notes at random", score=_scrambled(persons[1].score, rng))
    return [*pairs, *same, Pair(OBVIOUS, _clips(persons[1], noise, seconds))]


def _matches(human: Sequence[Piece], machine: Sequence[Piece], seconds: float) -> list[tuple[Piece, Piece, int | None]]:
    """Songs that go together, each once: those that begin alike, with the bar to hear both from; then by metre.

    A machine's song that begins as a person's does goes with that one, in its metre, or with none.
    """
    openings = {opening: song for song in human if (opening := _opening(song))}
    primed = {song: openings[opening] for song in machine if (opening := _opening(song)) in openings}
    first = {person: song for song, person in reversed(primed.items()) if person.metre == song.metre}
    matches: list[tuple[Piece, Piece, int | None]] = []
    for person, song in first.items():
        shared, lead = _shared(person, song), min(LEAD, person.bars_in(seconds) // 3)
        if min(person.last, song.last) - shared >= FEWEST:
            matches.append((person, song, max(shared - lead, 0)))
    free = [song for song in human if song not in first]
    for song in machine:
        partner = next((person for person in free if person.metre == song.metre and song not in primed), None)
        if partner:
            free.remove(partner)
            matches.append((partner, song, None))
    return matches


def _sixteenths(song: Piece) -> NDArray[np.int64]:
    return on_grid(song.score, SIXTEENTHS).notes


def _opening(song: Piece) -> bytes:
    """How a song begins, on sixteenths; nothing where it begins with silence."""
    notes, stop = _sixteenths(song), OPENING * SIXTEENTHS
    return np.minimum(notes[notes[:, START] < stop], [stop, stop, sys.maxsize]).tobytes()


def _shared(one: Piece, other: Piece) -> int:
    """The whole bars that two songs have in common from their beginning."""
    first, second = (
        {(note[when], when, note[PITCH]) for note in _sixteenths(song).tolist() for when in (START, END)}
        for song in (one, other)
    )
    differ = min(first ^ second, default=max(first))  # begins or ends in one alone
    return int(differ[0] / SIXTEENTHS / one.metre)


def _clips(one: Piece, other: Piece, seconds: float, begin: int | None = None) -> tuple[Piece, Piece]:
    """The same bars of both songs, at the tempo of the first, from one bar or from where each begins to sound."""
    begins = [song.first if begin is None else begin for song in (one, other)]
    bars = min(one.bars_in(seconds), one.last - begins[0], other.last - begins[1])
    first, second = (
        replace(song, score=replace(_bars(song, at, at + bars), tempo=one.score.tempo))
        for song, at in zip((one, other), begins)
    )
    return first, second


def _bars(song: Piece, begin: int, end: int) -> Score:
    """What sounds from one bar line to another; notes that are held over a line are cut there."""
    start, stop, notes = begin * song.bar, end * song.bar, song.score.notes
    notes = notes[(notes[:, START] < stop) & (notes[:, END] > start)]
    times = np.clip(notes[:, [START, END]], start, stop) - start
    return replace(song.score, notes=np.column_stack([times, notes[:, PITCH]]), length=stop - start)


def _scrambled(score: Score, rng: np.random.Generator) -> Score:
    """The rhythm of a score on pitches at random."""
    pitch = rng.integers(NOISE.start, NOISE.stop, len(score.notes))
    return replace(score, notes=np.column_stack([score.notes[:, [START, END]], pitch]))
