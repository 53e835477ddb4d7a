import json
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen_cli.commands.options import Json
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE, printable

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.smf import File
    from musicgen_cli.vocabulary import Vocabulary

LISTED = 20  # songs or parts; --json has them all
WORDS = 12  # of a song that are spelt out


def show(
    file: Annotated[
        Path, typer.Argument(help="Corpus, vocabulary, checkpoint or MIDI file; - is stdin.", allow_dash=True)
    ] = PIPE,
    song: Annotated[str, typer.Option(help="Which song to draw, by name or number.")] = "1",
    steps: Annotated[int | None, typer.Option(min=1, help="How many steps to draw; default: as many as fit.")] = None,
    ascii_: Annotated[
        bool, typer.Option("--ascii", help="Draw with # start, - continue, . silence, not with blocks.")
    ] = False,
    braille: Annotated[
        bool, typer.Option("--braille", help="Draw with dots: twice as many steps fit, in half the lines.")
    ] = False,
    json_: Json = False,
) -> None:
    """Tell what is in a file: songs and steps or words; a model and its scores; the parts of a MIDI file.

    \b
    Examples:
      musicgen show rolls.npy --song bwv003-06
      musicgen show model.pt
      musicgen sample | musicgen show
    """
    if ascii_ and braille:
        raise typer.BadParameter("--ascii and --braille draw in two ways: leave one out.")
    from musicgen_cli import corpus as corpora
    from musicgen_cli import vocabulary
    from musicgen_cli.commands.inputs import hear, kind, one_song
    from musicgen_cli.streams import naming, open_input
    from musicgen_cli.streams import show as print_out

    picture, wanted = [], "ascii" if ascii_ else "braille" if braille else ""
    with open_input(file) as opened, naming(file):
        what = kind(opened)
        if what == "checkpoint":
            from musicgen_cli import checkpoint

            facts = _checkpoint_facts(checkpoint.load(opened))
        elif what == "corpus" and vocabulary.is_one(opened):
            counted = vocabulary.load(opened)
            facts = {"kind": "vocabulary", **counted.facts(), "the words": _commonest(counted)}
        elif what == "corpus":
            music = corpora.load(opened)
            facts = _corpus_facts(music, len(music) if json_ else LISTED)
            picture = _picture(music, music.find(song), steps, wanted) if len(music) else []
        elif what == "midi":
            heard = hear(file, opened)
            facts = _midi_facts(heard)
            try:
                picture = _picture(one_song(file, heard, 4), 0, steps, wanted)
            except MusicgenError as error:  # too long to be drawn
                picture = [str(error)]
        else:
            raise MusicgenError("is neither a corpus, nor a vocabulary, nor a checkpoint, nor a MIDI file")
    if json_:
        print_out(json.dumps(facts, indent=2))
    else:
        print_out("\n".join([*map(printable, _lines(facts)), *([""] if picture else []), *picture]))


