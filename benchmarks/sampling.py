"""Sampling with `poly` at the size of the fourth experiment, beside the `predict` that was published."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import Row, at_full_rate, versus
from benchmarks.reference import StepByStep
from benchmarks.training import SIZE, SIZES, passage
from musicgen_cli import player, sampling
from musicgen_cli.checkpoint import Checkpoint, arrays
from musicgen_cli.dice import Coins
from musicgen_cli.losses import Focal
from musicgen_cli.models import MODELS

LENGTH, SOURCE = 256, 32
SETTINGS = {"threshold": 0.5, "temperature": 0.3}
ARGUMENTS = {"size": SIZE, "outputs": SIZE, "dropout": 0.2, "dense_dropout": 0.5, **SIZES}


def in_torch(batch: int, length: int = LENGTH) -> Callable[[], object]:
    model = MODELS["poly"].network(**ARGUMENTS)
    draw = sampling.drawer(Focal(), [torch.Generator() for _ in range(batch)], **SETTINGS)
    return lambda: sampling.generate(model, passage(batch, SOURCE), length, SOURCE, SOURCE, draw)


def in_numpy(batch: int, length: int = LENGTH) -> Callable[[], object]:
    weights = arrays(MODELS["poly"].network(**ARGUMENTS).state_dict())
    trained = Checkpoint(
        "poly", ARGUMENTS, "focal", {"gamma": 2.0}, "rolls", 4, 120.0, (4, 4), SOURCE, SOURCE, [0.05] * SIZE,
        {}, "", {}, weights,
    )  # fmt: skip
    playing, draw = player.Player(trained), player.drawer(trained, [Coins(i) for i in range(batch)], **SETTINGS)
    return lambda: playing.play(passage(batch, SOURCE).numpy(), length, draw)


def theirs(batch: int, length: int = LENGTH) -> Callable[[], object]:
    model = StepByStep(SIZE, **SIZES).eval()
    return lambda: model.predict(passage(batch, SOURCE), length)


def products(batch: int, length: int = LENGTH) -> float:
    """CPU seconds that the matrix products of all steps, written and then read, take at full rate.

    One song's are with a single row, but for what the first layer reads of a whole passage: that is left out.
    """
    hidden, dense = SIZES["hidden"], SIZES["dense"]
    state = 4 * hidden * 3 * hidden  # of the second layer, and what the first makes of its own
    written = 4 * hidden * SIZE + state + dense * (hidden + SIZE)
    read = state + (4 * hidden * SIZE if batch > 1 else 0)
    return at_full_rate((written + read) * batch * length, rows=1024 if batch > 1 else 1)


def rows(folder: Path) -> Iterator[Row]:
    for batch, ours, target in ((1, in_torch, 4), (1, in_numpy, 8), (64, in_numpy, 1.2)):
        work = f"sampling {LENGTH} steps, {batch} song{'s' * (batch > 1)}, 2 x 512, {ours.__name__.replace('_', ' ')}"
        least = partial(products, batch)
        yield versus(work, "the reference's `predict`", target, ours(batch), theirs(batch), least=least)
