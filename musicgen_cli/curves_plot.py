"""The curves of a training as a picture."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.drawing import Lines, Picture, Shapes, Text, fitted, line
from musicgen_cli.errors import MusicgenError

Curve = tuple[str, str, NDArray[np.float64]]  # name, role, a value an epoch

PANELS = (  # heading; of each curve the end of its key in the history, its name, its role
    ("Loss, in nats", (("loss", "", "a"),)),
    ("Recall and precision", (("recall", "recall", "a"), ("precision", "precision", "b"))),
    ("Accuracy", (("accuracy", "", "a"),)),
    ("Density", (("density", "predicted", "a"), ("corpus_density", "corpus", "c"))),
)
SIDES = (("train", "training"), ("valid", "validation"))
PAGE, FROM, TO = 720, 56, 566  # width of the picture; where its panels begin and end
LEAST = 1e-300  # what is nearer to nothing cannot be divided into ticks
PANEL, HEADING, LINE = 130, 34, 14  # heights of a panel, of the room above it, of a line of text


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """The multiples of 1, 2 or 5 times a power of ten from `low` to `high`, as many as there may be up to `most`.

    They are two at least where `most` is five or more.
    """
    tens = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (tens, 2 * tens, 5 * tens, 10 * tens, 20 * tens):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [i * step for i in range(first, last + 1)]


def curves_plot(history: list[dict[str, float]], title: str = "") -> Picture:
    """The curves of a training from its history, a row an epoch; a panel each for loss, hits and density.

    Raises MusicgenError where no epoch is finished.
    """
    if not history:
        raise MusicgenError("no epoch is finished, so there is no curve to draw: train longer")
    epochs = np.array([row["epoch"] for row in history])
    first, last = (epochs[0], epochs[-1]) if len(epochs) > 1 else (epochs[0] - 0.5, epochs[0] + 0.5)
    x = FROM + (epochs - first) / (last - first) * (TO - FROM)
    best = next((i for i in reversed(range(len(history))) if history[i].get("best")), None)
    panels = [(heading, curves) for heading, what in PANELS if (curves := _curves(history, what))]

    shapes: Shapes = [Text("ink", FROM, 27, fitted(title, PAGE - 2 * FROM, 15), 15, bold=True)]
    bottom = 40
    for heading, curves in panels or [("No numbers to draw", [])]:
        shapes += _panel(heading, curves, x, best, bottom + HEADING)
        bottom += HEADING + PANEL
    for epoch in (tick for tick in ticks(first, last) if tick == round(tick)):
        place = FROM + (epoch - first) / (last - first) * (TO - FROM)
        shapes.append(Text("soft", place, bottom + 16, f"{epoch:.0f}", 10, "middle"))
    shapes.append(Text("soft", FROM - 8, bottom + 16, "epoch", 10, "end"))
    if best is not None:
        shapes.append(Text("ink", float(x[best]), bottom + 16 + LINE, f"best: {epochs[best]:.0f}", 10, "middle"))
    return Picture(PAGE, bottom + 44, shapes, title or "Learning curves")


def _curves(history: list[dict[str, float]], what: tuple[tuple[str, str, str], ...]) -> list[Curve]:
    """The curves that have any value; those of the training are faint beside a validation's."""
    found = []
    for (side, whose), (key, name, role) in itertools.product(SIDES, what):
        values = np.array([row.get(f"{side}_{key}", math.nan) for row in history], float)
        if np.isfinite(values).any():
            found.append((side, whose, name, role, np.where(np.isfinite(values), values, math.nan)))
    both = len({side for side, *_ in found}) > 1
    return [
        (f"{name}, {whose}" if name else whose, f"{role}-light", values)
        if both and side == "train"
        else (name or whose, role, values)
        for side, whose, name, role, values in found
    ]


def _panel(heading: str, curves: list[Curve], x: NDArray[np.float64], best: int | None, top: int) -> Shapes:
    """A panel: its grid, its curves with their names where they end, and what they are at the best epoch."""
    shapes: Shapes = [Text("ink", FROM, top - 10, heading, 12, bold=True)]
    if not curves:
        return shapes
    low, high = _limits(np.concatenate([values for _, _, values in curves]))
    paths = [np.stack([x, top + (high - values) / (high - low) * PANEL], 1) for _, _, values in curves]
    marks = ticks(low, high)
    heights = [top + (high - mark) / (high - low) * PANEL for mark in marks]
    shapes.append(Lines("faint", [line(FROM, y, TO, y) for y in heights]))
    shapes.append(Lines("grid", [line(FROM, top + PANEL, TO, top + PANEL)]))
    shapes += [Text("soft", FROM - 8, y + 3.5, text, 10, "end") for y, text in zip(heights, _texts(marks))]
    if best is not None:
        shapes.append(Lines("mark", [line(x[best], top, x[best], top + PANEL)]))
    for (_, role, _), path in zip(curves, paths):
        for run in _runs(path):
            width = 1.25 if role.endswith("-light") else 2
            shapes.append(Lines(role, [run], width) if len(run) > 1 else _dot(role, run[0], 5))
    ends = _apart(np.array([path[np.isfinite(path[:, 1]), 1][-1] for path in paths]), top + 4, top + PANEL - 4)
    shapes += [Text(role, TO + 12, y + 4, name) for (name, role, _), y in zip(curves, ends)]
    values = []
    for (name, role, value), path in zip(curves, paths):
        if best is not None and math.isfinite(value[best]) and not role.endswith("-light"):
            shapes.append(_dot(role, path[best], 7))
            values.append(f"{name} {value[best]:#.4g}")
    return [*shapes, Text("soft", TO, top - 10, f"best: {', '.join(values)}", anchor="end")] if values else shapes


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """From where to where an axis goes, so that its curves have air; below zero only if they do."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    most = max(abs(low), abs(high), LEAST)
    size = high - low if high - low > 1e-6 * most else abs(high) / 2 if abs(high) > LEAST else 1
    return (max(low - size / 16, 0) if low >= 0 else low - size / 16), high + size / 16


def _texts(marks: list[float]) -> list[str]:
    """Ticks as text, all with as many digits as their distance needs."""
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))
    return [f"{mark:.{digits}f}" if digits < 6 and abs(mark) < 1e6 else f"{mark:.4g}" for mark in marks]


def _apart(places: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Places (N,) for labels near these, in the same order, a line apart, between `low` and `high`."""
    order = np.argsort(places, kind="stable")
    room = LINE * np.arange(len(places))
    y = places[order] - room
    y = (np.maximum.accumulate(y) + np.minimum.accumulate(y[::-1])[::-1]) / 2  # pushed down, and pushed up
    return (np.clip(y, low, high - room[-1]) + room)[np.argsort(order)]


def _runs(path: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The pieces of a path (P, 2) between its gaps."""
    edges = np.flatnonzero(np.diff(np.isfinite(path[:, 1]), prepend=False, append=False))
    return [path[begin:end] for begin, end in edges.reshape(-1, 2)]


def _dot(role: str, place: NDArray[np.float64], size: float) -> Lines:
    return Lines(role, [np.stack([place, place + np.array([0.01, 0])])], size)
