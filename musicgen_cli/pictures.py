"""A piano roll drawn as text."""

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.roll import sounding, struck
from musicgen_cli.score import LOWEST

BRAILLE = 0x2800  # the cell without dots
DOTS = np.array([[1, 8], [2, 16], [4, 32], [64, 128]])  # of a cell, from its upper left
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def ascii_roll(roll: NDArray[np.bool_], steps_per_bar: int = 0) -> list[str]:
    """A roll (T, 88, 2) or (T, 88) as lines, high keys first: `#` start, `-` continue, `.` silence, `|` bar lines.

    Only the keys from the lowest to the highest that sounds are drawn.
    """
    sounds, starts = sounding(roll), struck(roll)
    keys = np.flatnonzero(sounds.any(0))
    if not len(keys):
        return ["(silence)"]
    cells = np.where(starts, "#", np.where(sounds, "-", "."))
    lines = []
    for key in range(keys[-1], keys[0] - 1, -1):
        row = "".join(cells[:, key])
        lines.append(f"{pitch_name(key + LOWEST):>3} {_with_bars(row, steps_per_bar)}")
    return lines


def block_roll(roll: NDArray[np.bool_], steps_per_bar: int = 0) -> list[str]:
    """The same in half the lines: two keys a line by half blocks, starts not told from continues."""
    sounds = sounding(roll)
    keys = np.flatnonzero(sounds.any(0))
    if not len(keys):
        return ["(silence)"]
    top = keys[-1] | 1
    lines = []
    for key in range(top, keys[0] - 1, -2):
        row = "".join(np.array([" ", "▄", "▀", "█"])[2 * sounds[:, key] + sounds[:, key - 1]])
        lines.append(f"{pitch_name(key - 1 + LOWEST):>3} {_with_bars(row, steps_per_bar)}")
    return lines


def braille_roll(roll: NDArray[np.bool_], steps_per_bar: int = 0) -> list[str]:
    """The same in a quarter of the lines and half the width: a dot a step, two steps and four keys a cell.

    Bar lines are drawn where they fall between cells.
    """
    sounds = sounding(roll)
    keys = np.flatnonzero(sounds.any(0))
    if not len(keys):
        return ["(silence)"]
    low, high = keys[0] // 4 * 4, keys[-1] // 4 * 4 + 4
    sounds = np.pad(sounds[:, low:high], ((0, len(sounds) % 2), (0, 0)))  # of 88 keys the last cell is full
    lines = []
    for key in range(high - 4, low - 1, -4):
        cells = sounds[:, key - low : key - low + 4][:, ::-1].reshape(-1, 2, 4)
        row = "".join(chr(BRAILLE + int(dots)) for dots in (cells * DOTS.T).sum((1, 2)))
        lines.append(f"{pitch_name(key + LOWEST):>3} {_with_bars(row, 0 if steps_per_bar % 2 else steps_per_bar // 2)}")
    return lines


def _with_bars(row: str, steps_per_bar: int) -> str:
    if not steps_per_bar:
        return row
    return "|".join(row[begin : begin + steps_per_bar] for begin in range(0, len(row), steps_per_bar))
