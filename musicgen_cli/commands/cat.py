from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from musicgen_cli.commands.options import Output, Quiet
from musicgen_cli.streams import PIPE


def cat(
    corpora: Annotated[
        list[Path],
        typer.Argument(metavar="CORPORA", help="Corpora, or folders of *.npy; - is stdin.", allow_dash=True),
    ],
    output: Output = PIPE,
    quiet: Quiet = False,
) -> None:
    """Join corpora of one form into one, song after song, in the order in which they are named.

    A folder stands for the *.npy in it, in the order of their bytes, but 2 before 10. Memory holds one song at a time.

    \b
    Examples:
      musicgen cat bach.npy mozart.npy -o both.npy
      musicgen cat shards -o all.npy
      musicgen cat *.npy | musicgen show
    """
    from musicgen_cli import midi
    from musicgen_cli.commands.inputs import load_corpora, shards
    from musicgen_cli.corpus import save
    from musicgen_cli.streams import check_target, counted, refuse_suffix, say
    from musicgen_cli.streams import output as open_output

    paths = shards(corpora)
    check_target(output, *paths)
    refuse_suffix(output, ".pt", *midi.SUFFIXES)
    music = load_corpora(paths)
    with open_output(output) as file:
        save(music, file)
    again = len(music) - len(Counter(song.name for song in music.songs))
    told = f"; {counted(again, 'name')} of songs met before" if again else ""
    say(f"joined {counted(len(music), 'song')} of {counted(len(paths), 'file')}{told}", quiet)
