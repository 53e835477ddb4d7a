import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from musicgen_cli.commands.options import Quiet
from musicgen_cli.errors import MusicgenError

TICKS_PER_QUARTER = 480
TEMPO = 100.0  # quarter notes a minute, where a score gives none
CHORALES = "bach"  # of whom the corpus has far more than chorales; these are the ones asked for


def songs(
    composer: Annotated[str, typer.Argument(help="A composer in the music21 corpus, such as bach.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write MIDI files to.")] = Path("songs"),
    limit: Annotated[int, typer.Option(min=1, help="Write at most so many.")] = 10_000,
    quiet: Quiet = False,
) -> None:
    r"""Write real pieces as MIDI files, from the corpus that comes with music21.

    `bach` gives the four-part chorales; other composers (monteverdi, mozart, haydn, ...) all their pieces. Needs the
    extra: pip install 'musicgen-cli[songs]'.

    \b
    Example:
      musicgen songs bach -o songs/
    """
    from musicgen_cli import midi
    from musicgen_cli.streams import say, write_bytes

    try:
        import music21
    except ImportError:
        raise MusicgenError("songs come with music21: pip install 'musicgen-cli[songs]'") from None
    pieces = _pieces(music21, composer)[:limit]
    if not pieces:
        raise MusicgenError(f"the music21 corpus has nothing by {composer!r}; try bach, monteverdi, mozart or haydn")
    output.mkdir(parents=True, exist_ok=True)
    written = skipped = 0
    for piece in _watched(pieces, quiet):
        try:
            score = _score(music21, piece)
        except Exception as error:  # music21 raises of its own, and others', where a score is odd
            say(f"skipped {piece.name}: {type(error).__name__}: {error}")
            skipped += 1
            continue
        name = piece.name.split(".mxl")[0].split(".xml")[0].split(".krn")[0]
        write_bytes(output / f"{name}.mid", midi.write(score, name=name, text=f"{name}, from the music21 corpus"))
        written += 1
    say(f"wrote {written} files in {output}" + (f"; skipped {skipped}" if skipped else ""), quiet)


def _pieces(music21: Any, composer: str) -> list[Path]:
    if composer == CHORALES:
        names = music21.corpus.chorales.Iterator(returnType="filename")
        return [Path(music21.corpus.getWork(name)) for name in names]
    return sorted(Path(path) for path in music21.corpus.getComposer(composer))


def _score(music21: Any, path: Path) -> Any:
    """A piece of the music21 corpus as a Score: ties joined, repeats played, at sounding pitch."""
    import numpy as np

    from musicgen_cli.score import Score

    piece = music21.converter.parse(path)
    parts = piece.parts if isinstance(piece, music21.stream.Score) else piece.scores[0].parts
    with contextlib.suppress(Exception):  # where repeats do not add up it is played once through
        parts = piece.expandRepeats().parts
    notes: list[tuple[int, int, int]] = []
    for part in parts:
        for note in part.toSoundingPitch().stripTies().flatten().notes:
            start = round(note.offset * TICKS_PER_QUARTER)
            end = round((note.offset + note.quarterLength) * TICKS_PER_QUARTER)
            if end > start:
                notes += [(start, end, pitch.midi) for pitch in note.pitches]
    if not notes:
        raise MusicgenError("no notes")
    metre = next(iter(piece.recurse().getElementsByClass(music21.meter.TimeSignature)), None)
    signature = (metre.numerator, metre.denominator) if metre else (4, 4)
    return Score(np.array(notes), TICKS_PER_QUARTER, 0, TEMPO, signature)


def _watched(pieces: list[Path], quiet: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    from musicgen_cli.commands.inputs import interactive

    return track(pieces, "songs", console=Console(stderr=True), transient=True, disable=quiet or not interactive())
