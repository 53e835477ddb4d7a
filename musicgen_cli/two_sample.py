"""A classifier that tries to tell real music from made music, bar by bar (Lopez-Paz & Oquab 2017)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen_cli.score import KEYS

MOST = 1000  # bars of each kind in each half
STEPS, BATCH, RATE = 300, 64, 3e-3  # of the training
NORMAL = 1.96  # standard deviations on each side of 95 %

Rolls = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class Result:
    """Bars told right, of as many that were judged, half of them real; low, high: the 95 % interval by Wilson 1927.

    The interval takes bars for independent; those of one song are not, so it is rather too narrow.
    """

    right: int
    of: int

    @property
    def accuracy(self) -> float:
        return self.right / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Where the accuracy lies, were it measured without end."""
        share, room = self.accuracy, NORMAL**2 / self.of
        middle = (share + room / 2) / (1 + room)
        half = NORMAL / (1 + room) * math.sqrt(share * (1 - share) / self.of + room / self.of / 4)
        return middle - half, middle + half


def tell_apart(real: Rolls, made: Rolls, steps_per_bar: int, seed: int = 0) -> Result | None:
    """Train on half of the songs of each kind, and tell the bars of the other half, as many real as made ones.

    No song is in both halves. None where there are not two songs with a whole bar on both sides.
    """
    rng = np.random.default_rng(seed)
    halves = [_halves(rolls, steps_per_bar, rng) for rolls in (made, real)]
    if not all(len(bars) for kind in halves for bars in kind):
        return None
    known, judged = ([_some(kind[half], MOST, rng) for kind in halves] for half in range(2))
    fewest = min(map(len, judged))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        judge = _learned(known, rng)
        with torch.inference_mode():
            said = [judge(_input(_some(bars, fewest, rng)))[:, 0] > 0 for bars in judged]
    made_right, real_right = int((~said[0]).sum()), int(said[1].sum())
    return Result(made_right + real_right, 2 * fewest)


def _halves(rolls: Rolls, steps: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """The bars (N, steps, 88, bits) of half of the songs, and those of the other half."""
    long = [roll.reshape(len(roll), KEYS, -1) for roll in rolls if len(roll) >= steps]
    order = rng.permutation(len(long))
    empty = np.zeros((0, steps, KEYS, 1), bool)
    halves = []
    for half in (order[: len(long) // 2], order[len(long) // 2 :]):
        bars = [long[i][: len(long[i]) // steps * steps].reshape(-1, steps, *long[i].shape[1:]) for i in half]
        halves.append(np.concatenate(bars) if bars else empty)
    return halves


def _some(bars: NDArray[np.bool_], most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return bars[rng.permutation(len(bars))[:most]]


def _input(bars: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(np.moveaxis(bars, 3, 1)).float()


def _learned(kinds: Sequence[NDArray[np.bool_]], rng: np.random.Generator) -> nn.Module:
    """A small network that says for bars (N, bits, steps, 88) how much rather real (1) than made (0) they are."""
    bits = kinds[0].shape[3]
    judge = nn.Sequential(
        nn.Conv2d(bits, 24, (4, 13), stride=(2, 3), padding=(2, 6)),
        nn.ReLU(),
        nn.Conv2d(24, 32, (3, 5), stride=(2, 2), padding=(1, 2)),
        nn.ReLU(),
        Pooled(),
        nn.Dropout(0.3),
        nn.Linear(64, 1),
    )
    steps = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=0.01)
    bars, labels = torch.cat([_input(kind) for kind in kinds]), torch.tensor([0.0, 1.0])
    labels = labels.repeat_interleave(torch.tensor([len(kind) for kind in kinds]))
    first = len(kinds[0])
    for _ in range(STEPS):  # as many of either kind at a time
        index = torch.from_numpy(
            np.concatenate([rng.integers(0, first, BATCH // 2), rng.integers(first, len(bars), BATCH // 2)])
        )
        loss = nn.functional.binary_cross_entropy_with_logits(judge(bars[index])[:, 0], labels[index])
        steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        steps.step()
    return judge.eval()


class Pooled(nn.Module):
    """Mean and maximum over steps and keys, (N, 2 C) of (N, C, steps, keys): where in the bar is no matter."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
