"""Two ways to do the same work, in turn on the same machine: how many times as long the other way takes."""

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

PACKAGES = ("torch", "numpy", "mido", "symusic", "music21", "muspy", "pypianoroll", "pretty_midi", "miditok")


class Row(NamedTuple):
    """One comparison. ratios: time of the other way over time of ours, of each round; target: at least this.

    Without ratios it was not measured; the note says why.
    limit: what the ratio were if ours did only what cannot be left out, as fast as this machine does it
    """

    work: str
    against: str
    target: float | None
    ratios: list[float]
    note: str = ""
    limit: float | None = None

    @property
    def missed(self) -> bool:
        return bool(self.ratios) and self.target is not None and statistics.median(self.ratios) < self.target

    @property
    def line(self) -> str:
        """A line of a Markdown table; "missed" is said plainly."""
        wanted = "" if self.target is None else f"{self.target:g}"
        if not self.ratios:
            return f"| {self.work} | {self.against} | {wanted} | | | | not measured | {self.note} |"
        ratio, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        verdict = "" if self.target is None else "**missed**" if self.missed else "reached"
        spread = f"{low:.3g} to {high:.3g}"
        limit = "" if self.limit is None else f"{self.limit:.3g}"
        cells = (self.work, self.against, wanted, f"{ratio:.3g}", spread, limit, verdict, self.note)
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| work | against | at least | times as fast, median | of all rounds | at most here | target | |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process and of the processes it waited for."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    begin = spent()
    work()
    return spent() - begin


def versus(
    work: str,
    against: str,
    target: float | None,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int = 5,
    note: str = "",
    least: Callable[[], float] | None = None,
) -> Row:
    """Measure both ways in turn, once unmeasured; least: seconds of what ours cannot leave out."""
    ours(), theirs()
    times = [(cpu(ours), cpu(theirs), least() if least else 0.0) for _ in range(rounds)]
    print(f"{work} / {against}: {json.dumps([[round(t, 4) for t in each] for each in times])}", file=sys.stderr)
    limit = statistics.median(slow / bound for _, slow, bound in times) if least else None
    return Row(work, against, target, [slow / fast for fast, slow, _ in times], note, limit)


def at_full_rate(products: float, rows: int = 1024) -> float:
    """CPU seconds of so many multiplications and additions, as one large product with so many rows does them.

    With one row it is bound by memory: its weights, 16 MiB, are read once.
    """
    import torch

    weights, read, times = torch.rand(2048, 2048), torch.rand(rows, 2048), 1 + 40 // rows
    read @ weights
    spent = cpu(lambda: [read @ weights for _ in range(times)]) / times
    return spent * products / (rows * weights.numel())


def machine() -> str:
    """What it ran on, in a sentence."""

    def known(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return ""

    packages = ", ".join(filter(None, map(known, PACKAGES)))
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"
