"""What a model is taught from: songs as steps, and what can be known of them before any training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.corpus import Corpus
from musicgen_cli.dataset import Move, in_ids, mover, rates, unseen_rate, word_rates
from musicgen_cli.errors import MusicgenError
from musicgen_cli.roll import sounding
from musicgen_cli.vocabulary import UNKNOWN, Vocabulary, count


@dataclass(frozen=True)
class Material:
    """steps: a corpus of bits or ids; size: bits of a step, or words; rates: how often each comes (size,).

    move: how steps are transposed, if not as bits are; loss: what the losses of one choice have to know
    unknown: share of the words, moved as training moves them, that have no id
    """

    steps: Corpus
    size: int
    rates: NDArray[np.float64]
    move: Move | None
    loss: dict[str, Any]
    vocabulary: Vocabulary | None = None
    unknown: float = 0.0


def of_rolls(music: Corpus, songs: Sequence[int]) -> Material:
    often = rates(music, songs)
    silent = sum(int((~sounding(music.roll(i)).any(1)).sum()) for i in songs)
    steps = int(music.lengths[list(songs)].sum())
    together = float(often.sum()) * steps / max(steps - silent, 1)
    return Material(music, len(often), often, None, {"together": together})


def of_words(music: Corpus, songs: Sequence[int], furthest: int, vocabulary: Vocabulary | None = None) -> Material:
    """Words and their ids, those of a vocabulary or of all words in these songs moved by up to `furthest` keys."""
    given = vocabulary is not None
    vocabulary = vocabulary or count([music[i] for i in songs], furthest=furthest)
    steps = in_ids(music, vocabulary)
    ids = np.concatenate([steps[i] for i in songs])
    if not len(ids):
        raise MusicgenError("its training songs are empty")
    unknown = int((ids == UNKNOWN).sum())
    if unknown == len(ids):
        raise MusicgenError(
            "none of its words is in the vocabulary; is that one of another form, plain or with lengths?"
        )
    table = vocabulary.transposed(furthest)
    # A list that was given is what it is; one counted here has no word that only other songs have.
    unseen = (unknown + 1) / (len(ids) + 2) if given else unseen_rate(steps, songs, table)
    often, missing = word_rates(ids, table), float((table[:, ids] == UNKNOWN).mean())
    return Material(steps, len(vocabulary), often, mover(table), {"unseen": unseen}, vocabulary, missing)
