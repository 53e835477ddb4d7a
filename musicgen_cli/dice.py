"""Random numbers, the same with PyTorch and without: a generator of its own for each combination of seeds."""

import numpy as np
from numpy.typing import NDArray

AHEAD = 1 << 12  # numbers that are drawn at once


def mixed(*seeds: int) -> int:
    """One seed of 63 bits: what is drawn from it depends on nothing that another combination draws."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> 1)


class Coins:
    """What `torch.rand` draws on a CPU from a generator with this seed: of each draw of 32 bits the lower 24."""

    def __init__(self, seed: int):
        self.source = np.random.RandomState(seed & 0xFFFFFFFF)
        self.left = np.zeros(0, np.float32)

    def draw(self, count: int) -> NDArray[np.float32]:
        """Numbers from 0 up to 1, (count,)."""
        if count > len(self.left):
            new = np.frombuffer(self.source.bytes(4 * max(count, AHEAD)), "<u4") & 0xFFFFFF
            self.left = np.concatenate([self.left, new.astype(np.float32) * np.float32(2**-24)])
        drawn, self.left = self.left[:count], self.left[count:]
        return drawn
