"""Notes that are given, and the room they leave for others: what harmonising a tune comes down to."""

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.roll import sounding, struck
from musicgen_cli.score import KEYS


def highest(sounds: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The highest key that sounds at each step (T,), -1 in silence."""
    return np.where(sounds.any(1), KEYS - 1 - np.argmax(sounds[:, ::-1], axis=1), -1)


def tidy(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A roll (T, 88, 2) or (T, 88) as it is read: starts where notes begin, continues where they go on."""
    if roll.ndim == 2:
        return roll
    strikes = struck(roll)
    return np.stack([strikes, sounding(roll) & ~strikes], 2)


def top_line(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The highest of the notes at each step, as a roll; a note below comes in where the one above it ends."""
    sounds = sounding(roll)
    on_top = sounds & (np.arange(KEYS) == highest(sounds)[:, None])
    return tidy(roll & (on_top if roll.ndim == 2 else on_top[:, :, None]))


def room(given: NDArray[np.bool_], on_top: bool) -> NDArray[np.bool_]:
    """Which bits may be set beside given notes, (T, 88, 2) or (T, 88), so that these stay what they are.

    On their own keys nothing else sounds. No other note prolongs a given one, on rolls of one bit none leads into it.
    on_top: nothing sounds above the given notes or, while they rest, as high as the last of them, and nothing before
    they begin.
    """
    sounds = sounding(given)
    after = np.concatenate([np.zeros_like(sounds[:1]), sounds[:-1]]) & ~sounds  # the steps where given notes are over
    if given.ndim == 3:
        may = np.stack([~sounds, ~sounds & ~after], 2)
    else:
        ahead = np.concatenate([sounds[1:], np.zeros_like(sounds[:1])])
        may = ~sounds & ~after & ~ahead
    if not on_top:
        return may
    tops = highest(sounds)
    last = np.maximum.accumulate(np.where(tops >= 0, np.arange(len(tops)), -1))
    below = np.arange(KEYS) < np.where(last < 0, -1, tops[last])[:, None]
    return np.asarray(may & (below if given.ndim == 2 else below[:, :, None]))
