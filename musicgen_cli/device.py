"""Where to compute, how precisely, and from which seed."""

import contextlib
import os
from typing import Any

import torch

from musicgen_cli import group
from musicgen_cli.dice import mixed
from musicgen_cli.errors import MusicgenError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def device(name: str) -> torch.device:
    """`auto` takes CUDA, else Apple's MPS, else the CPU; one that is asked for by name has to be there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise MusicgenError(f"no {name} on this machine; use --device auto or --device cpu")
    if name == "cuda" and group.there():
        _take_gpu(int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(name)


def _take_gpu(number: int) -> None:
    """Compute on the GPU of this number: of the processes that torchrun starts on a machine each has its own."""
    if (there := torch.cuda.device_count()) == 1 and "CUDA_VISIBLE_DEVICES" in os.environ:
        return  # each process was shown its own
    if number >= there:
        raise MusicgenError(f"no GPU for process {number + 1} of this machine; use --nproc-per-node {there}")
    torch.cuda.set_device(number)


def onto(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor there; on its way to a GPU nobody waits for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def check_precision(on: torch.device, precision: str) -> None:
    """Refuse a precision in which this machine computes no LSTM: for bf16 a CPU needs AVX-512, or its like."""
    cell = torch.nn.LSTM(1, 1, batch_first=True).to(on)
    try:
        with autocast(on, precision), torch.no_grad():
            cell(torch.zeros(1, 1, 1, device=on))
    except RuntimeError:
        raise MusicgenError(f"this machine's {on.type} computes no LSTM in {precision}; use --precision fp32") from None


def autocast(on: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context in which a model computes with `precision`; its weights stay fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(on.type, PRECISIONS[precision])


def generator(on: torch.device, *seeds: int) -> torch.Generator:
    """A generator of its own for each combination of seeds: what is drawn depends on nothing that was drawn before."""
    return torch.Generator(on).manual_seed(mixed(*seeds))
