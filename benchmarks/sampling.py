"""Sampling with `poly` at the size of the fourth experiment, beside the `predict` that was published."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.measure import Row, versus
from benchmarks.reference import StepByStep
from benchmarks.training import SIZE, SIZES, passage
from musicgen_cli.losses import Focal
from musicgen_cli.models import MODELS
from musicgen_cli.sampling import drawer, generate

LENGTH, SOURCE = 256, 32


def ours(batch: int, length: int = LENGTH) -> Callable[[], object]:
    model = MODELS["poly"].network(size=SIZE, outputs=SIZE, dropout=0.2, dense_dropout=0.5, **SIZES)
    draw = drawer(Focal(), [torch.Generator() for _ in range(batch)], threshold=0.5, temperature=0.3)
    return lambda: generate(model, passage(batch, SOURCE), length, SOURCE, SOURCE, draw)


def theirs(batch: int, length: int = LENGTH) -> Callable[[], object]:
    model = StepByStep(SIZE, **SIZES).eval()
    return lambda: model.predict(passage(batch, SOURCE), length)


def rows(folder: Path) -> Iterator[Row]:
    for batch, target in ((1, 4), (64, 1.2)):
        work = f"sampling {LENGTH} steps, {batch} song{'s' * (batch > 1)}, 2 x 512"
        yield versus(work, "the reference's `predict`", target, ours(batch), theirs(batch))
