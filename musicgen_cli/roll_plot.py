"""A piano roll as a picture."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.drawing import Boxes, Lines, Picture, Shapes, Text, fitted, line
from musicgen_cli.pictures import pitch_name
from musicgen_cli.roll import decode
from musicgen_cli.score import END, KEYS, LOWEST, PITCH, START

BLACK = (1, 3, 6, 8, 10)  # pitch classes
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 58, 20  # margins of a roll, in pixels, as all that follows
WIDTH, BEAT, STEP = 960, 16, 4  # of a line of music: its most, and the least of a beat or of a step
WIDEST, TALLEST = 16, 280  # a step, a line of music
NUMBERS, BETWEEN = 40, 36  # from a bar number to the next, from a line of music to the next


@dataclass(frozen=True)
class Staff:
    """A line of music on paper: keys (pitches from low to high), each `key` pixels high, the highest at `top`."""

    keys: range
    key: int
    top: int
    left: float
    right: float

    @property
    def bottom(self) -> int:
        return self.top + len(self.keys) * self.key

    def lanes(self) -> Shapes:
        """What lies under the notes: a lane for each key, a keyboard, the names of some keys."""
        rows = [(pitch, self.top + i * self.key) for i, pitch in enumerate(reversed(self.keys))]
        black = [y for pitch, y in rows if pitch % 12 in BLACK]
        octaves = [y + self.key for pitch, y in rows[:-1] if pitch % 12 == 0]
        named = (0, 4, 7) if self.key >= 6 else (0,)
        board, width, height = LEFT - 18, self.right - self.left, self.bottom - self.top
        return [
            Boxes("lane", np.array([[self.left, self.top, width, height]])),
            Boxes("black-key", np.array([[self.left, y, width, self.key] for y in black])),
            Lines("faint", [line(self.left, y, self.right, y) for y in octaves]),
            Boxes("grid", np.array([[board - 1, self.top - 1, 14, height + 2]]), 1.5),
            Boxes("ivory", np.array([[board, self.top, 12, height]]), 1),
            Boxes("ebony", np.array([[board, y, 7, self.key] for y in black])),
            *(
                Text("soft" if pitch % 12 else "ink", board - 6, y + self.key / 2 + 3.5, pitch_name(pitch), 10, "end")
                for pitch, y in rows
                if pitch % 12 in named
            ),
        ]

    def bars(self, bar: int, beats: int, first: int) -> Shapes:
        """Bar lines each `bar` pixels, beats where there is room, the number of each 1st, 2nd, 4th, 8th ... bar."""
        every = next(n for n in (2**i for i in itertools.count()) if n * bar >= NUMBERS)
        lines = [
            (i, LEFT + i * bar) for i in range(math.ceil((self.right - LEFT) / bar)) if LEFT + i * bar >= self.left
        ]
        within = range(1, beats if bar >= BEAT * beats else 1)
        marks = [LEFT + bar * (i + beat / beats) for i in range(-(-WIDTH // bar)) for beat in within]
        return [
            Lines("faint", [line(x, self.top, x, self.bottom) for x in marks if self.left < x < self.right]),
            Lines("grid", [line(x, self.top - (0 if i % every else 4), x, self.bottom) for i, x in lines]),
            *(Text("soft", x, self.top - 8, str(first + i + 1), 10, "middle") for i, x in lines if i % every == 0),
        ]

    def blocks(self, notes: NDArray[Any], begin: int, end: int, step: float) -> NDArray[np.float64]:
        """Notes (N, 3) as rectangles (M, 4), as far as they sound from step `begin` to `end`."""
        start, stop, pitch = notes[(notes[:, START] < end) & (notes[:, END] > begin)].T
        start, stop = np.maximum(start, begin) - begin, np.minimum(stop, end) - begin
        y = self.top + (self.keys[-1] - pitch) * self.key + 0.5
        return np.stack(
            [LEFT + start * step, y, (stop - start) * step - min(1, step / 3), np.full(len(y), self.key - 1)], 1
        )


def roll_plot(
    roll: NDArray[np.bool_], steps_per_bar: int, title: str = "", first_step: int = 0, beats: int = 4, given: int = 0
) -> Picture:
    """A piano roll (T, 88, 2) or (T, 88): time to the right, on as many lines as it takes, pitch up.

    first_step: how many steps of the song come before the roll; beats: of a bar; given: steps of the song that were not
    made, but given to begin with
    """
    first_bar, lead = divmod(first_step, steps_per_bar)
    notes = decode(roll, 1).notes + np.array([lead, lead, 0])
    length = lead + (len(roll) or steps_per_bar)
    bars = -(-length // steps_per_bar)
    lines = -(-bars // max(1, WIDTH // min(STEP * steps_per_bar, BEAT * beats)))
    bars_a_line = -(-bars // lines)
    bar = min(WIDTH // bars_a_line, WIDEST * steps_per_bar)
    step, steps = bar / steps_per_bar, bars_a_line * steps_per_bar
    keys = keys_drawn(notes[:, PITCH])
    key = min(max(TALLEST // len(keys), 4), 10)

    were_given = notes[:, START] < given - first_step + lead
    parts = {"c": notes[were_given], "a": notes[~were_given]}
    shapes, bottom = Shapes(), TOP
    blocks: dict[str, list[NDArray[np.float64]]] = {role: [] for role in parts}
    for begin in range(0, length, steps):
        end = min(begin + steps, length)
        top = bottom + (BETWEEN if begin else 0)
        left, right = (LEFT + max(place - begin, 0) * bar / steps_per_bar for place in (lead, end))
        staff = Staff(keys, key, top, left, right)
        shapes += [*staff.lanes(), *staff.bars(bar, beats, first_bar + begin // steps_per_bar)]
        for role, some in parts.items():
            blocks[role].append(staff.blocks(some, begin, end, step))
        bottom = staff.bottom
    long = math.ceil(min(length, steps) * step)
    if len(notes):
        shapes += [Boxes(role, np.concatenate(blocks[role]), 1.5) for role in parts if len(parts[role])]
    else:
        middle, y = LEFT + long / 2, (TOP + bottom) / 2
        shapes.append(Boxes("lane", np.array([[middle - 30, y - 10, 60, 20]]), 4))
        shapes.append(Text("soft", middle, y + 4, "silence", 12, "middle"))
    width = LEFT + max(long, 300) + RIGHT
    legend = [("c", width - RIGHT - 44, "given"), ("a", width - RIGHT, "made")] if given else []
    shapes += [Text(role, x, 27, text, anchor="end", bold=True) for role, x, text in legend]
    shapes.append(Text("ink", LEFT - 18, 27, fitted(title, width - LEFT - 90 * bool(given), 15), 15, bold=True))
    return Picture(width, bottom + BOTTOM, shapes, title or "Piano roll")


def keys_drawn(pitch: NDArray[Any]) -> range:
    """The keys to draw: from the lowest to the highest that sounds and two more, an octave at least."""
    low, high = (int(pitch.min()), int(pitch.max())) if len(pitch) else (60, 72)
    middle = (low + high) // 2
    low = max(min(low - 2, middle - 6, LOWEST + KEYS - 13), LOWEST)
    return range(low, min(max(high + 2, middle + 6, low + 12), LOWEST + KEYS - 1) + 1)
