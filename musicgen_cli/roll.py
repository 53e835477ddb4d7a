"""A score as a piano roll: a row per step, 88 keys, and for each key two bits (start, continue) or one (sounds)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.score import KEYS, LOWEST, Score

NAME = "roll"
ROW = KEYS * 2  # bits of a step
BYTES = ROW // 8  # of a packed step
SPARSE = 8  # keys held at once up to which they are drawn one by one; above, step by step
CHUNK = 1 << 8  # steps drawn at once: they fit into a cache
BEGIN, CONTINUE = 0x0001, 0x0100  # start and continue as one number, the lower byte first


def encode(score: Score, bits: int = 2) -> NDArray[np.bool_]:
    """Draw a quantised score as a roll, bool (T, 88, 2) of start and continue, or with one bit (T, 88) of sounding."""
    keys = np.zeros((score.length + 1) * KEYS, "<u2")  # whose bytes are the two bits; a row for what ends with the last
    start, end, pitch = score.notes.T
    steps = end - start
    total = np.zeros(len(steps) + 1, np.int64)
    np.cumsum(steps, out=total[1:])
    place = start * KEYS + pitch - LOWEST
    if total[-1] * KEYS <= SPARSE * len(keys):
        at = np.repeat(place - KEYS * total[:-1], steps)
        at += np.arange(0, KEYS * total[-1], KEYS)
        keys[at] = CONTINUE
    else:
        after, until = place + KEYS, place + steps * KEYS
        keys[np.append(after[steps > 1], until[steps > 1])] = CONTINUE
        _hold(keys)
    keys[place] = BEGIN
    roll = keys[:-KEYS].view(bool).reshape(-1, KEYS, 2)
    return roll if bits == 2 else sounding(roll)


def _hold(keys: NDArray[np.uint16]) -> None:
    """Set each key from where it is set to where it is set again, which is after it, four of them at once."""
    rows = keys.view(np.uint64).reshape(-1, ROW // 8)
    for begin in range(0, len(rows), CHUNK - 1):
        some = rows[begin : begin + CHUNK]  # with the last row of the chunk before
        np.bitwise_xor.accumulate(some, 0, out=some)


def decode(
    roll: NDArray[np.bool_],
    steps_per_quarter: int,
    tempo: float = 120.0,
    time_signature: tuple[int, int] = (4, 4),
) -> Score:
    """Read any roll, (T, 88, 2) or (T, 88), as the score it stands for.

    Reading is total: a continue with nothing to continue is a start, a start wins over a continue.
    """
    sounds, strikes = sounding(roll), struck(roll)
    edge = np.zeros((1, KEYS), bool)
    ends = sounds & ~(np.concatenate([sounds[1:], edge]) & ~np.concatenate([strikes[1:], edge]))
    # In the order of keys, then steps, the first and the last step of each note stand at the same rank.
    key, start = np.nonzero(strikes.T)
    _, last = np.nonzero(ends.T)
    notes = np.stack([start, last + 1, key + LOWEST], 1)
    return Score(notes, steps_per_quarter, len(roll), tempo, time_signature)


def sounding(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which keys sound, bool (T, 88), of a roll (T, 88, 2) or (T, 88)."""
    return roll if roll.ndim == 2 else roll[:, :, 0] | roll[:, :, 1]


def struck(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where notes begin, bool (T, 88): at a start bit, or where a key sounds that did not."""
    sounds = sounding(roll)
    new = sounds.copy()
    new[1:] &= ~sounds[:-1]
    return new if roll.ndim == 2 else new | roll[:, :, 0]


def flat(roll: NDArray[Any]) -> NDArray[np.uint8]:
    """A roll (..., 88, 2) or (..., 88), or packed (..., 22), as bits of its steps, uint8 (..., 176) or (..., 88)."""
    if roll.dtype == np.uint8:
        return np.unpackbits(roll).reshape(*roll.shape[:-1], ROW)
    bits = roll.view(np.uint8)
    return bits.reshape(*roll.shape[:-2], ROW) if roll.shape[-1] == 2 else bits


def unflat(steps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Steps (T, 176) or (T, 88) as a roll, bool (T, 88, 2) or (T, 88)."""
    bits = steps.astype(bool)
    return bits.reshape(len(bits), KEYS, 2) if bits.shape[1] == ROW else bits


def pack(roll: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A two-bit roll at an eighth of its size, uint8 (T, 22)."""
    return np.packbits(roll).reshape(len(roll), BYTES)  # not by axis, which takes several times as long


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The inverse of `pack`, bool (T, 88, 2)."""
    return np.unpackbits(packed).view(bool).reshape(*packed.shape[:-1], KEYS, 2)
