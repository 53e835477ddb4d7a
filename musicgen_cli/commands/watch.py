"""Long work as its user sees it; of a training when to stop, a line an epoch, a log, and how it ended."""

import contextlib
import csv
import io
import math
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from musicgen_cli import group
from musicgen_cli.errors import MusicgenError, is_out_of_memory
from musicgen_cli.streams import counted, interactive, say, write_bytes

if TYPE_CHECKING:
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.training import Epoch, Scores, Training

HEAD = "* the best epoch so far; {} on the validation songs"
BITS = ("recall to density", "epoch  train   valid recall  prec.     F1  density/corpus forcing    lr so far")
WORDS = ("accuracy", "epoch  train   valid accuracy forcing    lr so far")


T = TypeVar("T")


def progress(items: Sequence[T], what: str, quiet: bool) -> Iterable[T]:
    """The items one by one, with a bar and an estimate where somebody watches."""
    if quiet or not interactive():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)


class Stop:
    """Says when a training has to stop: after so many minutes, or at Ctrl-C or SIGTERM; a second one is immediate.

    In a group all stop together, and a second signal says nothing new: torchrun sends one to all when the first has
    ended, and kills who has not done so in time.
    """

    def __init__(self, minutes: float):
        self.deadline = time.monotonic() + 60 * minutes if minutes else math.inf
        self.signal = self.code = 0  # what this process was told; what it has ended for, as all of its group have

    def __enter__(self) -> "Stop":
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if group.size() == 1:
            self.code = self.code or self.signal  # that came after the last batch

    def note(self, number: int, frame: FrameType | None) -> None:
        if self.signal and group.size() == 1:
            raise SystemExit(128 + number)
        self.signal = 128 + number

    def __call__(self) -> bool:
        told = group.most(self.signal or int(time.monotonic() > self.deadline))
        self.code = told if told > 1 else 0
        return told > 0


def watched(run: "Training", stop: Stop, quiet: bool, every: int | None) -> Iterator["Epoch | None"]:
    """Train in sight of the user: an Epoch after each, None after `every` batches, and where it stops within one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    what, head = WORDS if run.of_words else BITS
    say(HEAD.format(what), quiet)
    say(head, quiet)
    event = None
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet or not interactive()) as bar:
        task = bar.add_task("", total=run.epochs * run.batches)
        for event in run.run(stop):
            number = min(run.epoch + 1, run.epochs)
            bar.update(task, completed=run.step, description=f"epoch {number} of {run.epochs}")
            if event:
                line = _line(event, run.of_words)
                bar.console.print(line, highlight=False) if not bar.disable else say(line, quiet)
            if event or (every and run.step % every == 0):
                yield event
    if event is None:
        yield None


@contextlib.contextmanager
def sparing(batch_size: int, resumed: bool) -> Iterator[None]:
    """Say which batch size to try where memory ends."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        smaller = f"--batch-size {batch_size // 2}" if batch_size > 1 else "a smaller --target or --hidden"
        anew = "train anew with" if resumed else "try"
        raise MusicgenError(f"out of memory with --batch-size {batch_size}; {anew} {smaller}") from None


def row(epoch: "Epoch", of_words: bool) -> dict[str, float]:
    """An epoch as a row of the history and of the log; losses in nats per step."""
    values = {"epoch": epoch.number, "forcing": epoch.forcing, "learning_rate": epoch.learning_rate}
    for side, scores in (("train", epoch.train), ("valid", epoch.valid)):
        if scores:
            values |= {f"{side}_{name}": value for name, value in _scores(scores, of_words).items()}
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    return known | {"seconds": round(epoch.seconds, 2), "best": int(epoch.best)}


def _scores(scores: "Scores", of_words: bool) -> dict[str, float]:
    counts = scores.counts
    if of_words:
        return {"loss": scores.loss, "accuracy": counts.recall}
    if not counts.bits:  # none were chosen
        return {"loss": scores.loss}
    return {
        "loss": scores.loss,
        "recall": counts.recall,
        "precision": counts.precision,
        "f1": counts.f1,
        "density": counts.density,
        "corpus_density": counts.actual / max(counts.bits, 1),
    }


def _line(epoch: "Epoch", of_words: bool) -> str:
    scores = epoch.valid or epoch.train
    counts = scores.counts
    valid = f"{epoch.valid.loss:8.4f}" if epoch.valid else "       -"
    told = (
        f"{counts.recall:9.3f}"
        if of_words
        else " " * 36
        if not counts.bits
        else f"{counts.recall:7.3f}{counts.precision:7.3f}{counts.f1:7.3f}"
        f"  {counts.density:.4f}/{counts.actual / max(counts.bits, 1):.4f}"
    )
    return (
        f"{epoch.number:4}{'*' if epoch.best else ' '}{epoch.train.loss:7.4f}{valid}{told}"
        f"{epoch.forcing:7.2f}{epoch.learning_rate:9.1e}{epoch.seconds:6.0f}s"
    )


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    text = io.StringIO()
    longest_first = sorted(history, key=len, reverse=True)  # an epoch whose loss was not finite has less to say
    names = dict.fromkeys(name for row in longest_first for name in row)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_bytes(path, text.getvalue().encode())


def summary(music: "Corpus", sides: dict[str, list[int]], run: "Training") -> str:
    dealt = ", ".join(f"{len(songs)} {side}" for side, songs in sides.items())
    short = len(sides["train"]) - len(set(run.train.song.tolist()))
    weights = sum(parameter.numel() for parameter in run.model.parameters())
    return (
        f"{counted(len(music), 'song')} ({dealt}), {counted(len(run.train), 'window')}"
        + (f", {counted(short, 'song')} too short for one left out" if short else "")
        + f"; {weights:,} weights on {run.device}"
        + ("" if run.valid else "; no validation songs: the best epoch is the one with the least training loss")
    )


def ending(run: "Training", output: Path) -> str:
    unit = "word" if run.of_words else "step"
    best = f"best epoch {run.best_epoch} ({run.best:.4f} nats a {unit})" if run.best_epoch else "no epoch finished"
    if run.skipped:
        best += f", {run.skipped} of {run.step} batches skipped, whose loss was not finite"
    if not run.finished:
        return f"stopped in epoch {run.epoch + 1} of {run.epochs}, {best}; saved {output}, --resume goes on"
    early = f" early, after {run.patience} epochs without a better one" if run.epoch < run.epochs else ""
    return f"finished{early}: {best}; saved {output}"
