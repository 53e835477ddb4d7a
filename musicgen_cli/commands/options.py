"""The options that several commands share."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    import torch

GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # there where NVIDIA's or AMD's drivers are, the last in WSL

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only what is wrong.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=1 << 62, help="The same seed gives the same result on the same machine.")
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 leaves the choice to the libraries.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to compute.")]
Precision = Annotated[
    Literal["fp32", "bf16"], typer.Option("--precision", help="bf16 is faster where the device has it.")
]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where to write; - is stdout.", allow_dash=True)]


def use(device: str, threads: int, precision: str = "fp32") -> "torch.device":
    """The torch device by that name, with that many threads, where it knows that precision."""
    import torch

    from musicgen_cli import device as devices

    if threads:
        torch.set_num_threads(threads)
    computer = devices.device(device)
    if precision != "fp32":
        devices.check_precision(computer, precision)
    return computer


def is_cpu(device: str) -> bool:
    """Whether `device` is the CPU, seen without PyTorch."""
    return device == "cpu" or (device == "auto" and sys.platform != "darwin" and not any(map(os.path.exists, GPUS)))


def limit_numpy(threads: int) -> None:
    """Tell NumPy, which is not imported yet, how many threads to take; 0 leaves the choice to it."""
    if threads:
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)


def typed(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Those of these parameters that stand on the command line, as they are typed: `--prime-steps`."""
    sources = {name: context.get_parameter_source(name) for name in names}
    found = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    return ["--" + name.replace("_", "-") for name in found]


def refuse_typed(wrong: dict[str, Any]) -> None:
    """Raise BadParameter with the first of these sentences that is true of what was typed."""
    for sentence, true in wrong.items():
        if true:
            raise typer.BadParameter(sentence)


def check_report(report: Path | None, output: Path) -> None:
    """Refuse a --report that would be written over the output, by whatever name."""
    if report and os.path.realpath(report) == os.path.realpath(output):
        raise typer.BadParameter("--report needs a file of its own.")
