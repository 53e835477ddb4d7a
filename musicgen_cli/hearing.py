"""A step as a model hears it: its bits, and beside them what it recalls of the piece and how far music is moved."""

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from musicgen_cli.memory import LENGTHS, Memory
from musicgen_cli.score import KEYS
from musicgen_cli.tonality import CLASSES, NUMBERS, Tonality


@dataclass(frozen=True)
class Hearing:
    """size: bits of a step, 0 for ids, which are heard as they are; tonality, memory: whether they are heard, too.

    shifts: by how many keys at most music is moved in training, told as one of 2 * shifts + 1; 0 where nothing is told
    What is heard: the step, the step that memory says follows; how long it remembered, the tonality, the shift.
    """

    size: int
    memory: bool = False
    tonality: bool = False
    shifts: int = 0

    @property
    def planes(self) -> int:
        """Steps among what is heard: the last one, and the one that memory says follows."""
        return 1 + self.memory

    @property
    def recalls(self) -> int:
        """Numbers that are recalled after a step."""
        return self.memory * (self.size + len(LENGTHS)) + self.tonality * NUMBERS

    @property
    def width(self) -> int:
        """Numbers of a step as it is heard."""
        return self.size + self.recalls + (2 * self.shifts + 1 if self.shifts else 0)

    def bits(self, heard: Tensor) -> Tensor:
        """The steps (..., size) of what is heard (..., width)."""
        return heard[..., : self.size] if self.size else heard

    def keyboards(self, heard: Tensor) -> Tensor:
        """The steps among what is heard (N, width), as (N, planes, size)."""
        return heard[:, : self.planes * self.size].view(len(heard), self.planes, self.size)

    def classes(self, heard: Tensor) -> Tensor:
        """The tonality in what is heard (N, width), (N, 2, 12), or (N, 0, 12) where it is not."""
        begin = self.size + self.recalls - NUMBERS * self.tonality
        return heard[:, begin : begin + NUMBERS * self.tonality].view(len(heard), -1, CLASSES)

    def recall(self, steps: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What is recalled after each step (T, size) of one piece, (T, recalls)."""
        mind = Mind(self)
        return np.array([mind.hear(step) for step in steps], np.float32).reshape(len(steps), self.recalls)

    def told(self, *parts: Tensor) -> Tensor:
        """Steps (..., size), and what is recalled after them, as they are heard where nothing is moved (..., width)."""
        steps, *_ = parts
        if self.shifts:
            unmoved = steps.new_zeros(2 * self.shifts + 1)
            unmoved[self.shifts] = 1
            parts = (*parts, unmoved.expand(*steps.shape[:-1], -1))
        return torch.cat(parts, -1) if len(parts) > 1 else steps

    def silence(self, *shape: int, device: torch.device) -> Tensor:
        """What is heard before the beginning of songs, (..., width)."""
        return self.told(torch.zeros(*shape, self.size + self.recalls, device=device))

    def move(self, heard: Tensor, shifts: Tensor) -> Tensor:
        """What is heard (B, T, width), each song moved up by its own number of keys, int64 (B,), and told so."""
        songs, steps, _ = heard.shape
        end = self.planes * self.size
        parts = [transpose(heard[..., :end].reshape(songs, -1, self.size), shifts).view(songs, steps, -1)]
        if self.memory:
            parts.append(heard[..., end : end + len(LENGTHS)])
        if self.tonality:
            classes = self.classes(heard.flatten(0, 1)).reshape(songs, -1, CLASSES)
            turned = (torch.arange(CLASSES, device=heard.device) - shifts[:, None]) % CLASSES
            moved = classes.gather(2, turned[:, None].expand_as(classes))
            parts.append(moved.view(songs, steps, NUMBERS))
        if self.shifts:
            told = F.one_hot(shifts + self.shifts, 2 * self.shifts + 1).to(heard)
            parts.append(told[:, None].expand(-1, steps, -1))
        return torch.cat(parts, -1)


class Mind:
    """Hears one piece step by step, and says what it recalls after each."""

    def __init__(self, hearing: Hearing):
        self.parts = [part() for part, there in ((Memory, hearing.memory), (Tonality, hearing.tonality)) if there]

    def hear(self, step: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([part.hear(step) for part in self.parts], dtype=np.float32)

    def copy(self) -> "Mind":
        other = copy(self)
        other.parts = [part.copy() for part in self.parts]
        return other


class Listener:
    """Hears several songs, step by step; each recalls its own."""

    def __init__(self, hearing: Hearing, songs: int):
        self.hearing = hearing
        self.minds = [Mind(hearing) for _ in range(songs)] if hearing.recalls else []

    def hear(self, steps: Tensor) -> Tensor:
        """The next steps (songs, size), or ids (songs,), as they are heard."""
        if not self.hearing.size:
            return steps
        if not self.minds:
            return self.hearing.told(steps)
        rows = steps.cpu().numpy().astype(np.uint8)
        said = np.stack([mind.hear(row) for mind, row in zip(self.minds, rows)])
        return self.hearing.told(steps, torch.from_numpy(said).to(steps))

    def take(self, rows: Tensor) -> None:
        """Go on with some of the songs, int64 (songs,), each as often as it is named."""
        if self.minds:
            self.minds = [self.minds[row].copy() for row in rows.tolist()]


def transpose(steps: Tensor, shifts: Tensor) -> Tensor:
    """Steps (B, T, 176) or (B, T, 88), each song moved up by its own number of keys, int64 (B,).

    What moves off the keyboard is gone.
    """
    keys = torch.arange(KEYS, device=steps.device) - shifts[:, None]
    there = (keys >= 0) & (keys < KEYS)
    by_key = steps.reshape(*steps.shape[:2], KEYS, -1)
    index = keys.clamp(0, KEYS - 1)[:, None, :, None].expand_as(by_key)
    return (by_key.gather(2, index) * there[:, None, :, None]).flatten(2)
