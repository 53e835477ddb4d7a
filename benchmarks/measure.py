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
    """

    work: str
    against: str
    target: float | None
    ratios: list[float]
    note: str = ""

    @property
    def missed(self) -> bool:
        return bool(self.ratios) and self.target is not None and statistics.median(self.ratios) < self.target

    @property
    def line(self) -> str:
        """A line of a Markdown table; "missed" is said plainly."""
        wanted = "" if self.target is None else f"{self.target:g}"
        if not self.ratios:
            return f"| {self.work} | {self.against} | {wanted} | | | not measured | {self.note} |"
        ratio, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        verdict = "" if self.target is None else "**missed**" if self.missed else "reached"
        spread = f"{low:.3g} to {high:.3g}"
        return f"| {self.work} | {self.against} | {wanted} | {ratio:.3g} | {spread} | {verdict} | {self.note} |"


HEAD = (
    "| work | against | at least | times as fast, median | of all rounds | target | |\n|---|---|---|---|---|---|---|\n"
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
    scale: float = 1.0,
    note: str = "",
) -> Row:
    """Measure both ways in turn, once unmeasured; `scale`: how many times theirs is to be counted, for all of ours."""
    ours(), theirs()
    times = [(cpu(ours), cpu(theirs)) for _ in range(rounds)]
    print(f"{work} / {against}: {json.dumps([[round(t, 4) for t in pair] for pair in times])}", file=sys.stderr)
    return Row(work, against, target, [scale * slow / fast for fast, slow in times], note)


def machine() -> str:
    """What it ran on, in a sentence."""

    def known(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return ""

    packages = ", ".join(filter(None, map(known, PACKAGES)))
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"
