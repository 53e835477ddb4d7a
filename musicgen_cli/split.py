"""Which songs teach, which tell when to stop, which judge: never one tune on two sides."""

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.corpus import Corpus
from musicgen_cli.errors import MusicgenError
from musicgen_cli.likeness import met_again
from musicgen_cli.likeness import pairs as alike_pairs
from musicgen_cli.roll import struck

SIDES = ("train", "valid", "test")
SHARE = 0.1  # of the songs, for validation and for test each
GRAM = 12  # melody notes that have to follow each other alike, up to transposition
NEIGHBOURS = 64  # songs that a gram is compared across: what more songs share says little
ALIKE = 0.5  # share of its melody that a song has in common with its near-copy
FACTORS = np.random.default_rng(88).integers(1, 1 << 62, (GRAM, 2), np.uint64) | np.uint64(1)  # of a linear hash


def split(corpus: Corpus) -> dict[str, list[int]]:
    """Deal the songs of a corpus onto the sides, by content alone: order and names change nothing."""
    digests = [corpus.digest(i) for i in range(len(corpus))]
    kin = families(corpus)
    order = sorted({min((digests[i], i) for i in family): family for family in kin}.items())
    rest = [family for _, family in order]
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    quota = max(1, round(SHARE * len(corpus)))
    for side in ("valid", "test"):
        left, rest = rest, []
        for i, family in enumerate(left):
            if len(sides[side]) + len(family) <= quota and len(rest) + len(left) - i > 1:
                sides[side] += family
            else:
                rest.append(family)
    sides["train"] = [i for family in rest for i in family]
    return {side: sorted(songs) for side, songs in sides.items()}


def read_split(text: bytes, corpus: Corpus) -> tuple[dict[str, list[int]], Counter[str]]:
    """A split that somebody laid down: JSON {"train": [names], "valid": [names], "test": [names]}.

    Names may end in `.mid`. Also counts the songs that the split doesn't name, and names that the corpus hasn't.
    """
    try:
        lists: dict[str, Any] = json.loads(text)
        pairs = [(name.removesuffix(".mid"), side) for side in SIDES for name in lists.get(side, [])]
        if any(isinstance(lists.get(side), str) for side in SIDES):
            raise TypeError
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise MusicgenError('is no split: JSON {"train": [names], "valid": [...], "test": [...]} is wanted') from None
    named = dict(pairs)
    twice = [name for name, side in pairs if named[name] != side]
    if twice:
        raise MusicgenError(f"puts {twice[0]!r} on two sides")
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for i, song in enumerate(corpus.songs):
        if song.name in named:
            sides[named[song.name]].append(i)
    found = {song.name for song in corpus.songs}
    missing = Counter(
        {
            "songs that the split does not name": sum(song.name not in named for song in corpus.songs),
            "names in the split without a song": sum(name not in found for name in named),
        }
    )
    return sides, +missing


def families(corpus: Corpus) -> list[list[int]]:
    """Songs grouped so that near-copies, transposed ones too, are together: lists of indices.

    Near-copies share half of their melody, or are what `dedupe` drops.
    """
    grams = [_melody_grams(corpus.roll(i)) for i in range(len(corpus))]
    parent = list(range(len(corpus)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    alike: dict[bytes | int, int] = {}
    for i, own in enumerate(grams):  # one song stands for all that have the very same grams
        parent[i] = alike.setdefault(hashlib.blake2b(own.tobytes(), digest_size=16).digest() if len(own) else i, i)
    grams = [own if parent[i] == i else own[:0] for i, own in enumerate(grams)]
    sizes = [len(own) for own in grams]
    again = met_again(grams)
    known = np.append(again, np.uint64(0))
    grams = [own[known[again.searchsorted(own)] == own] for own in grams]

    # Songs that share a gram stand together once (gram, song) is sorted: count the pairs, neighbours first, then at
    # a distance of two, and so on.
    gram = np.concatenate([*grams, np.zeros(0, np.uint64)])
    song = np.repeat(np.arange(len(grams)), [len(own) for own in grams])
    order = np.lexsort((song, gram))
    gram, song = gram[order], song[order]
    found: Counter[tuple[int, int]] = Counter()
    near, distance = np.arange(len(gram)), 1
    while distance <= NEIGHBOURS and len(near := near[near + distance < len(gram)]):
        near = near[gram[near] == gram[near + distance]]
        pairs, times = np.unique(np.stack([song[near], song[near + distance]], 1), axis=0, return_counts=True)
        for (a, b), count in zip(pairs.tolist(), times.tolist()):
            found[a, b] += count
        distance += 1
    for (a, b), count in found.items():
        if count >= ALIKE * min(sizes[a], sizes[b]):
            parent[root(b)] = root(a)
    for copy in alike_pairs(corpus):
        parent[root(copy.song)] = root(copy.of)
    together: dict[int, list[int]] = {}
    for i in range(len(corpus)):
        together.setdefault(root(i), []).append(i)
    return list(together.values())


def _melody_grams(roll: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Hashes of all runs of GRAM intervals and durations in the top line, uint64 (n,), each once; none for silence."""
    starts = struck(roll)
    steps = np.flatnonzero(starts.any(1))
    if not len(steps):
        return np.zeros(0, np.uint64)
    top = starts.shape[1] - 1 - starts[steps, ::-1].argmax(1)
    moves = np.stack([np.diff(top) + 128, np.diff(steps)], 1).astype(np.uint64)
    if len(moves) < GRAM:
        moves = np.concatenate([moves, np.zeros((GRAM - len(moves), 2), np.uint64)])
    runs = np.lib.stride_tricks.sliding_window_view(moves, (GRAM, 2))[:, 0]
    return np.unique((runs * FACTORS).sum((1, 2), dtype=np.uint64))
