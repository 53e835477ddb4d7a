"""A step as a model hears it: its bits, and beside them what memory says comes next and how far the music is moved."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from musicgen_cli.memory import LENGTHS, Memory, remembered
from musicgen_cli.score import KEYS


@dataclass(frozen=True)
class Hearing:
    """size: bits of a step, 0 for ids, which are heard as they are; memory: whether what memory says is heard.

    shifts: by how many keys at most music is moved in training, told as one of 2 * shifts + 1; 0 where nothing is told
    """

    size: int
    memory: bool = False
    shifts: int = 0

    @property
    def planes(self) -> int:
        """Steps among what is heard: the last one, and the one that memory says follows."""
        return 1 + self.memory

    @property
    def remembers(self) -> int:
        """Numbers that memory says after a step."""
        return self.memory * (self.size + len(LENGTHS))

    @property
    def width(self) -> int:
        """Numbers of a step as it is heard."""
        told = self.memory * len(LENGTHS) + (2 * self.shifts + 1 if self.shifts else 0)
        return self.planes * self.size + told

    def bits(self, heard: Tensor) -> Tensor:
        """The steps (..., size) of what is heard (..., width)."""
        return heard[..., : self.size] if self.size else heard

    def keyboards(self, heard: Tensor) -> Tensor:
        """The steps among what is heard (N, width), as (N, planes, size)."""
        return heard[:, : self.planes * self.size].view(len(heard), self.planes, self.size)

    def recall(self, steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What memory says after each step (T, size) of one piece, (T, remembers)."""
        return remembered(steps) if self.memory else np.zeros((len(steps), 0), np.uint8)

    def told(self, *parts: Tensor) -> Tensor:
        """Steps (..., size), and what memory says after them, as they are heard where nothing is moved (..., width)."""
        steps, *_ = parts
        if self.shifts:
            unmoved = F.one_hot(torch.tensor(self.shifts), 2 * self.shifts + 1)
            parts = (*parts, unmoved.to(steps).expand(*steps.shape[:-1], -1))
        return torch.cat(parts, -1) if len(parts) > 1 else steps

    def silence(self, *shape: int, device: torch.device) -> Tensor:
        """What is heard before the beginning of songs, (..., width)."""
        return self.told(torch.zeros(*shape, self.planes * self.size + self.memory * len(LENGTHS), device=device))

    def move(self, heard: Tensor, shifts: Tensor) -> Tensor:
        """What is heard (B, T, width), each song moved up by its own number of keys, int64 (B,), and told so."""
        songs, steps, _ = heard.shape
        end = self.planes * self.size
        planes = heard[..., :end].reshape(songs, -1, self.size)
        parts = [transpose(planes, shifts).view(songs, steps, -1)]
        if self.memory:
            parts.append(heard[..., end : end + len(LENGTHS)])
        if self.shifts:
            moved = F.one_hot(shifts + self.shifts, 2 * self.shifts + 1).to(heard)
            parts.append(moved[:, None].expand(-1, steps, -1))
        return torch.cat(parts, -1)

    def listener(self, songs: int) -> Callable[[Tensor], Tensor]:
        """Hears steps (songs, size) one after the other, as (songs, width); each song has a memory of its own."""
        memories = [Memory() for _ in range(songs)] if self.memory else []

        def hear(steps: Tensor) -> Tensor:
            if not self.size:
                return steps
            if not memories:
                return self.told(steps)
            rows = steps.cpu().numpy().astype(np.uint8)
            said = np.stack([memory.hear(row) for memory, row in zip(memories, rows)])
            return self.told(steps, torch.from_numpy(said).to(steps))

        return hear


def transpose(steps: Tensor, shifts: Tensor) -> Tensor:
    """Steps (B, T, 176) or (B, T, 88), each song moved up by its own number of keys, int64 (B,).

    What moves off the keyboard is gone.
    """
    keys = torch.arange(KEYS, device=steps.device) - shifts[:, None]
    there = (keys >= 0) & (keys < KEYS)
    by_key = steps.reshape(*steps.shape[:2], KEYS, -1)
    index = keys.clamp(0, KEYS - 1)[:, None, :, None].expand_as(by_key)
    return (by_key.gather(2, index) * there[:, None, :, None]).flatten(2)
