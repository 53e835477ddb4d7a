import json
from pathlib import Path
from typing import Annotated

import typer

from musicgen_cli.commands.options import Output, Quiet, check_report
from musicgen_cli.streams import PIPE


def dedupe(
    corpora: Annotated[
        list[Path],
        typer.Argument(metavar="CORPORA", help="Corpora, or folders of *.npy; - is stdin.", allow_dash=True),
    ],
    output: Output = PIPE,
    alike: Annotated[
        float, typer.Option(min=0.2, max=1, help="Share of their short runs of chords that copies have in common.")
    ] = 0.4,
    report: Annotated[
        Path | None, typer.Option(help="Write which songs were dropped, and for which, as JSON lines to this file.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Keep of songs that are copies of each other the first, in whatever keys they are.

    Two songs are copies where they have most of their short runs of chords in common, by intervals and rhythm: a few
    notes may differ, or an end be missing. What is dropped is told on stderr, a line a song.

    \b
    Examples:
      musicgen dedupe rolls.npy -o unique.npy
      musicgen dedupe shards --report copies.jsonl -o unique.npy
    """
    from musicgen_cli import likeness, midi
    from musicgen_cli.commands.inputs import load_corpora, shards
    from musicgen_cli.corpus import Writer
    from musicgen_cli.streams import check_target, counted, name_of, refuse_suffix, say, write_bytes
    from musicgen_cli.streams import output as open_output

    paths = shards(corpora)
    check_report(report, output)
    for target in (output, *([report] if report else [])):
        check_target(target, *paths)
    refuse_suffix(output, ".pt", *midi.SUFFIXES)
    music = load_corpora(paths)
    dropped, lines = set[int](), list[bytes]()
    for copy in likeness.copies(music, alike):
        dropped.add(copy.song)
        name, of = music.songs[copy.song].name, music.songs[copy.of].name
        say(f"dropped {name}, song {copy.song + 1}: {copy.like:.0%} like {of}, song {copy.of + 1}", quiet)
        facts = {"song": copy.song + 1, "name": name, "of": copy.of + 1, "of_name": of, "alike": round(copy.like, 4)}
        lines.append(json.dumps(facts).encode() + b"\n")
    with open_output(output) as file:
        writer = Writer(file, music.steps_per_quarter)
        for i, song in enumerate(music.songs):
            if i not in dropped:
                writer.add(song, music[i])
        writer.finish()
    if report:
        write_bytes(report, b"".join(lines), f"{name_of(output, 'standard output')} is written, its report is not")
    say(f"kept {counted(len(writer), 'song')} of {len(music)}", quiet)
