"""Words and their ids: the word in place i of the list has id i. Words stay words on disk; only models see ids."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import words
from musicgen_cli.corpus import read_array, read_header, write_array
from musicgen_cli.errors import MusicgenError

START, UNKNOWN = 0, 1  # START, before the first word of a song, is 0 as the silence before a roll is
SPECIALS = ("<start>", "<unknown>")
LETTERS = 0x110000  # that a word could be written with


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words that have an id.

    words: <U (V,), specials first, then by falling count; counts: int64 (V,), how often each word was met
    """

    words: NDArray[np.str_]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words.tolist()) if i >= len(SPECIALS)}

    def ids(self, music: NDArray[Any]) -> NDArray[np.int32]:
        """The ids of words <U (N,), UNKNOWN for those that are not in the list."""
        distinct, inverse = np.unique(music, return_inverse=True)
        ids = np.array([self.index.get(word, UNKNOWN) for word in distinct.tolist()], np.int32)
        return ids[inverse]

    def transposed(self, furthest: int) -> NDArray[np.int32]:
        """The ids of the words moved by -furthest ... furthest keys, (2 * furthest + 1, V), UNKNOWN for no word."""
        own = self.words[len(SPECIALS) :]
        table = np.empty((2 * furthest + 1, len(self)), np.int32)
        table[:, : len(SPECIALS)] = START, UNKNOWN
        for row, shift in zip(table, range(-furthest, furthest + 1)):
            row[len(SPECIALS) :] = self.ids(words.transpose(own, shift))
        return table

    def facts(self) -> dict[str, Any]:
        """Size, words met once, share of all words met that are in the list, perplexity of guessing by frequency."""
        met = self.counts[self.counts > 0]
        total = max(int(met.sum()), 1)
        return {
            "words": len(self) - len(SPECIALS),
            "met": int(met.sum()),
            "met once": int((self.counts[len(SPECIALS) :] == 1).sum()),
            "coverage": 1 - int(self.counts[UNKNOWN]) / total,
            "unigram perplexity": math.exp(-float((met / total * np.log(met / total)).sum())),
        }


def count(
    corpora: Iterable[NDArray[Any]], min_count: int = 1, size: int | None = None, furthest: int = 0
) -> Vocabulary:
    """The words of corpora <U (N,), commonest first, ties in the order of the alphabet.

    min_count: leave out words that are met less often; size: keep the commonest so many
    furthest: count each word moved by up to so many keys as well, as training does that moves its songs
    """
    met: Counter[str] = Counter()
    for music in corpora:
        distinct, times = np.unique(music, return_counts=True)
        for shift in range(-furthest, furthest + 1):
            moved = words.transpose(distinct, shift) if shift else distinct
            for word, number in zip(moved.tolist(), times.tolist()):
                met[word] += number
    del met[""]  # what left the keyboard
    order = sorted(met.items(), key=lambda item: (-item[1], item[0]))
    kept = [(word, number) for word, number in order if number >= min_count and word not in SPECIALS][:size]
    unknown = met.total() - sum(number for _, number in kept)
    return Vocabulary(
        np.array([*SPECIALS, *(word for word, _ in kept)]), np.array([0, unknown, *(number for _, number in kept)])
    )


def spelling(unknown: NDArray[Any], known: NDArray[Any]) -> NDArray[np.float64]:
    """Nats that it takes to spell words <U (N,), letter after letter, by one who has seen the words `known` <U (V,).

    Each letter is guessed from the one before it, with one added to each count; a letter never seen is one of all.
    """
    pairs = Counter(pair for word in known.tolist() for pair in _pairs(word))
    letters = {"", *(second for _, second in pairs)}  # "" ends a word
    before = Counter[str]()
    for (first, _), number in pairs.items():
        before[first] += number

    def nats(word: str) -> float:
        return sum(
            math.log((before[first] + len(letters) + 1) / (pairs[first, second] + 1))
            + (math.log(LETTERS) if second not in letters else 0)
            for first, second in _pairs(word)
        )

    distinct, inverse = np.unique(unknown, return_inverse=True)
    return np.array([nats(word) for word in distinct.tolist()])[inverse]


def _pairs(word: str) -> list[tuple[str, str]]:
    return list(zip(["", *word], [*word, ""]))


def save(vocabulary: Vocabulary, file: BinaryIO) -> None:
    """Two arrays one after the other: words <U (V,), counts int64 (V,)."""
    write_array(vocabulary.words, file)
    write_array(vocabulary.counts, file)


def is_one(file: BinaryIO) -> bool:
    """Whether a seekable .npy file begins as a vocabulary does; reads no further than that."""
    size = file.seek(0, 2)
    file.seek(0)
    if not size:
        return False
    shape, dtype = read_header(file, size)
    begin = file.read(len(SPECIALS) * dtype.itemsize)
    file.seek(0)
    return len(shape) == 1 and dtype.kind == "U" and begin == np.array(SPECIALS).astype(dtype).tobytes()


def load(file: BinaryIO) -> Vocabulary:
    """Read a vocabulary from a seekable file; raises MusicgenError for anything else."""
    size = file.seek(0, 2)
    file.seek(0)
    if not size:
        raise MusicgenError("is empty; did the command before it fail?")
    listed = read_array(file, size)
    counts: NDArray[Any] = read_array(file, size) if file.tell() < size else np.zeros(0)
    if listed.dtype.kind != "U" or listed.ndim != 1 or tuple(listed[: len(SPECIALS)].tolist()) != SPECIALS:
        raise MusicgenError("is no vocabulary; `musicgen vocab words.npy` makes one")
    counted = counts.shape == listed.shape and counts.dtype == np.int64 and not (counts < 0).any()
    if not counted or len(set(listed.tolist())) < len(listed):
        raise MusicgenError("is a damaged vocabulary; `musicgen vocab words.npy` makes one")
    words.lengths(listed[len(SPECIALS) :])  # which names what is no word
    return Vocabulary(listed, counts)
