"""How well predicted bits match the bits that came."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Bits counted over any number of steps; counts add up."""

    hits: int = 0  # predicted and there
    predicted: int = 0
    actual: int = 0
    bits: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(vars(self).values(), vars(other).values())
        return Counts(*(mine + theirs for mine, theirs in pairs))

    @property
    def recall(self) -> float:
        """Share of the bits that were there which were predicted; 0 where there were none."""
        return self.hits / self.actual if self.actual else 0.0

    @property
    def precision(self) -> float:
        """Share of the predicted bits that were there; 0 where none was predicted."""
        return self.hits / self.predicted if self.predicted else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.hits / (self.predicted + self.actual) if self.predicted + self.actual else 0.0

    @property
    def accuracy(self) -> float:
        """Share of all bits that are right; silence has a high one, since most bits are 0."""
        wrong = self.predicted + self.actual - 2 * self.hits
        return 1 - wrong / self.bits if self.bits else 0.0

    @property
    def density(self) -> float:
        """Share of the bits that were predicted."""
        return self.predicted / self.bits if self.bits else 0.0


def count(predicted: NDArray[Any], actual: NDArray[Any]) -> Counts:
    """Compare two arrays of bits of one shape."""
    predicted, actual = np.asarray(predicted, bool), np.asarray(actual, bool)
    return Counts(int((predicted & actual).sum()), int(predicted.sum()), int(actual.sum()), actual.size)
