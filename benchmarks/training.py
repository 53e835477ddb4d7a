"""Training steps of `poly` at the size of the fourth experiment, beside the loop that was published."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.measure import Row, at_full_rate, cpu, versus
from benchmarks.reference import StepByStep
from musicgen_cli.device import autocast, check_precision
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import Focal
from musicgen_cli.models import MODELS
from musicgen_cli.training import teach

BATCH, STEPS, SIZE = 32, 96, 176
SIZES = {"hidden": 512, "layers": 2, "dense": 256}


def passage(batch: int, steps: int) -> torch.Tensor:
    return (torch.rand(batch, steps, SIZE, generator=torch.Generator().manual_seed(0)) < 0.03).float()


def ours(forcing: float, precision: str = "fp32", batch: int = BATCH, steps: int = STEPS) -> Callable[[], None]:
    model, loss = MODELS["poly"].network(size=SIZE, outputs=SIZE, dropout=0.2, dense_dropout=0.5, **SIZES), Focal()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    noise, source, target = torch.Generator(), passage(batch, steps), passage(batch, steps)

    def step() -> None:
        dropout = model.draw_dropout(batch, steps, steps, noise)
        forced = torch.rand(target.shape[:2], generator=noise) < forcing if forcing < 1 else None
        with autocast(torch.device("cpu"), precision):
            answer = teach(model, loss, source, target, forced, dropout)
        optimizer.zero_grad()
        loss(answer, target).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def theirs(forcing: float, batch: int = BATCH, steps: int = STEPS) -> Callable[[], None]:
    model, loss = StepByStep(SIZE, **SIZES), Focal()
    optimizer = torch.optim.RMSprop(model.parameters())
    source, target = passage(batch, steps), passage(batch, steps)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(source, target, forcing), target).mean().backward()
        optimizer.step()

    return step


def products() -> float:
    """CPU seconds that the matrix products of one step with full forcing take, forwards and backwards, at full rate."""
    layers = [SIZE + SIZES["hidden"], 2 * SIZES["hidden"]]  # what each reads, and itself
    weights = 2 * sum(4 * SIZES["hidden"] * width for width in layers) + SIZES["dense"] * (SIZES["hidden"] + SIZE)
    weights = 3 * weights - 2 * 4 * SIZES["hidden"] * SIZE  # what the first layers read needs no gradient
    return at_full_rate(weights * BATCH * STEPS)


def rows(folder: Path) -> Iterator[Row]:
    work = f"training step, `poly`, {BATCH} times {STEPS} + {STEPS} steps, "
    loop = "the reference's loop, step by step"
    yield versus(work + "forcing 0.5", loop, 1.5, ours(0.5), theirs(0.5), least=products)
    yield versus(work + "forcing 1", loop, None, ours(1), theirs(1), least=products)
    try:
        check_precision(torch.device("cpu"), "bf16")
        yield versus(work + "forcing 0.5, bf16", loop + ", fp32", 2, ours(0.5, "bf16"), theirs(0.5))
    except MusicgenError as error:
        yield Row(work + "forcing 0.5, bf16", loop + ", fp32", 2, [], str(error).partition(";")[0])
    step = ours(1)
    step()
    ratios = [products() / cpu(step) for _ in range(5)]
    yield Row(work + "forcing 1", "its matrix products at the rate of a large one", 0.85, ratios, "a share of the rate")
