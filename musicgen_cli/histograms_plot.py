"""What samples are like beside real music: their histograms as a picture."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.comparison import HISTOGRAMS
from musicgen_cli.corpus import Corpus
from musicgen_cli.drawing import Boxes, Lines, Picture, Shapes, Text, fitted, line
from musicgen_cli.features import pitch_classes
from musicgen_cli.pictures import NAMES
from musicgen_cli.roll import sounding

Roll = NDArray[np.bool_]
Counts = dict[int, int]  # value -> how often

COLUMNS, WIDTH, HEIGHT = 2, 400, 120  # of panels, of a panel in pixels
LEFT, GAP, HEAD, ROW = 28, 48, 62, 52  # margins, between columns, above the panels, between rows
QUARTERS = 4  # that note lengths and distances are drawn up to


def _classes(roll: Roll, beat: int) -> Counts:
    return dict(enumerate(pitch_classes(roll).tolist()))


def _keys(roll: Roll, beat: int) -> Counts:
    return Counter(sounding(roll).sum(1).tolist())


# Heading; counts; the values that are drawn, what lies beyond them at the ends; every how manyth has its name.
PANELS: tuple[tuple[str, Callable[[Roll, int], Counts], Callable[[int], range], int], ...] = (
    ("Pitch classes", _classes, lambda beat: range(12), 1),
    ("Keys that sound at a time", _keys, lambda beat: range(9), 1),
    ("Intervals in chords, semitones", HISTOGRAMS["harmonic_interval_distance"], lambda beat: range(1, 25), 1),
    ("Steps of the highest voice, semitones", HISTOGRAMS["melodic_interval_distance"], lambda beat: range(-12, 13), 1),
    ("Lengths of notes, quarter notes", HISTOGRAMS["note_length_distance"], lambda beat: range(QUARTERS * beat + 1), 0),
    (
        "From strike to strike, quarter notes",
        HISTOGRAMS["inter_onset_distance"],
        lambda beat: range(QUARTERS * beat + 1),
        0,
    ),
)


def histograms_plot(samples: Corpus, real: Corpus, title: str = "") -> Picture:
    """Six histograms of samples and of real music on the same grid, side by side."""
    beat = samples.steps_per_quarter
    rolls = [[side.roll(i) for i in range(len(side))] for side in (samples, real)]
    width = 2 * LEFT + COLUMNS * WIDTH + (COLUMNS - 1) * GAP
    shapes: Shapes = [Text("ink", LEFT, 27, fitted(title, width - 2 * LEFT - 160, 15), 15, bold=True)]
    shapes += [
        Text("c", width - LEFT - 64, 27, "real", anchor="end", bold=True),
        Text("a", width - LEFT, 27, "samples", anchor="end", bold=True),
    ]
    for number, (heading, count, values, every) in enumerate(PANELS):
        row, column = divmod(number, COLUMNS)
        shares = [_shares(side, count, values(beat), beat) for side in rolls]
        names = _names(heading, values(beat), every, beat)
        shapes += _panel(heading, shares, names, LEFT + column * (WIDTH + GAP), HEAD + row * (HEIGHT + ROW))
    return Picture(width, HEAD + -(-len(PANELS) // COLUMNS) * (HEIGHT + ROW), shapes, title or "Histograms")


def _shares(rolls: list[Roll], count: Callable[[Roll, int], Counts], values: range, beat: int) -> NDArray[np.float64]:
    """The share of each value in all songs together; what is beyond the first or the last counts there."""
    total = np.zeros(len(values))
    for roll in rolls:
        for value, times in count(roll, beat).items():
            total[min(max(value, values[0]), values[-1]) - values[0]] += times
    return np.asarray(total / max(total.sum(), 1))


def _names(heading: str, values: range, every: int, beat: int) -> list[str]:
    """What stands below the bars; of the ends, where other values count too, which way they lie."""
    if heading == "Pitch classes":
        return list(NAMES)
    if every:
        names = [f"{value}" if value % 2 == 0 or len(values) < 13 else "" for value in values]
    else:
        names = [f"{value / beat:g}" if value % beat == 0 else "" for value in values]
    return [f"\u2264{names[0]}" if values[0] < 0 else names[0], *names[1:-1], f"\u2265{names[-1]}"]


def _panel(heading: str, shares: list[NDArray[np.float64]], names: list[str], left: int, top: int) -> Shapes:
    samples, real = shares
    bin_, most = WIDTH / len(names), max(samples.max(), real.max(), 1e-9)
    common = f"{np.minimum(samples, real).sum():.0%} in common"
    bottom = top + HEIGHT
    return [
        Text("ink", left, top - 8, heading, 12, bold=True),
        Text("soft", left + WIDTH, top - 8, common, anchor="end"),
        Boxes("c", _bars(real, left + bin_ * 0.1, bin_, most, bottom)),
        Boxes("a", _bars(samples, left + bin_ * 0.5, bin_, most, bottom)),
        Lines("grid", [line(left, bottom, left + WIDTH, bottom)]),
        *(
            Text("soft", left + (i + 0.5) * bin_, bottom + 14, name, 9, "middle")
            for i, name in enumerate(names)
            if name
        ),
    ]


def _bars(shares: NDArray[np.float64], left: float, bin_: float, most: float, bottom: int) -> NDArray[Any]:
    """Rectangles (N, 4) of the shares that are not 0."""
    which = np.flatnonzero(shares)
    height = shares[which] / most * (HEIGHT - 8)
    return np.stack([left + which * bin_, bottom - height, np.full(len(which), bin_ * 0.4), height], 1)
