"""A picture as a list of shapes, written as SVG by hand or as PNG through matplotlib."""

import html
import io
import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError

COLOURS = {  # the role of a shape -> its colour on light and on dark paper
    "paper": ("#ffffff", "#12161b"),
    "lane": ("#f7f8f9", "#1b2027"),
    "black-key": ("#eceff2", "#15191f"),
    "ivory": ("#ffffff", "#c6cdd5"),
    "ebony": ("#59636e", "#2a323b"),
    "faint": ("#e3e7eb", "#262d36"),
    "grid": ("#c9d0d7", "#3d4751"),
    "mark": ("#98a2ad", "#6b7783"),
    "soft": ("#626d79", "#98a4b1"),
    "ink": ("#1c2530", "#e8edf2"),
    "a": ("#1f5fa8", "#6fb1f5"),
    "b": ("#b4500f", "#f2a065"),
    "c": ("#414b56", "#b4bec8"),
    "a-light": ("#7ba3d0", "#4877a8"),
    "b-light": ("#d39566", "#a26b42"),
    "c-light": ("#939eaa", "#68737f"),
}
LIGHT, DARK = ({role: colours[side] for role, colours in COLOURS.items()} for side in (0, 1))
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
UNIT = 64  # pixels to the inch, a power of two: whole pixels are exact in inches
MAX_SIDE = 16_000  # pixels of a PNG, before they are doubled


@dataclass(frozen=True, eq=False)
class Boxes:
    """Rectangles of one colour, float (N, 4) of x, y, width, height; radius: of their corners."""

    role: str
    boxes: NDArray[Any]
    radius: float = 0

    def outlines(self) -> tuple[NDArray[np.float64], float]:
        """Their corners, (N, 4, 2), moved in to make room for a pen that rounds them, and its width."""
        x, y, width, height = np.asarray(self.boxes, float).T
        radius = min([self.radius, *(np.minimum(width, height) / 4)])  # a wider pen would leave holes
        left, right, top, bottom = x + radius, x + width - radius, y + radius, y + height - radius
        return np.stack([left, top, right, top, right, bottom, left, bottom], 1).reshape(-1, 4, 2), 2 * radius


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of one colour, each float (P, 2) of x, y; width: of the pen."""

    role: str
    lines: Sequence[NDArray[Any]]
    width: float = 1


@dataclass(frozen=True)
class Text:
    """A line of text; x, y: the start of its baseline, or the middle or end by `anchor`; size: of the font."""

    role: str
    x: float
    y: float
    text: str
    size: float = 11
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """Shapes on paper, later ones over earlier ones; in pixels, x to the right, y down."""

    width: int
    height: int
    shapes: "Shapes"
    title: str = ""  # what a screen reader says


Shapes = list[Boxes | Lines | Text]


def plain(text: str) -> str:
    """Text that any file can hold and any font draw: one line, what is neither printable nor a space replaced."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def line(x: float, y: float, to_x: float, to_y: float) -> NDArray[np.float64]:
    """The line between two points, (2, 2)."""
    return np.array([[x, y], [to_x, to_y]], float)


def fitted(text: str, width: float, size: float) -> str:
    """As much of a text as is surely not wider than so many pixels."""
    widths = itertools.accumulate((1.1 if c >= "\u2e80" else 0.75) * size for c in plain(text))
    fitting = sum(total <= width for total in widths)
    return text if fitting == len(text) else text[: max(fitting - 1, 0)] + "\u2026"


def below_each_other(pictures: Sequence[Picture], title: str) -> Picture:
    """Several pictures as one."""
    shapes, height = Shapes(), 0
    for picture in pictures:
        shapes += [_moved_down(shape, height) for shape in picture.shapes]
        height += picture.height
    return Picture(max(picture.width for picture in pictures), height, shapes, title)


def _moved_down(shape: Boxes | Lines | Text, by: int) -> Boxes | Lines | Text:
    if isinstance(shape, Text):
        return replace(shape, y=shape.y + by)
    if isinstance(shape, Boxes):
        return replace(shape, boxes=np.asarray(shape.boxes).reshape(-1, 4) + np.array([0, by, 0, 0]))
    return replace(shape, lines=[line + np.array([0, by]) for line in shape.lines])


