"""Songs as one HTML page that needs nothing but itself: sound, a roll with a moving cursor, and how each was made."""

import base64
import html
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import BinaryIO

import numpy as np

from musicgen_cli.corpus import Song
from musicgen_cli.drawing import DARK, LIGHT, plain
from musicgen_cli.roll_plot import BLACK, keys_drawn
from musicgen_cli.score import END, PITCH, START, Score, steps_per_bar

TEMPLATE = files("musicgen_cli").joinpath("page.html").read_text("utf-8")
MEDIA = {"mp3": "audio/mpeg", "wav": "audio/wav"}
QUARTER = 24  # units of a roll's width; a note ends one before the next begins


@dataclass(frozen=True, eq=False)
class Clip:
    """A song on a page; audio: a file of this form, a key of MEDIA.

    remark: what else is to be said of it; options: of `decode`, that it was played with
    """

    song: Song
    score: Score
    audio: bytes
    form: str
    remark: str = ""
    options: str = ""


def write(file: BinaryIO, clips: Iterable[Clip], title: str, remark: str = "") -> None:
    """Write a page, clip by clip: no more than one is in memory. All text is escaped, names too."""
    head, tail = TEMPLATE.split("<!--songs-->\n")
    head = head.replace("/*colours*/", _colours())
    head = head.replace("<!--title-->", _escaped(title)).replace("<!--remark-->", _escaped(remark))
    file.write(head.encode())
    for clip in clips:
        before, after = _article(clip)
        file.write(before.encode())
        file.write(base64.b64encode(clip.audio))
        file.write(after.encode())
    file.write(tail.encode())


def roll(score: Score) -> str:
    """A score as an inline SVG of so many units a quarter note and one a key, to be drawn at any size."""
    keys = keys_drawn(score.notes[:, PITCH])
    grid = QUARTER / score.ticks_per_quarter
    width = max(round(score.length * grid), 1)
    black = "".join(f"M0 {keys[-1] - pitch}h{width}v1H0z" for pitch in keys if pitch % 12 in BLACK)
    bar = steps_per_bar(score.time_signature, QUARTER)
    bars = "".join(f"M{x} 0v{len(keys)}" for x in range(bar, width, bar))
    starts, ends = np.rint(score.notes[:, [START, END]] * grid).astype(int).T.tolist()
    notes = "".join(
        f"M{start} {keys[-1] - pitch}h{max(end - start - 1, 1)}v1H{start}z"
        for start, end, pitch in zip(starts, ends, score.notes[:, PITCH].tolist())
        if pitch in keys
    )
    return (
        f'<svg viewBox="0 0 {width} {len(keys)}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="black" d="{black}"/><path class="bars" d="{bars}"/><path class="notes" d="{notes}"/></svg>'
    )


def _colours() -> str:
    light, dark = ("".join(f"--{role}: {colour}; " for role, colour in side.items()) for side in (LIGHT, DARK))
    return f":root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}"


def _escaped(text: str) -> str:
    return html.escape(plain(text))


def _article(clip: Clip) -> tuple[str, str]:
    """A clip as HTML, up to its sound and after it."""
    score, name = clip.score, _escaped(clip.song.name)
    quarters = score.length / score.ticks_per_quarter
    seconds = quarters * 60 / score.tempo
    keys = len(keys_drawn(score.notes[:, PITCH]))
    command, maker = _made_by(clip.song, clip.options)
    seed = re.search(r" --seed (\d+)", command)
    facts = [f"seed {seed[1]}"] if seed else []
    facts += ["{}/{}".format(*score.time_signature), f"{score.tempo:.0f} quarter notes a minute"]
    facts += [f"{len(score.notes)} note{'' if len(score.notes) == 1 else 's'}"]
    said = [clip.remark, ", ".join(facts), maker]
    return (
        f'<article data-seconds="{seconds:.3f}">\n<header><button aria-label="Play {name}" aria-pressed="false">'
        '<svg class="go" width="18" height="18"><path d="M4 1v16l13-8z"/></svg>'
        '<svg class="stop" width="18" height="18"><path d="M3 2h4v14H3zM11 2h4v14h-4z"/></svg>'
        f"</button><h2>{name}</h2><output></output></header>\n"
        f'<div class="roll"><div class="paper" role="slider" tabindex="0" aria-label="Place in {name}" '
        f'aria-valuemin="0" aria-valuemax="{seconds:.1f}" aria-valuenow="0" '
        f'style="--quarters: {quarters:.2f}; --keys: {keys}">{roll(score)}<div class="cursor"></div></div></div>\n'
        + "".join(f"<p>{_escaped(text)}</p>\n" for text in said if text)
        + (f"<p><code>{_escaped(command)}</code></p>\n" if command else "")
        + f'<audio preload="auto" src="data:{MEDIA[clip.form]};base64,',
        '"></audio>\n</article>\n',
    )


def _made_by(song: Song, options: str) -> tuple[str, str]:
    """The command that makes a sample again, "" for other songs, and what else its text says: see `musicgen sample`."""
    command, _, maker = song.text.rpartition("; ")
    try:  # a text may come from a stranger: nothing that a shell would do more with
        plain_words = shlex.join(shlex.split(command)) == command
    except ValueError:
        plain_words = False
    if not command.startswith("musicgen sample ") or not plain_words:
        return "", song.text
    return f"{command} | musicgen decode{options} -o {shlex.quote(song.name + '.mid')}", maker
