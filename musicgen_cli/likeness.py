"""How alike two songs are, whatever key they are in, and which songs of a corpus are copies of earlier ones.

What is compared is which grams two songs have: runs of a few strikes, each told by its chord above the lowest key, by
how far that key moved and by the time since the strike before. A strike is a step at which a note begins.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.corpus import Corpus
from musicgen_cli.roll import struck
from musicgen_cli.score import KEYS

# Of 466,069 pairs of pieces (chorales, lieder, piano music, folk tunes) 38 share a fifth of their grams or more, 17 two
# fifths: kin. Of transposed copies with 2 % of their notes changed 95 of 100 share two fifths, half of them two thirds.
ALIKE = 0.4  # share of their grams that copies have in common, at least
GRAM = 3  # strikes
SKETCH = 32  # grams with the least hashes of a song: as random a choice as any, and the same in its copy (Broder 1997)
SHARED = 3  # of them have to be the same before all are compared: one in 50,000 copies at ALIKE has fewer
NEIGHBOURS = 64  # songs that a gram leads to: what more songs share says little
LATELY = 1024  # songs whose grams are kept
DICE = np.random.default_rng(88)
NOTES = DICE.integers(1, 1 << 63, KEYS, np.uint64)  # a hash of each interval, a chord's is their sum (Zobrist 1970)
NOTHING = np.zeros(0, np.uint64)
FACTORS = DICE.integers(1, 1 << 63, (GRAM, 3), np.uint64) | np.uint64(1)  # of a linear hash


@dataclass(frozen=True)
class Copy:
    """Song `song` is as `like` song `of`, an earlier one that is no copy itself; 1 is the same, but for its key."""

    song: int
    of: int
    like: float


def grams(roll: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Hashes of all runs of GRAM strikes, uint64 (n,), ascending, each once; of a shorter song one; none of silence."""
    step, key = np.nonzero(struck(roll))
    if not len(step):
        return NOTHING
    first = np.flatnonzero(np.diff(step, prepend=-1))
    lowest = np.repeat(key[first], np.diff(first, append=len(key)))
    chords = np.add.reduceat(NOTES[key - lowest], first)
    moves, waits = (np.diff(values, prepend=values[0]).astype(np.uint64) for values in (key[first], step[first]))
    strikes = np.stack([chords, moves, waits], 1)
    if len(strikes) < GRAM:
        strikes = np.concatenate([strikes, np.zeros((GRAM - len(strikes), 3), np.uint64)])
    runs = np.lib.stride_tricks.sliding_window_view(strikes, (GRAM, 3))[:, 0]
    return np.unique((runs * FACTORS).sum((1, 2), dtype=np.uint64))


def likeness(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Grams that two songs share, of those that either has (Jaccard); 1 where neither has any."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared) if len(one) or len(other) else 1.0


def copies(corpus: Corpus, alike: float = ALIKE) -> Iterator[Copy]:
    """The songs that are copies of an earlier one that is none itself, each with the one it is most like."""
    dropped = set[int]()
    for song, found in groupby(pairs(corpus, alike), lambda copy: copy.song):
        best = max((copy for copy in found if copy.of not in dropped), key=lambda copy: copy.like, default=None)
        if best:
            dropped.add(song)
            yield best


def pairs(corpus: Corpus, alike: float = ALIKE) -> Iterator[Copy]:
    """All pairs of songs that are so much alike, ascending; the earlier one may be a copy too. Silence is like nothing.

    Memory holds the sketch of each song, and of some all grams.
    """
    grams_of = lru_cache(LATELY)(lambda i: grams(corpus.roll(i)))
    sketches, twins, first = list[NDArray[np.uint64]](), list[int](), dict[bytes, int]()
    for i in range(len(corpus)):
        own = grams(corpus.roll(i))
        sketches.append(own[:SKETCH].copy() if len(own) else NOTHING)
        twins.append(first.setdefault(hashlib.blake2b(own.tobytes(), digest_size=16).digest(), i))
    again = set(met_again(sketches).tolist())
    songs_with = defaultdict[int, list[int]](list)
    for song, sketch in enumerate(sketches):
        telling = [gram for gram in sketch.tolist() if gram in again]
        shared = Counter(other for gram in telling for other in songs_with[gram])
        enough = min(SHARED, math.ceil(alike * len(sketch)))
        likely = {other for other, times in shared.items() if times >= enough}
        if len(sketch) and twins[song] != song:  # however many songs have its grams
            likely.add(twins[song])
        for other in sorted(likely):
            like = likeness(grams_of(song), grams_of(other))
            if like >= alike:
                yield Copy(song, other, like)
        for gram in telling:
            if len(songs_with[gram]) < NEIGHBOURS:
                songs_with[gram].append(song)


def met_again(grams: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The grams that more than one song has, ascending."""
    every = np.sort(np.concatenate([*grams, np.zeros(0, np.uint64)]))
    return np.unique(every[1:][every[1:] == every[:-1]])
