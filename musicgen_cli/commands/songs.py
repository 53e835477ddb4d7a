import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen_cli.commands.options import Quiet
from musicgen_cli.commands.watch import progress
from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen_cli.score import Score

TICKS_PER_QUARTER = 480
TEMPO = 100.0  # quarter notes a minute: few scores of that corpus give one, and no chorale
ANALYSIS = ".rntxt"  # files of chord names, without notes
CHORALES = "bach"  # of whom the corpus has far more than chorales; these are the ones asked for


def songs(
    composer: Annotated[str, typer.Argument(help="A composer in the music21 corpus, such as bach.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write MIDI files to.")] = Path("songs"),
    limit: Annotated[int, typer.Option(min=1, help="Write at most so many.")] = 10_000,
    quiet: Quiet = False,
) -> None:
    """Write real pieces as MIDI files, from the corpus that comes with music21.

    `bach` gives the four-part chorales; other composers (monteverdi, mozart, haydn, ...) all their pieces. Needs the
    extra: pip install 'musicgen-cli[songs]'.

    \b
    Example:
      musicgen songs bach -o songs/
    """
    from musicgen_cli import midi
    from musicgen_cli.streams import counted, say, write_bytes

    try:
        import music21
    except ImportError:
        raise MusicgenError("songs come with music21: pip install 'musicgen-cli[songs]'") from None
    pieces = _pieces(music21, composer.lower())[:limit]
    if not pieces:
        raise MusicgenError(f"the music21 corpus has nothing by {composer!r}; try bach, monteverdi, mozart or haydn")
    output.mkdir(parents=True, exist_ok=True)
    written = skipped = silent = 0
    for name, path in progress(pieces, "songs", quiet):
        try:
            scores = _scores(music21, path)
        except Exception as error:  # music21 raises of its own, and others', where a score is odd
            say(f"skipped {name}: {type(error).__name__}: {error}")
            skipped += 1
            continue
        sounding = [score for score in scores if len(score.notes)]
        silent += len(scores) - len(sounding)
        for number, score in enumerate(sounding, 1):
            title = name if len(sounding) == 1 else f"{name}-{number}"
            write_bytes(output / f"{title}.mid", midi.write(score, name=title, text=f"{title}: the music21 corpus"))
        written += len(sounding)
    left_out = (f"; skipped {skipped}" if skipped else "") + (f"; {silent} silent" if silent else "")
    if not written:
        raise MusicgenError(f"nothing of {counted(len(pieces), 'piece')} by {composer!r} could be written{left_out}")
    say(f"wrote {counted(written, 'file')} in {output}{left_out}", quiet)


def _pieces(music21: Any, composer: str) -> list[tuple[str, Path]]:
    """Names and paths; a name holds the folders between the composer's and the piece."""
    if composer == CHORALES:
        works = [music21.corpus.getWork(name) for name in music21.corpus.chorales.Iterator(returnType="filename")]
        paths = [Path(work[0] if isinstance(work, list) else work) for work in works]
    else:
        paths = sorted(Path(path) for path in music21.corpus.getComposer(composer))
    named = {}
    for path in paths:
        if path.suffix != ANALYSIS:
            folders = [part.lower() for part in path.parts]
            below = path.parts[len(folders) - folders[::-1].index(composer) :]
            named["-".join(below).removesuffix(path.suffix)] = path
    return list(named.items())


def _scores(music21: Any, path: Path) -> "list[Score]":
    """The pieces in a file of the music21 corpus: ties joined, repeats played, sounding pitch."""
    parsed = music21.converter.parse(path)
    scores = parsed.scores if isinstance(parsed, music21.stream.Opus) else [parsed]
    return [_score(music21, piece) for piece in scores]


def _score(music21: Any, piece: Any) -> "Score":
    import numpy as np

    from musicgen_cli.score import Score

    with contextlib.suppress(Exception):  # where repeats do not add up it is played once through
        piece = piece.expandRepeats()
    notes = [
        (
            round(note.offset * TICKS_PER_QUARTER),
            round((note.offset + note.quarterLength) * TICKS_PER_QUARTER),
            pitch.midi,
        )
        for part in piece.parts
        for note in part.toSoundingPitch().stripTies().flatten().notes
        for pitch in note.pitches
        if note.quarterLength
    ]
    metre = next(iter(piece.recurse().getElementsByClass(music21.meter.TimeSignature)), None)
    signature = (metre.numerator, metre.denominator) if metre else (4, 4)
    mark = next(iter(piece.recurse().getElementsByClass(music21.tempo.MetronomeMark)), None)
    tempo = (mark.getQuarterBPM() if mark else None) or TEMPO
    return Score(np.array(notes, np.int64), TICKS_PER_QUARTER, 0, tempo, signature)
