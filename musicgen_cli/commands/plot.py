from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen_cli.commands.options import Output, Quiet
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE, counted, say

if TYPE_CHECKING:
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.drawing import Picture

BARS = 64  # that are drawn of a longer song, unless --steps says otherwise


def plot(
    file: Annotated[Path, typer.Argument(help="Corpus, checkpoint or MIDI file; - is stdin.", allow_dash=True)] = PIPE,
    output: Output = PIPE,
    song: Annotated[str, typer.Option(help="Which song to draw, by name or number from 1.")] = "1",
    first: Annotated[int, typer.Option(min=1, help="The step to begin at, from 1.")] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"How many steps to draw; default: all, up to {BARS} bars.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Draw a song as a piano roll, or the training of a model as curves: an SVG or a PNG file.

    The name of the output says which: .svg, light or dark as its reader prefers, or .png, which needs the extra:
    pip install 'musicgen-cli[plot]'. Stdout gets SVG.

    \b
    Examples:
      musicgen plot rolls.npy --song bwv003-06 -o roll.svg
      musicgen plot model.pt -o curves.png
      musicgen sample | musicgen plot -o new.svg
    """
    from musicgen_cli import corpus as corpora
    from musicgen_cli import drawing
    from musicgen_cli.commands.inputs import hear, kind, one_song
    from musicgen_cli.streams import check_target, naming, open_input, write_bytes

    write = {".svg": drawing.svg, ".png": drawing.png}.get(".svg" if output == PIPE else output.suffix.lower())
    if write is None:
        raise MusicgenError(f"{output}: a picture is a .svg or a .png: name it so, or pipe SVG on with -o -")
    check_target(output, file)
    with open_input(file) as opened, naming(file):
        what = kind(opened)
        if what == "checkpoint":
            from musicgen_cli import checkpoint
            from musicgen_cli.curves_plot import curves_plot

            trained = checkpoint.load(opened)
            name = "" if file == PIPE else f"{file.name}: "
            picture = curves_plot(trained.history, f"{name}{trained.model}, {trained.loss}")
        elif what:
            music = corpora.load(opened) if what == "corpus" else one_song(file, hear(file, opened), 4)
            picture = _roll(music, music.find(song), first, steps, quiet)
        else:
            raise MusicgenError("is neither a corpus, nor a checkpoint, nor a MIDI file")
    with naming(output):
        data = write(picture)
    write_bytes(output, data)
    say(f"wrote {output}", quiet or output == PIPE)


def _roll(music: "Corpus", song: int, first: int, steps: int | None, quiet: bool) -> "Picture":
    from musicgen_cli.roll_plot import roll_plot
    from musicgen_cli.score import steps_per_bar

    about, roll = music.songs[song], music.roll(song)
    if first > max(len(roll), 1):
        raise MusicgenError(f"--first {first} is behind the end: the song has {counted(len(roll), 'step')}")
    bar = steps_per_bar(about.time_signature, music.steps_per_quarter)
    left, drawn = len(roll) - first + 1, steps or BARS * bar
    if steps is None and left > drawn:
        say(f"drew {BARS} bars, {drawn} of {left} steps; --steps {left} draws all", quiet)
    return roll_plot(roll[first - 1 : first - 1 + drawn], bar, about.name, first - 1, about.time_signature[0])
