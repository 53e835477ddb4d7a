"""The forms in which a score is kept as an array, by name; the array itself tells which one it has."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import roll, words
from musicgen_cli.errors import MusicgenError, or_raise
from musicgen_cli.score import KEYS, MAX_STEPS, Draft, Score, quantise_all

ONSETS = 12  # steps per quarter note on which plain words tell chords apart: sixteenths, and triplets


@dataclass(frozen=True)
class Form:
    """How a score is written; name: in a corpus file; bits: of a key, 0 for words."""

    name: str
    bits: int
    encode: Callable[[Score], NDArray[Any]]


FORMS = {
    "rolls": Form(roll.NAME, 2, roll.encode),
    "sounding keys": Form(roll.NAME, 1, partial(roll.encode, bits=1)),
    "words": Form(words.NAME, 0, words.encode),
    "plain words": Form(words.NAME, 0, partial(words.encode, plain=True)),
}
ROLLS = {  # dtype and the shape of a step
    (np.dtype(bool), (KEYS, 2)): "rolls",
    (np.dtype(bool), (KEYS,)): "sounding keys",
    (np.dtype(np.uint8), (roll.BYTES,)): "rolls",  # packed
}


def form_of(music: NDArray[Any]) -> str:
    """The key of FORMS for an array, "" where it is no music."""
    if music.dtype.kind == "U" and music.ndim == 1:
        return "plain words" if words.is_plain(music) else "words"
    return ROLLS.get((music.dtype, music.shape[1:]), "") if music.ndim else ""


def encode(score: Score, form: str, steps_per_quarter: int, max_steps: int = MAX_STEPS) -> NDArray[Any]:
    """Quantise a score and write it in one of FORMS; raises MusicgenError where it is longer than `max_steps`."""
    return FORMS[form].encode(or_raise(quantise_for(form, [score], steps_per_quarter, max_steps)[0]))


def quantise_for(
    form: str, scores: Sequence[Score | Draft], steps_per_quarter: int, max_steps: int = MAX_STEPS
) -> list[Score | MusicgenError]:
    """Each score on the grid from which it is written in this form, or why it is not."""
    finer = math.lcm(ONSETS, steps_per_quarter) // steps_per_quarter if form == "plain words" else 1
    return quantise_all(scores, steps_per_quarter, max_steps, finer)


def decode(music: NDArray[Any], steps_per_quarter: int, tempo: float, time_signature: tuple[int, int]) -> Score:
    """Read an array of any form as the score it stands for."""
    if music.dtype.kind == "U":
        return words.decode(music, steps_per_quarter, tempo, time_signature)
    return roll.decode(as_roll(music), steps_per_quarter, tempo, time_signature)


def as_roll(music: NDArray[Any]) -> NDArray[np.bool_]:
    """Music of any form as an unpacked roll, bool (T, 88, 2) or (T, 88)."""
    if music.dtype.kind == "U":
        return roll.encode(words.decode(music, 1))
    return roll.unpack(music) if music.dtype == np.uint8 else np.asarray(music)


def first(music: NDArray[Any], steps: int) -> NDArray[Any]:
    """The first steps of a song; of a word that lasts longer what is within them."""
    return words.cut(music, steps) if music.dtype.kind == "U" else music[:steps]


def is_silent(music: NDArray[Any]) -> bool:
    return not (words.notes(music) if music.dtype.kind == "U" else music).any()
