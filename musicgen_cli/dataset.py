"""The one door from NumPy to PyTorch: rolls and words to steps and back, and windows that lie inside songs.

A step is a row of bits, (176,) or (88,), or the id of a word, ().
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen_cli.corpus import Corpus
from musicgen_cli.device import onto
from musicgen_cli.errors import MusicgenError
from musicgen_cli.hearing import Hearing
from musicgen_cli.roll import flat
from musicgen_cli.vocabulary import UNKNOWN, Vocabulary

AS_IT_IS = Hearing(0)
BLOCK = 8  # batches among which windows of like length are found
Move = Callable[[Tensor, Tensor], Tensor]  # steps (B, T, ...), keys up (B,) -> steps


def in_ids(corpus: Corpus, vocabulary: Vocabulary) -> Corpus:
    """A corpus of words as one of ids, int32 (N,): its songs are windows' and models', no longer scores."""
    return replace(corpus, music=np.concatenate([vocabulary.ids(part) for part in corpus.parts]))


def to_steps(music: NDArray[Any]) -> Tensor:
    """A roll (..., 88, 2) or (..., 88), or packed (..., 22), as steps uint8 (..., 176) or (..., 88); ids as int64."""
    if music.dtype == np.int32:
        return torch.from_numpy(music.astype(np.int64))
    steps = flat(music)
    return torch.from_numpy(np.array(steps, copy=not steps.flags.writeable))


def as_input(steps: Tensor) -> Tensor:
    """Steps as a model reads them: bits as float32, ids as int64."""
    return steps if steps.dtype == torch.int64 else steps.float()


@dataclass(frozen=True)
class Windows:
    """Places in a corpus where `source` steps are read and the next `target` steps, at most, are to be written.

    Source 0 is for models that read songs from their beginning: of what came before, only the last step is read.

    Beyond the ends of a song a window holds zeros: before the first step that means "before the beginning".
    song, at: int64 (W,), the song of each window and the row of its first target step
    hearing: how steps are heard; recalled: what is recalled after each row of the corpus (T, hearing.recalls)
    """

    corpus: Corpus
    song: NDArray[np.int64]
    at: NDArray[np.int64]
    source: int
    target: int
    hearing: Hearing = AS_IT_IS
    recalled: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.at)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Target steps of each window that are within its song, (W,)."""
        return np.asarray(np.minimum(self.target, self.corpus.offsets[self.song + 1] - self.at))

    def batch(self, index: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Source (B, S, ...) and target (B, T, ...) as they are heard, and which target steps are real, bool (B, T)."""
        offsets, song = self.corpus.offsets, self.song[index]
        source = self.source or 1
        longest = int((offsets[song + 1] - self.at[index]).max(initial=0))
        rows = self.at[index][:, None] + np.arange(-source, min(self.target, longest))
        inside = (rows >= offsets[song][:, None]) & (rows < offsets[song + 1][:, None])
        rows = np.where(inside, rows, 0)
        steps = to_steps(self.corpus.music[rows])
        steps *= torch.from_numpy(inside).view(*inside.shape, *[1] * (steps.dim() - 2))
        read, real = onto(device, steps), onto(device, torch.from_numpy(inside))  # bits as bytes
        if self.hearing.size:
            said = [] if self.recalled is None else [torch.from_numpy(self.recalled[rows] * inside[..., None])]
            read = self.hearing.told(read, *(onto(device, part) for part in said))
        read = as_input(read)
        return read[:, :source], read[:, source:], real[:, source:]

    def batches(self, most: int, cells: int) -> Iterator[NDArray[np.int64]]:
        """All windows, the like long together: indices of at most `most`, which fill at most `cells` steps."""
        lengths = self.lengths
        order = np.argsort(lengths, kind="stable")
        begin = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or end - begin >= most or (end + 1 - begin) * lengths[order[end]] > cells:
                yield order[begin:end]
                begin = end

    def shuffled(self, rng: np.random.Generator, batch_size: int) -> NDArray[np.int64]:
        """An order to learn in: at random, but windows in a batch are about as long as each other."""
        order = rng.permutation(len(self))
        lengths = self.lengths
        if lengths.min() == lengths.max():
            return order
        whole = len(order) // batch_size * batch_size  # the rest is the last batch
        blocks = np.split(order[:whole], range(BLOCK * batch_size, whole, BLOCK * batch_size))
        like = np.concatenate([block[np.argsort(lengths[block], kind="stable")] for block in blocks])
        batches = rng.permutation(like.reshape(-1, batch_size))
        return np.concatenate([batches.ravel(), order[whole:]])


def inside(corpus: Corpus, songs: Sequence[int], source: int, target: int, hop: int, **hearing: Any) -> Windows:
    """Windows to learn from: targets every `hop` steps, and one that ends with the song.

    A shorter song has none, unless songs are read from their beginning: then one of all its steps.
    """
    song, at = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i in songs:
        begin, last = int(corpus.offsets[i]), int(corpus.offsets[i + 1]) - target
        if not source and corpus.lengths[i]:
            last = max(last, begin)
        if last >= begin:
            at.append(np.unique(np.append(np.arange(begin, last, hop), last)))
            song.append(np.full(len(at[-1]), i))
    return Windows(corpus, np.concatenate(song), np.concatenate(at), source, target, **hearing)


def cover(corpus: Corpus, songs: Sequence[int], source: int, target: int, **hearing: Any) -> Windows:
    """Windows to be judged by: targets side by side, so that every step of every song is written once.

    Where songs are read from their beginning, one for each song.
    """
    target = target if source else max([1, *corpus.lengths[list(songs)].tolist()])
    at = [np.arange(corpus.offsets[i], corpus.offsets[i + 1], target) for i in songs]
    song = np.repeat(np.asarray(songs, np.int64), [len(places) for places in at])
    return Windows(corpus, song, np.concatenate([*at, np.zeros(0, np.int64)]), source, target, **hearing)


def recalled(corpus: Corpus, songs: Sequence[int], hearing: Hearing) -> NDArray[np.float32] | None:
    """What is recalled after each row of some songs of a corpus (T, hearing.recalls), if anything is."""
    if not hearing.recalls:
        return None
    said = _on_disk((len(corpus.music), hearing.recalls))
    for i in songs:
        said[corpus.offsets[i] : corpus.offsets[i + 1]] = hearing.recall(to_steps(corpus[i]).numpy())
    return said


def _on_disk(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Zeros in a file without a name: hundreds of bytes a step are more than memory holds of a large collection."""
    size = 4 * shape[0] * shape[1]
    try:
        with tempfile.TemporaryFile() as file:
            if not size or not hasattr(os, "posix_fallocate"):  # where a full disk would be met too late
                return np.zeros(shape, np.float32)
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as error:
        raise MusicgenError(
            f"{tempfile.gettempdir()}: {error.strerror or error}: {size >> 20} MiB are needed for what is recalled; "
            "set TMPDIR to another folder"
        ) from None


def rates(corpus: Corpus, songs: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each bit of a step is set in these songs, (176,) or (88,)."""
    total = sum((to_steps(corpus[i]).sum(0, dtype=torch.int64).numpy() for i in songs), np.zeros(()))
    return np.asarray(total / max(int(corpus.lengths[list(songs)].sum()), 1), float)


def word_rates(ids: NDArray[np.int32], table: NDArray[np.int32]) -> NDArray[np.float64]:
    """How often each word comes (V,) among ids (N,), none ruled out.

    table: int32 (M, V), the ids of each word moved; how often they come then is what rare words are judged by (the
    smoothing of Witten and Bell 1991).
    """
    own = np.bincount(ids, minlength=table.shape[1])
    moved = np.ones(len(own))
    for row in table:
        np.add.at(moved, row, own)
    rates = own + np.count_nonzero(own) * moved / moved.sum()
    return np.asarray(rates / rates.sum(), float)


def unseen_rate(corpus: Corpus, songs: Sequence[int], table: NDArray[np.int32]) -> float:
    """How often a word of a new song is none that was met: as often as a song here has words that no other one has.

    corpus: of ids; table: int32 (M, V), the ids of each word moved. At most one half.
    """
    where = np.repeat(np.arange(len(songs)), corpus.lengths[list(songs)])
    ids = np.concatenate([corpus[i] for i in songs])
    pairs = np.unique(np.concatenate([moved[ids] * len(songs) + where for moved in table.astype(np.int64)]))
    met_in = np.bincount(pairs // len(songs), minlength=table.shape[1])
    alone = (met_in[ids] < 2) | (ids == UNKNOWN)
    return min(0.5, (int(alone.sum()) + 1) / (len(ids) + 2))


def mover(table: NDArray[np.int32]) -> Move:
    """`transpose` for ids, by a table (2 * furthest + 1, V) of what each word becomes."""
    furthest = len(table) // 2
    moved = torch.from_numpy(table.astype(np.int64))

    def transpose_ids(steps: Tensor, shifts: Tensor) -> Tensor:
        nonlocal moved
        moved = moved.to(steps.device)  # where it stays
        return moved[shifts[:, None] + furthest, steps]

    return transpose_ids
