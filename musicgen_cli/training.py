"""Teaching a model: scheduled teacher forcing, and the epochs as a generator that its caller may stop and resume."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen_cli import group
from musicgen_cli.dataset import Move, Windows
from musicgen_cli.device import autocast, generator, onto
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import BinaryCrossEntropy, Chord, Loss
from musicgen_cli.metrics import Counts
from musicgen_cli.models import Answer, Chords, Dropout, SequenceModel, unroll
from musicgen_cli.sampling import best, drawer, fit_threshold
from musicgen_cli.temperature import TOSSED

DECAYS: dict[str, Callable[[float], float]] = {  # share of the training done -> share of the first forcing left
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "quadratic": lambda done: (1 - done) ** 2,
}
MOST_FAILING = 10  # batches in a row, whose loss is not finite, that end a training
AT_ONCE, CELLS = 64, 1 << 14  # windows, and their steps, that are scored at once
SHUFFLE, NOISE, SHIFT = range(3)  # what is drawn from a seed, each from generators of its own
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    # Without decay, as the reference's: torch would add it to the gradient, which RMSprop then scales up at will.
    "rmsprop": lambda parameters, lr, weight_decay: torch.optim.RMSprop(parameters, lr),
}


def teach(
    model: SequenceModel,
    loss: Loss,
    source: Tensor,
    target: Tensor,
    forced: Tensor | None = None,
    dropout: Dropout | None = None,
) -> Answer:
    """The answer for target (B, T, ...) after source (B, S, ...), as heard: scheduled sampling (Bengio et al. 2015).

    forced: bool (B, T), after which steps the model hears the target rather than its likeliest step; None is always.
    What the model feeds itself is not differentiated, so a rollout without gradients first finds its inputs, and one
    fused pass learns from them: in fp32 the same arithmetic as the step-by-step loop, and faster. On a CPU that pass
    does not run again what the rollout did.
    """
    state = model.encode(source, dropout)
    heard, cells = target, None
    if forced is not None:
        draw, cells = drawer(loss), model.cells(recall=True)
        with torch.no_grad():

            def choose(t: int, features: Tensor, before: Tensor) -> Tensor:
                own, _ = draw(model.head(features), model.hearing.bits(before))
                if own.is_floating_point():
                    own = torch.cat([own, target[:, t, own.shape[1] :]], 1)  # moved by as much
                return torch.where(forced[:, t].view(-1, *[1] * (own.dim() - 1)), target[:, t], own)

            _, heard = unroll(model, source[:, -1], state, target.shape[1], choose, dropout, cells)
    inputs = torch.cat([source[:, -1:], heard[:, :-1]], 1)
    answer: Answer = model.head(model.decode(inputs, state, dropout, cells))
    return answer.float() if isinstance(answer, Tensor) else answer


class Lesson(nn.Module):
    """What is differentiated of a model: the nats (B, T) of the target as heard, and the answer that they are of."""

    def __init__(self, model: SequenceModel, loss: Loss, precision: str):
        super().__init__()
        self.model, self.loss, self.precision = model, loss, precision

    def forward(
        self, source: Tensor, target: Tensor, forced: Tensor | None, dropout: Dropout | None
    ) -> tuple[Tensor, Answer]:
        with autocast(source.device, self.precision):
            answer = teach(self.model, self.loss, source, target, forced, dropout)
        return self.loss(answer, self.model.hearing.bits(target)), answer


def tally(nats: Tensor, chosen: Tensor | None, target: Tensor, real: Tensor) -> Tensor:
    """Sums over the steps that are real (B, T), as (5,): nats (B, T), steps, and what `Counts` counts.

    chosen: steps (B, T, ...), if any, that are compared with target
    """
    if chosen is None:
        counts = [real.sum()] + [real.new_zeros(())] * 3
    elif target.is_floating_point():
        chosen, target, mask = chosen > 0.5, target > 0.5, real[:, :, None]
        counts = [real.sum(), (chosen & target & mask).sum(), (chosen & mask).sum(), (target & mask).sum()]
    else:
        counts = [real.sum(), ((chosen == target) & real).sum(), real.sum(), real.sum()]
    return torch.stack([(nats * real).sum(), *counts])


@dataclass
class Scores:
    """Sums over steps; what is read off them are means per step.

    counts: of bits; where steps are words, of words, and recall is the share of words that are right
    """

    nats: float = 0.0
    steps: int = 0
    counts: Counts = field(default_factory=Counts)

    def add(self, size: int, nats: float, steps: float, hits: float, predicted: float, actual: float) -> None:
        """Add a tally; size: bits of a step that were chosen, 1 for a word, 0 where nothing was."""
        self.nats += nats
        self.steps += int(steps)
        self.counts += Counts(int(hits), int(predicted), int(actual), int(steps) * size)

    @property
    def loss(self) -> float:
        return self.nats / self.steps if self.steps else math.nan


@dataclass(frozen=True)
class Epoch:
    number: int  # from 1
    train: Scores
    valid: Scores | None
    forcing: float
    learning_rate: float
    seconds: float
    best: bool


@torch.inference_mode()
def evaluate(model: SequenceModel, loss: Loss, windows: Windows, device: torch.device) -> Scores:
    """One step ahead, with the true steps before it, over all windows."""
    model.eval()
    scores = Scores()
    for index in windows.batches(AT_ONCE, CELLS):
        source, heard, real = windows.batch(index, device)
        answer, target = teach(model, loss, source, heard), model.hearing.bits(heard)
        sums = tally(loss(answer, target), best(loss, answer), target, real)
        scores.add(model.hearing.size or 1, *sums.tolist())
    return scores


class Training:
    """A training that can stop after any step and go on as if it had not.

    All that is drawn depends on the seed and on the place in the training alone, so its state is the weights, the
    optimiser, the schedule, the place, and the sums of the epoch begun. In a group every process has its part of each
    batch, and what is drawn for it: but for rounding the state is the same however many they are.

    rates: how often each bit is set, or each word comes (size,): what the model begins with
    move: how steps are transposed, if not as bits are
    """

    def __init__(
        self,
        model: SequenceModel,
        loss: Loss,
        train: Windows,
        valid: Windows | None,
        rates: NDArray[np.float64],
        *,
        device: torch.device,
        epochs: int,
        batch_size: int,
        optimizer: str,
        learning_rate: float,
        warmup: int,
        weight_decay: float,
        clip: float,
        teacher_forcing: float,
        forcing_decay: str,
        transpose: int,
        patience: int,
        seed: int,
        precision: str,
        move: Move | None = None,
    ):
        model.expect(loss.begin(torch.tensor(rates, dtype=torch.float32)))
        self.density = float(rates.mean())
        self.move = move or model.hearing.move
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32, as cuDNN takes for LSTMs anyway
        self.model, self.loss, self.train, self.valid = model.to(device), loss, train, valid
        self.device, self.epochs, self.batch_size, self.clip = device, epochs, batch_size, clip
        self.forcing, self.decay, self.shift = teacher_forcing, forcing_decay, transpose
        self.patience, self.seed, self.precision = patience, seed, precision
        self.optimizer = OPTIMIZERS[optimizer](model.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self.lesson = group.spread(Lesson(model, loss, precision))
        # Which other optimisers lack: not to step where the GPU finds that a loss was not finite.
        self.steps_unasked = optimizer == "adamw" and device.type != "mps"
        self.lengths = train.lengths
        self.batches = math.ceil(len(train) / batch_size)
        total = epochs * self.batches

        def schedule(step: int) -> float:  # a linear warm-up, then half a cosine
            rise = min(warmup, total // 10)
            if step < rise:
                return (step + 1) / (rise + 1)
            return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (total - rise + 1))

        self.schedule, self.peak = schedule, learning_rate
        self.step = 0  # batches, over all epochs
        self.seconds = 0.0
        self.skipped = self.failing = 0  # batches whose loss was not finite, of all and of the latest
        self.scores = Scores()  # of the epoch begun
        self.unread: list[Tensor] = []  # of the latest batches, a tally each and whether their loss was finite
        self.best = math.inf
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    @property
    def learning_rate(self) -> float:
        """Of the next batch."""
        return self.peak * self.schedule(self.step)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.batches

    @property
    def of_words(self) -> bool:
        """Whether its steps are words, else bits."""
        return not self.model.hearing.size

    @property
    def finished(self) -> bool:
        return self.epoch >= self.epochs or (self.patience > 0 and self.epoch - self.best_epoch >= self.patience)

    def run(self, stop: Callable[[], bool]) -> Iterator[Epoch | None]:
        """Learn batch by batch: None after each, but an Epoch after the last of an epoch.

        Ends when the training is finished, or after the batch at which stop() says so.
        """
        since = time.perf_counter()
        while not self.finished:
            order = self.train.shuffled(np.random.default_rng([self.seed, SHUFFLE, self.epoch]), self.batch_size)
            forcing = self.forcing * DECAYS[self.decay](self.epoch / self.epochs)
            number = self.epoch + 1
            while self.step < number * self.batches:
                begin = self.step % self.batches * self.batch_size
                self._learn(order[begin : begin + self.batch_size], forcing)
                now = time.perf_counter()
                self.seconds, since = self.seconds + now - since, now
                if self.step < number * self.batches:
                    yield None
                    if stop():
                        return
            yield self._close_epoch(forcing)
            now = time.perf_counter()
            self.seconds, since = self.seconds + now - since, now
            if stop():
                return

    def _learn(self, index: NDArray[np.int64], forcing: float) -> None:
        self.model.train()
        source, target, real, forced, dropout = self._dealt(index, forcing)
        nats, answer = self.lesson(source, target, forced, dropout)
        loss = (nats * real).sum() / (self.lengths[index].sum() / group.size())  # of which the mean is to be found
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        with torch.no_grad():  # to spell chords takes as long as to learn them: validation has to do
            chosen = None if isinstance(answer, Chords) else best(self.loss, answer)
            sums = group.total(tally(nats.detach(), chosen, self.model.hearing.bits(target), real))
        finite = torch.isfinite(sums[0] + norm)
        for settings in self.optimizer.param_groups:
            settings["lr"] = self.learning_rate
        if self.steps_unasked:
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        if self.steps_unasked or finite:
            self.optimizer.step()
        self.step += 1
        self.unread.append(torch.stack([*sums, finite]))
        if len(self.unread) == MOST_FAILING:
            self._read()

    def _dealt(self, index: NDArray[np.int64], forcing: float) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Dropout]:
        """This process's part of a batch and of what is drawn for all of it: source, target, real, forced, dropout.

        Where there are more processes than windows it is the first window, which does not count.
        """
        busy = group.rank() < len(index)
        mine = slice(group.rank(), None, group.size()) if busy else slice(1)
        source, target, real = self.train.batch(index[mine], self.device)
        if self.shift:
            dice = np.random.default_rng([self.seed, SHIFT, self.step])
            drawn = dice.integers(-self.shift, self.shift + 1, len(index))[mine]
            shifts = onto(self.device, torch.from_numpy(drawn))
            source, target = self.move(source, shifts), self.move(target, shifts)
        noise = generator(self.device, self.seed, NOISE, self.step)
        longest, steps = int(self.lengths[index].max()), target.shape[1]
        dropout = self.model.draw_dropout(len(index), source.shape[1], longest, noise).of(mine, steps)
        coins = torch.rand(len(index), longest, generator=noise, device=self.device)[mine, :steps]
        return source, target, real & busy, coins < forcing if forcing < 1 else None, dropout

    def _read(self) -> None:
        """Count what the latest batches came to: to ask a GPU after each would have it wait for us."""
        size = 0 if isinstance(self.loss, Chord) else self.model.hearing.size or 1
        for *sums, finite in torch.stack(self.unread).tolist() if self.unread else []:
            if finite:
                self.scores.add(size, *sums)
            else:
                self.skipped += 1
            self.failing = 0 if finite else self.failing + 1
            if self.failing >= MOST_FAILING:
                raise MusicgenError("the training diverged (its loss is not finite); try a lower --learning-rate")
        self.unread.clear()

    def _close_epoch(self, forcing: float) -> Epoch:
        self._read()
        valid = group.shared(self._evaluate)
        score = (valid or self.scores).loss
        best = score < self.best
        if best:
            self.best, self.best_epoch = score, self.epoch
            self.best_weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
        done, self.scores = self.scores, Scores()
        return Epoch(self.epoch, done, valid, forcing, self.learning_rate, self.seconds, best)

    def _evaluate(self) -> Scores | None:
        with autocast(self.device, self.precision):
            return evaluate(self.model, self.loss, self.valid, self.device) if self.valid is not None else None

    def fit_threshold(self, songs: int = 8, steps: int = 256) -> float:
        """The threshold at which the best weights, running free from nothing, play as densely as the training songs.

        One half where no bits are set, but one choice is made.
        """
        if not isinstance(self.loss, BinaryCrossEntropy):
            return 0.5
        now = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.best_weights)
        nothing = torch.zeros(songs, 0, self.model.hearing.size, device=self.device)
        threshold = fit_threshold(
            self.model, self.loss, nothing, steps, self.train.source, self.train.target, self.density, TOSSED
        )
        self.model.load_state_dict(now)
        return threshold

    def state(self) -> dict[str, Any]:
        """All that an exact continuation needs, beside the settings and the data."""
        self._read()
        return {
            "weights": {name: value.cpu() for name, value in self.model.state_dict().items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "skipped": [self.skipped, self.failing],
            "scores": [self.scores.nats, self.scores.steps, *vars(self.scores.counts).values()],
            "best": self.best if self.best_epoch else None,
            "best_epoch": self.best_epoch,
        }

    def restore(self, state: dict[str, Any], best_weights: dict[str, Tensor]) -> None:
        """Go on from what `state` returned; raises ValueError, or whatever else, where that is of another model."""
        self.model.load_state_dict(state["weights"])
        own = self.optimizer.state_dict()["param_groups"]  # which the settings say: a stranger's could ask for anything
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": own})
        for weights, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if value.shape != (() if name == "step" else weights.shape):  # beyond which AdamW would read and write
                    raise ValueError(f"has {name} of another shape")
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.skipped, self.failing = state["skipped"]
        nats, steps, *counts = state["scores"]
        self.scores = Scores(nats, steps, Counts(*counts))
        self.best = math.inf if state["best"] is None else state["best"]
        self.best_epoch = state["best_epoch"]
        self.best_weights = best_weights if self.best_epoch else {}  # before an epoch is done there is none
