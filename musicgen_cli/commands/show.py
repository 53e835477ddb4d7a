import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from musicgen_cli.commands.options import Json
from musicgen_cli.streams import PIPE, printable

SONGS_LISTED = 20


def show(
    file: Annotated[Path, typer.Argument(help="Corpus, checkpoint or MIDI file; - is stdin.", allow_dash=True)] = PIPE,
    song: Annotated[str, typer.Option(help="Which song to draw, by name or number.")] = "1",
    steps: Annotated[int | None, typer.Option(min=1, help="How many steps to draw; default: as many as fit.")] = None,
    ascii_: Annotated[
        bool, typer.Option("--ascii", help="Draw with # start, - continue, . silence, not with blocks.")
    ] = False,
    json_: Json = False,
) -> None:
    """Tell what is in a file: songs, steps and density; a model and its scores; the parts of a MIDI file.

    \b
    Examples:
      musicgen show rolls.npy --song bwv003-06
      musicgen show model.pt
      musicgen sample | musicgen show
    """
    import io
    import json

    from musicgen_cli import corpus as corpora
    from musicgen_cli.commands.inputs import kind
    from musicgen_cli.streams import naming, read_bytes
    from musicgen_cli.streams import show as print_out

    data = read_bytes(file)
    with naming(file):
        what = kind(data)
        if what == "checkpoint":
            from musicgen_cli import checkpoint

            facts, picture = _checkpoint_facts(checkpoint.load(io.BytesIO(data))), []
        elif what == "corpus":
            music = corpora.load(io.BytesIO(data))
            facts, picture = _corpus_facts(music), _picture(music, music.find(song) if len(music) else 0, steps, ascii_)
        else:
            facts, music = _midi_facts(data)
            picture = _picture(music, 0, steps, ascii_)
    if json_:
        print_out(json.dumps(facts, indent=2))
        return
    lines = []
    for name, value in facts.items():
        if isinstance(value, list):
            rows = ["  " + "  ".join(str(cell) for cell in row.values()) for row in value[:SONGS_LISTED]]
            more = len(value) - SONGS_LISTED
            lines += [f"{name}:", *rows, *([f"  ... and {more} more (--json lists all)"] if more > 0 else [])]
        else:
            lines.append(f"{name}: {value}")
    print_out("\n".join([*map(printable, lines), *([""] if picture else []), *picture]))


def _corpus_facts(music: Any) -> dict[str, Any]:
    songs = [
        {
            "number": i + 1,
            "name": about.name,
            "steps": f"{music.lengths[i]} steps",
            "tempo": f"{about.tempo:g} a minute",
            "time_signature": "{}/{}".format(*about.time_signature),
            **({"text": about.text} if about.text else {}),
        }
        for i, about in enumerate(music.songs)
    ]
    ones = sum(int(music.roll(i).sum()) for i in range(len(music)))
    total = len(music.music)
    form = "start and continue bits" if music.bits == 2 else "sounding bits"
    return {
        "kind": "corpus of piano rolls, " + form + (", packed" if music.packed else ""),
        "songs": len(music),
        "steps": total,
        "steps per quarter note": music.steps_per_quarter,
        "density": round(ones / max(total * 88 * music.bits, 1), 5),
        "keys a step": round(ones / max(total, 1), 2),
        "the songs": songs,
    }


def _checkpoint_facts(saved: Any) -> dict[str, Any]:
    best: dict[str, float] = next((row for row in reversed(saved.history) if row["best"]), {})
    scores = {name: round(value, 4) for name, value in best.items() if name.startswith(("train", "valid"))}
    return {
        "kind": "checkpoint",
        "model": f"{saved.model} {saved.model_arguments}",
        "loss": f"{saved.loss} {saved.loss_arguments or ''}".strip(),
        "weights": sum(weights.numel() for weights in saved.state_dict.values()),
        "grid": f"{saved.steps_per_quarter} steps per quarter note, {saved.bits} bits a key",
        "reads and writes": f"{saved.source} steps, {saved.target} steps",
        "music": f"{saved.tempo:g} quarter notes a minute, {saved.time_signature[0]}/{saved.time_signature[1]}",
        "split": ", ".join(f"{len(songs)} {side}" for side, songs in saved.split.items()),
        "epochs": f"{len(saved.history)} of {saved.settings['epochs']}" + (", unfinished" if saved.resume else ""),
        "best epoch": int(best.get("epoch", 0)),
        **scores,
        "settings": ", ".join(f"{name} {value}" for name, value in saved.settings.items()),
        "made by": f"musicgen {saved.musicgen}",
    }


def _midi_facts(data: bytes) -> tuple[dict[str, Any], Any]:
    from musicgen_cli import corpus as corpora
    from musicgen_cli import midi, roll
    from musicgen_cli.score import quantise

    parsed = midi.parse(data)
    score, _ = midi.read(data)
    parts = [
        {
            "number": i,
            "name": part.name or "(no name)",
            "program": f"program {part.program}",
            "notes": f"{len(part.notes)} notes" + (" (drums)" if part.drums else ""),
        }
        for i, part in enumerate(parsed.parts, 1)
    ]
    facts = {
        "kind": "MIDI file",
        "quarter notes": round(score.length / score.ticks_per_quarter, 2),
        "tempo": f"{score.tempo:g} quarter notes a minute",
        "time signature": "{}/{}".format(*score.time_signature),
        "notes": len(score.notes),
        "parts": parts,
    }
    song = corpora.Song("", score.tempo, score.time_signature)
    return facts, corpora.gather([(song, roll.encode(quantise(score, 4)))])


def _picture(music: Any, song: int, steps: int | None, plain: bool) -> list[str]:
    from musicgen_cli.pictures import ascii_roll, block_roll

    if not len(music):
        return []
    numerator, denominator = music.songs[song].time_signature
    bar = max(1, round(4 * music.steps_per_quarter * numerator / denominator))
    width = max(shutil.get_terminal_size((100, 24)).columns - 5, 16)
    fitting = steps or width * bar // (bar + 1)
    try:
        "▀▄█".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        plain = True
    return (ascii_roll if plain else block_roll)(music.roll(song)[:fitting], bar)
