"""How a piece remembers itself: what followed the last time that its latest steps were heard.

The match model of compression programs (as in Mahoney's PAQ), for steps.
"""

import numpy as np
from numpy.typing import NDArray

LENGTHS = (16, 8, 4, 2)  # steps that have to be the same; the longest match is told


class Memory:
    """Hears one piece, step by step, and never knows more of it than it has heard."""

    def __init__(self) -> None:
        self.steps: list[NDArray[np.uint8]] = []
        self.names: dict[bytes, int] = {}  # of different steps
        self.heard: list[int] = []  # the steps by their names
        self.after: dict[tuple[int, ...], int] = {}  # some latest steps -> where the step after them stands

    def copy(self) -> "Memory":
        """Another that has heard the same."""
        other = Memory()
        other.steps, other.names = self.steps.copy(), self.names.copy()
        other.heard, other.after = self.heard.copy(), self.after.copy()
        return other

    def hear(self, step: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Hear a step (size,): the step that followed when the latest were heard before, and how many were the same.

        uint8 (size + 4): the step, and which of LENGTHS it was; all 0 where nothing was the same.
        """
        self.steps.append(step)
        self.heard.append(self.names.setdefault(step.tobytes(), len(self.names)))
        told = np.zeros(len(step) + len(LENGTHS), np.uint8)
        place = len(self.steps)
        for i, length in enumerate(LENGTHS):
            if place < length:
                continue
            latest = tuple(self.heard[-length:])
            earlier = self.after.get(latest)
            if earlier is not None and not told[len(step) :].any():
                told[: len(step)] = self.steps[earlier]
                told[len(step) + i] = 1
            self.after[latest] = place
        return told