def svg(picture: Picture) -> bytes:
    """The picture as an SVG file, light or dark as its reader prefers."""
    light, dark = ("".join(f".musicgen .{role}{{color:{c}}}" for role, c in p.items()) for p in (LIGHT, DARK))
    width, height = picture.width, picture.height
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="musicgen" role="img" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="{FONT}" stroke-linejoin="round" stroke-linecap="round">',
        f"<title>{html.escape(plain(picture.title))}</title>",
        f"<style>{light}@media (prefers-color-scheme:dark){{{dark}}}</style>",
        f'<path class="paper" fill="currentColor" d="M0 0h{width}v{height}h-{width}z"/>',
        *map(_element, picture.shapes),
        "</svg>\n",
    ]
    return "\n".join(lines).encode()


def _element(shape: Boxes | Lines | Text) -> str:
    if isinstance(shape, Text):
        place = f'x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}"'
        style = f'text-anchor="{shape.anchor}"' + ' font-weight="600"' * shape.bold
        text = html.escape(plain(shape.text))
        return f'<text class="{shape.role}" fill="currentColor" {place} {style}>{text}</text>'
    lines, pen = shape.outlines() if isinstance(shape, Boxes) else (shape.lines, shape.width)
    fill, close = ("currentColor", "z") if isinstance(shape, Boxes) else ("none", "")
    stroke = f' stroke="currentColor" stroke-width="{_number(pen)}"' if pen else ""
    path = "".join(_moves(line) + close for line in lines)
    return f'<path class="{shape.role}" fill="{fill}"{stroke} d="{path}"/>'


def _moves(line: NDArray[Any]) -> str:
    """Points (P, 2) as short path data, rounded before they are subtracted: errors do not add up."""
    places = np.rint(np.asarray(line) * 100)
    text = f"M{_number(places[0, 0] / 100)} {_number(places[0, 1] / 100)}"
    for right, down in np.diff(places, axis=0) / 100:
        oblique = f"l{_number(right)} {_number(down)}"
        text += f"h{_number(right)}" if not down else f"v{_number(down)}" if not right else oblique
    return text


def _number(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.10g}"  # + 0.0: no -0


def png(picture: Picture) -> bytes:
    """The picture as a PNG file on light paper, two of its pixels for one of the picture's.

    Raises MusicgenError without matplotlib, and for what is too large.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D
    except ImportError:
        raise MusicgenError("PNG is drawn by matplotlib: pip install 'musicgen-cli[plot]', or write .svg") from None
    if max(picture.width, picture.height) > MAX_SIDE:
        raise MusicgenError("too large for a PNG: draw fewer --steps, or write .svg")
    figure = Figure((picture.width / UNIT, picture.height / UNIT), dpi=2 * UNIT, facecolor=LIGHT["paper"])
    file = io.BytesIO()
    place = Affine2D().scale(2, -2).translate(0, 2 * picture.height)
    for shape in picture.shapes:
        artist = _artist(shape)
        artist.set_transform(place)
        figure.add_artist(artist)
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as an empty box
        canvas.print_png(file, metadata={"Software": None})
    return file.getvalue()


def _artist(shape: Boxes | Lines | Text) -> Any:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.text import Text as Label

    points, colour = 72 / UNIT, LIGHT[shape.role]  # pens and fonts are measured in points there
    if isinstance(shape, Text):
        align: Any = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
        label = Label(shape.x, shape.y, plain(shape.text), color=colour, horizontalalignment=align, parse_math=False)
        label.set(fontfamily="DejaVu Sans", fontsize=shape.size * points, fontweight="bold" if shape.bold else "normal")
        return label
    closed = isinstance(shape, Boxes)
    lines, pen = shape.outlines() if isinstance(shape, Boxes) else (shape.lines, shape.width)
    path = Path.make_compound_path(*(Path([*line, line[0]] if closed else line, closed=closed) for line in lines))
    style = {"joinstyle": "round", "capstyle": "round", "snap": False, "linewidth": pen * points}
    return PathPatch(path, facecolor=colour if closed else "none", edgecolor=colour if pen else "none", **style)
