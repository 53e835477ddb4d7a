"""A classifier that tries to tell real music from made music, bar by bar (Lopez-Paz & Oquab 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen_cli.quiz_score import wilson
from musicgen_cli.roll import sounding, struck

MOST = 600  # bars of each kind in each half
STEPS, BATCH, RATE = 200, 64, 5e-3  # of the training: fixed, so that nothing is chosen by what is judged
DRAWS = 1000  # of songs, for an interval
FEWEST = 4  # judged songs of a kind that they are drawn from

Rolls = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class Result:
    """Bars told right, of as many that were judged, half of them real.

    real, made: songs that those bars are from
    by_song: 95 % of the accuracies when these songs are drawn again and again; None where there are fewer than FEWEST.
        Bars of one song are alike, and `interval` takes them for independent: the wider of the two is the one to trust.
    """

    right: int
    of: int
    real: int
    made: int
    by_song: tuple[float, float] | None

    @property
    def accuracy(self) -> float:
        return self.right / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of a binomial share."""
        return wilson(self.right, self.of)


@dataclass(frozen=True, eq=False)
class _Bars:
    """Bars of one kind: what is struck and what is held, bool (N, steps, 2, 88), and the song of each, (N,)."""

    bits: NDArray[np.bool_]
    song: NDArray[np.int64]

    def some(self, most: int, rng: np.random.Generator) -> "_Bars":
        index = rng.permutation(len(self.song))[:most]
        return _Bars(self.bits[index], self.song[index])


def tell_apart(real: Rolls, made: Rolls, steps_per_bar: int, seed: int = 0) -> Result | None:
    """Train on the bars of half of the songs of each kind, and tell those of the others, as many real as made ones.

    A song is in one half alone: by its other bars one would know its tune. One bar at a time: of longer windows there
    are too few to learn from. None where there are not two songs with a whole bar on both sides.
    """
    rng = np.random.default_rng(seed)
    kinds = [_halves([roll for roll in rolls if len(roll) >= steps_per_bar], rng) for rolls in (real, made)]
    if not all(half for halves in kinds for half in halves):
        return None
    known, judged = ([_bars(halves[half], steps_per_bar).some(MOST, rng) for halves in kinds] for half in range(2))
    fewest = min(len(bars.song) for bars in judged)
    judged = [bars.some(fewest, rng) for bars in judged]
    used = np.flatnonzero(np.any([bars.bits.any((0, 1, 2)) for bars in known + judged], 0))
    keys = slice(used.min(initial=0), used.max(initial=0) + 1)  # the rest of the keyboard would only take time
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        judge = _learned([_input(bars, keys) for bars in known], rng)
    with torch.inference_mode():
        says = [judge(_input(bars, keys)).numpy() > 0 for bars in judged]
    right = [says[0], ~says[1]]
    songs, played = (len(np.unique(bars.song)) for bars in judged)
    return Result(sum(int(one.sum()) for one in right), 2 * fewest, songs, played, _by_song(right, judged, rng))


def _halves(rolls: Rolls, rng: np.random.Generator) -> tuple[Rolls, Rolls]:
    """Half of the songs, and the others: one more where they are odd."""
    order = rng.permutation(len(rolls))
    one, other = order[: len(rolls) // 2], order[len(rolls) // 2 :]
    return [rolls[i] for i in one], [rolls[i] for i in other]


def _bars(rolls: Rolls, steps: int) -> _Bars:
    """The whole bars of songs, as they are heard: a bit that changes no note tells nothing."""
    bars = []
    for roll in rolls:
        strikes = struck(roll)
        heard = np.stack([strikes, sounding(roll) & ~strikes], 1)
        bars.append(heard[: len(heard) // steps * steps].reshape(-1, steps, *heard.shape[1:]))
    return _Bars(np.concatenate(bars), np.repeat(np.arange(len(bars)), [len(some) for some in bars]))


def _input(bars: _Bars, keys: slice) -> Tensor:
    """Bars as pictures, (N, 2, steps, keys)."""
    return torch.from_numpy(np.moveaxis(bars.bits[..., keys], 2, 1)).float()


def _learned(kinds: Sequence[Tensor], rng: np.random.Generator) -> nn.Module:
    """A network that says of pictures how much rather real than made they are, (N,); kinds: real, made."""
    judge = nn.Sequential(
        nn.Conv2d(2, 16, (4, 13), stride=(2, 1), padding=(2, 6)),  # a beat by an octave; in any key alike
        nn.ReLU(),
        nn.Conv2d(16, 32, (3, 5), stride=2, padding=(1, 2)),
        nn.ReLU(),
        _Pooled(),
        nn.Dropout(0.3),
        nn.Linear(64, 1),
        nn.Flatten(0),
    )
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    truth = torch.tensor([1.0, 0.0]).repeat_interleave(BATCH // 2)
    for _ in range(STEPS):
        batch = torch.cat([kind[rng.integers(len(kind), size=BATCH // 2)] for kind in kinds])  # no kind the likelier
        loss = nn.functional.binary_cross_entropy_with_logits(judge(batch), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return judge.eval()


class _Pooled(nn.Module):
    """Mean and maximum over steps and keys, (N, 2 C) of (N, C, steps, keys)."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)


def _by_song(
    right: Sequence[NDArray[np.bool_]], judged: Sequence[_Bars], rng: np.random.Generator
) -> tuple[float, float] | None:
    """Where 95 % of the accuracies lie when the songs of each kind are drawn with replacement, (2.5 %, 97.5 %)."""
    accuracy = np.zeros(DRAWS)
    for told, bars in zip(right, judged):
        _, song, counts = np.unique(bars.song, return_inverse=True, return_counts=True)
        if len(counts) < FEWEST:
            return None
        times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
        accuracy += times @ np.bincount(song, told) / (times @ counts) / len(right)
    low, high = np.percentile(accuracy, (2.5, 97.5)).tolist()
    return low, high
