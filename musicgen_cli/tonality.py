"""Where a piece is: how much of each pitch class sounded lately."""

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.score import KEYS

CLASSES = 12
FADING = np.array([[1 / 8], [1 / 64]])  # share of what is remembered that each new step takes the place of
NUMBERS = len(FADING) * CLASSES


class Tonality:
    """Hears one piece, step by step; remembers a chord or two, and a phrase or two."""

    def __init__(self) -> None:
        self.level = np.zeros((len(FADING), CLASSES))

    def copy(self) -> "Tonality":
        """Another that has heard the same."""
        other = Tonality()
        other.level = self.level.copy()
        return other

    def hear(self, step: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Hear a step (88,) or (176,): how much of each pitch class sounded lately, 0 to 1, float32 (24,).

        A class is counted from the lowest key, A.
        """
        sounds = np.flatnonzero(step.reshape(KEYS, -1).any(1)) % CLASSES
        now = np.zeros(CLASSES)
        now[sounds] = 1
        self.level += FADING * (now - self.level)
        return self.level.ravel().astype(np.float32)