def _lines(facts: dict[str, Any]) -> list[str]:
    """Facts as a person reads them: a line each, a list as a line for each of its first rows."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{name}:")
            lines += [
                "  " + ", ".join(_text(key, cell) for key, cell in row.items() if not _empty(cell))
                for row in value[:LISTED]
            ]
            lines += [f"  ... and {len(value) - LISTED} more (--json has them all)"] if len(value) > LISTED else []
        else:
            lines.append(f"{name}: {_text('', value)}")
    return lines


def _empty(value: Any) -> bool:
    return value is False or value == ""


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text('', cell)}" for key, cell in value.items())
    if isinstance(value, list):
        return "/".join(map(str, value))
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if name in ("", "number", "name", "text", "time signature") else f"{name} {text}"


def _corpus_facts(music: "Corpus", listed: int) -> dict[str, Any]:
    """listed: songs of which more is told than that they are there."""
    import numpy as np

    songs = [
        {
            "number": i + 1,
            "name": about.name,
            "steps" if music.bits else "words": int(music.lengths[i]),
            "tempo": about.tempo,
            "time signature": list(about.time_signature),
            "text": about.text,
        }
        for i, about in enumerate(islice(music.songs, listed))
    ]
    songs += [{}] * (len(music) - len(songs))
    facts: dict[str, Any] = {"kind": f"corpus of {music.form}", "songs": len(music)}
    if not music.bits:
        facts |= {"words": len(music.music), "steps per quarter note": music.steps_per_quarter}
        return facts | {"distinct words": len(np.unique(music.music)), "the songs": songs}
    steps, bits = len(music.music), sum(int(music.roll(i).sum()) for i in range(len(music)))
    return facts | {
        "steps": steps,
        "steps per quarter note": music.steps_per_quarter,
        "bits a key": music.bits,
        "packed": music.packed,
        "density": bits / max(steps * 88 * music.bits, 1),
        "bits a step": bits / max(steps, 1),
        "the songs": songs,
    }


def _commonest(counted: "Vocabulary") -> list[dict[str, Any]]:
    pairs = zip(counted.words.tolist(), counted.counts.tolist())
    return [{"word": word, "count": count} for word, count in pairs]


def _checkpoint_facts(saved: "Checkpoint") -> dict[str, Any]:
    best: dict[str, float] = next((row for row in reversed(saved.history) if row["best"]), {})
    return {
        "kind": "checkpoint",
        "model": saved.model,
        "sizes": saved.model_arguments,
        "weights": sum(weights.size for weights in saved.state_dict.values()),
        "loss": {"name": saved.loss, **saved.loss_arguments},
        "steps per quarter note": saved.steps_per_quarter,
        "form": saved.form,
        "words": len(saved.words),
        "steps read": saved.source,
        "steps written": saved.target,
        "tempo": saved.tempo,
        "time signature": list(saved.time_signature),
        "split": {side: len(songs) for side, songs in saved.split.items()},
        "epochs": len(saved.history),
        "finished": saved.resume is None,
        "best epoch": best,
        "settings": saved.settings,
        "made by": f"musicgen {saved.musicgen}",
    }


def _midi_facts(file: "File") -> dict[str, Any]:
    from musicgen_cli import midi

    score, _ = midi.merge(file, drums=True)
    parts = [
        {
            "number": i,
            "name": part.name or "(no name)",
            "program": part.program,
            "notes": len(part.notes),
            "drums": part.drums,
        }
        for i, part in enumerate(file.parts, 1)
    ]
    return {
        "kind": "MIDI file",
        "quarter notes": score.length / score.ticks_per_quarter,
        "tempo": score.tempo,
        "time signature": list(score.time_signature),
        "notes": len(score.notes),
        "the parts": parts,
    }


def _picture(music: "Corpus", song: int, steps: int | None, wanted: str) -> list[str]:
    """A song as text: as wanted, else by blocks, by dots where a terminal is too narrow for the steps, or in ASCII."""
    from musicgen_cli.pictures import ascii_roll, block_roll, braille_roll
    from musicgen_cli.score import steps_per_bar

    bar = steps_per_bar(music.songs[song].time_signature, music.steps_per_quarter)
    width = max(shutil.get_terminal_size((100, 24)).columns - 5, 16)
    roll, name = music.roll(song), music.songs[song].name or "it"
    room = {"ascii": width * bar // (bar + 1), "": width * bar // (bar + 1), "braille": width * 2 * bar // (bar + 2)}
    if not wanted and sys.stdout is not None and sys.stdout.isatty() and min(steps or 0, len(roll)) > room[""]:
        wanted = "braille"
    ways = {  # how it is drawn, with which signs, and what a line of it is
        "ascii": (ascii_roll, "", ""),
        "": (block_roll, "▀▄█", "; two keys a line, the lower is named"),
        "braille": (braille_roll, "⣿", "; four keys a line, the lowest is named"),
    }
    try:
        ways[wanted][1].encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        wanted = "ascii"
    shown = steps or room[wanted]
    words = [] if music.bits else [f"{name}, the first words: {' '.join(music[song][:WORDS].tolist())}"]
    draw, _, line = ways[wanted]
    captions = [*words, f"{name}, steps 1 to {min(shown, len(roll))} of {len(roll)}{line}:"]
    return [*map(printable, captions), *draw(roll[:shown], bar)]
