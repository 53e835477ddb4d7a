"""Random music for laws, and music drawn by hand."""

import io

import numpy as np
from hypothesis import strategies as st

from musicgen_cli.score import KEYS, LOWEST, Score, quantise

GRIDS = [1, 4, 7, 12]  # steps per quarter note
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]

# What a MIDI file can say exactly: whole microseconds per quarter note in three bytes.
tempos = st.integers(60_000, (1 << 24) - 1).map(lambda microseconds: 60e6 / microseconds)
metres = st.tuples(st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
# A crowded middle, both ends of the piano, and what lies beyond them.
pitches = st.sampled_from([0, 20, 21, 22, 59, 60, 61, 107, 108, 109, 127])


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Any score: notes that overlap, last no time, lie off the keyboard; any grid of ticks."""
    times = st.tuples(st.integers(0, 200), st.integers(0, 60), pitches)
    notes = [(start, start + lasts, pitch) for start, lasts, pitch in draw(st.lists(times, max_size=20))]
    ticks = draw(st.sampled_from([1, 3, 4, 24, 96, 480]))
    return Score(notes, ticks, draw(st.integers(0, 400)), draw(tempos), draw(metres))


@st.composite
def quantised(draw: st.DrawFn) -> Score:
    return quantise(draw(scores()), draw(st.sampled_from(GRIDS)))


@st.composite
def played(draw: st.DrawFn) -> Score:
    """A score at 480 ticks per quarter note, where no two notes on one key overlap; many touch."""
    notes = []
    for pitch in draw(st.sets(pitches, max_size=4)):
        edges = sorted(draw(st.sets(st.integers(0, 5000), max_size=8)))
        sounds = draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))
        notes += [(start, end, pitch) for start, end, note in zip(edges, edges[1:], sounds) if note]
    return Score(notes, 480, draw(st.integers(0, 6000)), draw(tempos), draw(metres))


@st.composite
def rolls(draw: st.DrawFn, bits: int = 2) -> np.ndarray:
    """Any bits: thick ones, half of them on, and thin ones on a few keys that touch and repeat."""
    steps = draw(st.integers(0, 8))
    size = steps * KEYS * bits // 8
    if draw(st.booleans()):
        flat = np.unpackbits(np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)).astype(bool)
        roll = flat.reshape(steps, KEYS, bits)
    else:
        roll = np.zeros((steps, KEYS, bits), bool)
        cell = st.tuples(st.integers(0, max(steps - 1, 0)), st.sampled_from([0, 1, 40, 87]), st.integers(0, bits - 1))
        for place in draw(st.lists(cell, max_size=40 if steps else 0)):
            roll[place] = True
    return roll if bits == 2 else roll[:, :, 0]


def drawn(picture: str) -> np.ndarray:
    """A roll, bool (T, 88, 2), from its picture, keys as lines: `#` start, `-` continue, `.` silence; `|` for eyes."""
    lines = [line.split(maxsplit=1) for line in picture.strip().splitlines()]
    rows = {name: cells.replace("|", "") for name, cells in lines}
    (steps,) = {len(row) for row in rows.values()}
    roll = np.zeros((steps, KEYS, 2), bool)
    for name, row in rows.items():
        key = 12 * (int(name[-1]) + 1) + NAMES.index(name[:-1]) - LOWEST
        roll[:, key, 0] = [cell == "#" for cell in row]
        roll[:, key, 1] = [cell == "-" for cell in row]
    return roll


def sounds(roll: np.ndarray) -> set[tuple[int, int]]:
    """The (step, key) that sound, by the plainest reading."""
    return {(int(place[0]), int(place[1])) for place in np.argwhere(roll)}


def arrays(*parts: object) -> bytes:
    """What several `np.save` to one file make."""
    file = io.BytesIO()
    for part in parts:
        np.save(file, part)
    return file.getvalue()
