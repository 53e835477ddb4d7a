"""A checkpoint against songs: one step ahead and running free, beside what needs no model at all."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.corpus import Corpus
from musicgen_cli.dataset import cover, from_steps, pad
from musicgen_cli.device import generator
from musicgen_cli.losses import BinaryCrossEntropy
from musicgen_cli.metrics import Counts, count
from musicgen_cli.models import SequenceModel
from musicgen_cli.roll import sounding
from musicgen_cli.sampling import Draw, generate, toss
from musicgen_cli.score import KEYS
from musicgen_cli.training import teach

COMMONEST = 4  # keys of the baseline that always plays the same ones: the voices of a chorale
BATCH = 64


@dataclass(frozen=True)
class Row:
    """One predictor's scores over songs; loss and nats in nats per step, where the predictor has any."""

    name: str
    songs: list[Counts]
    loss: float | None = None
    nats: float | None = None  # of the calibrated probabilities: what the field calls negative log-likelihood

    @property
    def all(self) -> Counts:
        return sum(self.songs, Counts())

    def spread(self, score: str) -> tuple[float, float]:
        """Mean and standard deviation of a score over songs."""
        values = [getattr(counts, score) for counts in self.songs]
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0

    def as_dict(self) -> dict[str, Any]:
        scores = ("accuracy", "recall", "precision", "f1", "density")
        values: dict[str, Any] = {"name": self.name, "songs": len(self.songs)}
        if self.loss is not None:
            values |= {"loss": self.loss, "nats_per_step": self.nats}
        for score in scores:
            mean, deviation = self.spread(score)
            values[score] = getattr(self.all, score)
            values |= {f"{score}_mean": mean, f"{score}_sd": deviation}
        return values


Guess = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]  # steps -> what is said to follow each of them


def baselines(checkpoint: Checkpoint) -> dict[str, Guess]:
    """What a model has to beat, on rolls (n, 88, 2) or (n, 88); running free, each repeats what it says first."""
    rates = np.array(checkpoint.rates).reshape(KEYS, checkpoint.bits).sum(1)
    common = np.isin(np.arange(KEYS), np.argsort(-rates, kind="stable")[:COMMONEST])

    def held(keys: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Keys (n, 88) that go on: continue bits where there are two, sounding bits where there is one."""
        return keys if checkpoint.bits == 1 else np.stack([np.zeros_like(keys), keys], 2)

    return {
        "silence": np.zeros_like,
        "copy the last step": lambda steps: steps,
        "hold the last step": lambda steps: held(sounding(steps)),
        f"{COMMONEST} commonest keys": lambda steps: held(np.repeat(common[None], len(steps), axis=0)),
    }


@torch.inference_mode()
def one_step(
    checkpoint: Checkpoint, model: SequenceModel, corpus: Corpus, songs: Sequence[int], draw: Draw, device: torch.device
) -> list[Row]:
    """Every step predicted from the true steps before it: the model first, then the baselines."""
    loss, nats_of = checkpoint.build_loss(), BinaryCrossEntropy()
    windows = cover(corpus, songs, checkpoint.source, checkpoint.target)
    counts = dict.fromkeys(songs, Counts())
    total = nats = steps = 0.0
    for begin in range(0, len(windows), BATCH):
        index = np.arange(begin, min(begin + BATCH, len(windows)))
        source, target, real = windows.batch(index, device)
        logits = teach(model, source, target)
        total += float((loss(logits, target) * real).sum())
        nats += float((nats_of(loss.log_odds(logits), target) * real).sum())
        steps += int(real.sum())
        chosen = draw(logits)
        for row, song in enumerate(windows.song[index].tolist()):
            mask = real[row]
            counts[song] += count(chosen[row][mask].cpu().numpy(), target[row][mask].cpu().numpy())
    rows = [Row("model", list(counts.values()), total / steps, nats / steps)]
    for name, guess in baselines(checkpoint).items():
        rows.append(Row(name, [_one_step(guess, corpus.roll(i)) for i in songs]))
    return rows


def free_running(
    checkpoint: Checkpoint,
    model: SequenceModel,
    corpus: Corpus,
    songs: Sequence[int],
    device: torch.device,
    *,
    prime: int,
    length: int,
    threshold: float,
    temperature: float,
    seed: int,
) -> list[Row]:
    """`length` steps after the first `prime` steps of each song that is long enough, against what came there.

    No rows where no song is that long; song n of them is drawn from seed + n.
    """
    long = [i for i in songs if corpus.lengths[i] >= prime + length]
    if not long:
        return []
    music = [corpus.roll(i)[: prime + length] for i in long]
    made = []
    for begin in range(0, len(long), BATCH):
        primes = torch.stack([pad(song[:prime], checkpoint.source) for song in music[begin : begin + BATCH]])
        coins = [generator(device, seed + begin + n) for n in range(len(primes))]
        draw = toss(checkpoint.build_loss(), threshold, temperature, coins)
        made += list(generate(model, primes.to(device), length, checkpoint.target, draw))
    rows = [Row("model", [count(from_steps(new), song[prime:]) for new, song in zip(made, music)])]
    for name, guess in baselines(checkpoint).items():
        rows.append(Row(name, [_running(guess, song, prime) for song in music]))
    return rows


def _one_step(guess: Guess, music: NDArray[np.bool_]) -> Counts:
    """What a predictor says of each step of a song that it hears up to there; before the first it heard silence."""
    return count(guess(np.concatenate([np.zeros_like(music[:1]), music[:-1]])), music)


def _running(guess: Guess, music: NDArray[np.bool_], prime: int) -> Counts:
    return count(np.repeat(guess(music[prime - 1 : prime]), len(music) - prime, axis=0), music[prime:])


def choose_songs(checkpoint: Checkpoint, corpus: Corpus, side: str) -> list[int]:
    """The songs of a corpus that are on one side of a checkpoint's split; songs it never saw count as test."""
    side_of = {digest: name for name, digests in checkpoint.split.items() for digest in digests}
    sides = [side_of.get(corpus.digest(i), "test") for i in range(len(corpus))]
    return [i for i, name in enumerate(sides) if corpus.lengths[i] and side in (name, "all")]
