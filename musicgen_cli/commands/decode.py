from pathlib import Path
from typing import Annotated

import typer

from musicgen_cli.commands.options import Quiet
from musicgen_cli.streams import PIPE

MAX_NAME = 200  # bytes of a file's name, of the 255 that file systems take


def decode(
    corpus: Annotated[Path, typer.Argument(help="A corpus; - is stdin.", allow_dash=True)] = PIPE,
    output_name: Annotated[
        str, typer.Option("-o", "--output", help="A file, or a folder (with / at its end); - is stdout.")
    ] = "-",
    song: Annotated[str | None, typer.Option(help="Only this song, by name or number from 1.")] = None,
    tempo: Annotated[float | None, typer.Option(min=4, max=1000, help="Quarter notes per minute.")] = None,
    program: Annotated[
        int, typer.Option(min=0, max=127, help="General MIDI program: 0 piano, 19 organ, 52 choir.")
    ] = 0,
    velocity: Annotated[int, typer.Option(min=1, max=127, help="How hard the keys are struck.")] = 80,
    quiet: Quiet = False,
) -> None:
    """Turn a corpus back into MIDI: one song into a file, several into a folder.

    \b
    Examples:
      musicgen sample | musicgen decode -o out.mid
      musicgen decode rolls.npy -o midi/
      musicgen decode rolls.npy --song bwv003-06 --tempo 72 --program 19 -o chorale.mid
    """
    from dataclasses import replace

    from musicgen_cli import midi
    from musicgen_cli.commands.inputs import load_corpus
    from musicgen_cli.errors import MusicgenError
    from musicgen_cli.streams import check_target, counted, name_of, refuse_suffix, say, write_bytes

    output = Path(output_name)
    refuse_suffix(output, ".npy", ".pt")
    songs = load_corpus(corpus)
    chosen = [songs.find(song)] if song is not None else list(range(len(songs)))
    many = len(chosen) != 1
    folder = output != PIPE and (output.is_dir() or output_name.endswith("/") or (many and not output.suffix))
    if many and (not folder or output.is_file()):
        raise MusicgenError(
            f"{len(chosen)} songs do not fit into one file: name a folder (-o out/), or choose by --song"
        )
    if folder:
        output.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for i in chosen:
        about = songs.songs[i]
        score = songs.score(i)
        score = replace(score, tempo=tempo) if tempo else score
        path = output / f"{_file_name(about.name, taken)}.mid" if folder else output
        check_target(path, corpus)
        write_bytes(path, midi.write(score, name=about.name, text=about.text, program=program, velocity=velocity))
    where = f"{counted(len(chosen), 'file')} in {output}" if folder else name_of(output, "standard output")
    say(f"wrote {where}", quiet or output == PIPE)


def _file_name(name: str, taken: set[str]) -> str:
    """A song's name as that of a file in its folder: no slash, no control character, not hidden, not taken."""
    safe = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).lstrip(".-")
    safe = safe.encode(errors="replace")[:MAX_NAME].decode(errors="ignore") or "untitled"
    unique, number = safe, 1
    while unique.lower() in taken:
        number += 1
        unique = f"{safe}-{number}"
    taken.add(unique.lower())
    return unique
