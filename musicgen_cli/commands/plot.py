import re
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
    count: Annotated[int, typer.Option(min=1, help="How many songs to draw, one below the other, from --song on.")] = 1,
    against: Annotated[
        Path | None,
        typer.Option(help="Draw histograms of all songs beside those of real music, in this corpus.", allow_dash=True),
    ] = None,
    first: Annotated[int, typer.Option(min=1, help="The step to begin at, from 1.")] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"How many steps to draw; default: all, up to {BARS} bars.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Draw songs as piano rolls, what they are like, or the training of a model as curves: an SVG or a PNG file.

    The name of the output says which: .svg, light or dark as its reader prefers, or .png, which needs the extra:
    pip install 'musicgen-cli[plot]'. Stdout gets SVG.

    \b
    Examples:
      musicgen plot rolls.npy --song bwv003-06 -o roll.svg
      musicgen plot model.pt -o curves.png
      musicgen sample --count 4 | musicgen plot --count 4 -o new.svg
      musicgen plot samples.npy --against rolls.npy -o histograms.svg
    """
    if file == against == PIPE:
        raise typer.BadParameter("standard input can be read once only.")
    if against and (song, count, first, steps) != ("1", 1, 1, None):
        raise typer.BadParameter("--against draws all songs: it does not go with --song, --count, --first and --steps.")
    from musicgen_cli import corpus as corpora
    from musicgen_cli import drawing
    from musicgen_cli.commands.against import check_comparable
    from musicgen_cli.commands.inputs import hear, kind, load_corpus, one_song
    from musicgen_cli.histograms_plot import histograms_plot
    from musicgen_cli.streams import check_target, naming, open_input, write_bytes

    write = {".svg": drawing.svg, ".png": drawing.png}.get(".svg" if output == PIPE else output.suffix.lower())
    if write is None:
        raise MusicgenError(f"{output}: a picture is a .svg or a .png: name it so, or pipe SVG on with -o -")
    check_target(output, file, *([against] if against else []))
    real = load_corpus(against) if against else None
    with open_input(file) as opened, naming(file):
        what = kind(opened)
        if against and what != "corpus":
            raise MusicgenError("--against compares corpora, and this is none")
        if what == "checkpoint":
            from musicgen_cli import checkpoint
            from musicgen_cli.curves_plot import curves_plot

            trained = checkpoint.load(opened)
            name = "" if file == PIPE else f"{file.name}: "
            picture = curves_plot(trained.history, f"{name}{trained.model}, {trained.loss}")
        elif what:
            music = corpora.load(opened) if what == "corpus" else one_song(file, hear(file, opened), 4)
            if real and against:
                check_comparable(music, real, "the real music")
                names = ("standard input" if path == PIPE else path.name for path in (file, against))
                picture = histograms_plot(music, real, " beside ".join(names))
            else:
                picture = _rolls(music, music.find(song), count, first, steps, quiet)
        else:
            raise MusicgenError("is neither a corpus, nor a checkpoint, nor a MIDI file")
    with naming(output):
        data = write(picture)
    write_bytes(output, data)
    say(f"wrote {output}", quiet or output == PIPE)


def _rolls(music: "Corpus", song: int, count: int, first: int, steps: int | None, quiet: bool) -> "Picture":
    from musicgen_cli.drawing import below_each_other

    drawn = range(song, min(song + count, len(music)))
    if len(drawn) < count:
        say(f"only {counted(len(drawn), 'song')} from there on", quiet)
    pictures = [_roll(music, number, first, steps, quiet) for number in drawn]
    return pictures[0] if len(pictures) == 1 else below_each_other(pictures, counted(len(pictures), "piano roll"))


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
    beats, part = about.time_signature[0], roll[first - 1 : first - 1 + drawn]
    return roll_plot(part, bar, about.name, first - 1, beats, _given(about.text, len(roll)))


def _given(text: str, length: int) -> int:
    """The steps that a sample was primed with and that stand before it, by what `sample` notes in it."""
    made = re.search(r" --length (\d+) ", text)
    return max(length - int(made[1]), 0) if made and " --include-prime" in text else 0
