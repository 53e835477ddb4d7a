from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musicgen_cli.commands.options import Quiet
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.page import Clip
    from musicgen_cli.ranking import Place
    from musicgen_cli.score import Score
    from musicgen_cli.sound import Blocks

MAX_NAME = 200  # bytes of a file's name, of the 255 that file systems take
VELOCITY = 80


def decode(
    corpus: Annotated[Path, typer.Argument(help="A corpus; - is stdin.", allow_dash=True)] = PIPE,
    output_name: Annotated[
        str, typer.Option("-o", "--output", help="A file, or a folder (with / at its end); - is stdout.")
    ] = "-",
    as_: Annotated[
        Literal["mid", "wav", "mp3", "ogg", "flac", "html"] | None,
        typer.Option("--as", help="What to write, where the output's name does not say. Default: mid."),
    ] = None,
    song: Annotated[str | None, typer.Option(help="Only this song, by name or number from 1.")] = None,
    tempo: Annotated[float | None, typer.Option(min=4, max=1000, help="Quarter notes per minute.")] = None,
    program: Annotated[
        int, typer.Option(min=0, max=127, help="General MIDI program: 0 piano, 19 organ, 52 choir.")
    ] = 0,
    velocity: Annotated[int, typer.Option(min=1, max=127, help="How hard the keys are struck.")] = VELOCITY,
    soundfont: Annotated[
        Path | None, typer.Option(help="Sound: let FluidSynth play this .sf2 file instead of the built-in piano.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A page: the songs most like this corpus of real music come first.", allow_dash=True),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Turn a corpus back into MIDI, into sound, or into a page to listen to.

    One song becomes a file, several become a folder, or one page. The name of the output says which kind: .mid, .wav,
    .html, or .mp3, .ogg and .flac, which need the extra: pip install 'musicgen-cli[audio]'.

    \b
    Examples:
      musicgen sample | musicgen decode -o out.mid
      musicgen decode rolls.npy -o midi/
      musicgen decode rolls.npy --song bwv003-06 --tempo 72 -o chorale.wav
      musicgen sample --count 24 | musicgen decode -o audition.html --against rolls.npy
    """
    from dataclasses import replace

    from musicgen_cli import midi, sound
    from musicgen_cli import soundfont as soundfonts
    from musicgen_cli.commands.inputs import load_corpus
    from musicgen_cli.commands.watch import progress
    from musicgen_cli.errors import MusicgenError
    from musicgen_cli.streams import check_target, counted, name_of, naming, refuse_suffix, say, write_bytes
    from musicgen_cli.streams import output as open_output

    output = Path(output_name)
    named = _kind(output_name, as_ is not None)
    if as_ and named and as_ != named:
        raise typer.BadParameter(f"--as {as_}: the output is named .{named}.")
    kind = as_ or named or "mid"
    _check_choices(kind, corpus, program, soundfont, against)
    refuse_suffix(output, ".npy", ".pt")
    if soundfont:
        soundfonts.check(soundfont)
    songs = load_corpus(corpus)
    chosen = [songs.find(song)] if song is not None else list(range(len(songs)))

    def scored(i: int) -> "Score":
        score = songs.score(i)
        return replace(score, tempo=tempo) if tempo else score

    def played(i: int) -> "Blocks":
        if soundfont is None:
            return sound.render(scored(i), velocity)
        sound.check_length(scored(i))
        return soundfonts.play(midi.write(scored(i), program=program, velocity=velocity), soundfont)

    if kind == "html":
        if output_name.endswith("/"):
            raise MusicgenError(f"{output_name}: a page is a file, not a folder: name it, as in -o songs.html")
        check_target(output, corpus, *([against] if against else []))
        told = {"tempo": tempo, "velocity": velocity if velocity != VELOCITY else None, "program": program or None}
        options = "".join(f" --{name} {value}" for name, value in told.items() if value is not None)
        _write_page(output, songs, chosen, against, scored, played, options, quiet)
        return

    many = len(chosen) != 1
    folder = output != PIPE and (output.is_dir() or output_name.endswith("/") or (many and not output.suffix))
    if many and (not folder or output.is_file()):
        how = f"-o out/{'' if kind == 'mid' else f' --as {kind}'}"
        raise MusicgenError(f"{len(chosen)} songs do not fit into one file: name a folder ({how}), or choose by --song")
    if folder:
        output.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    replaced = 0
    for i in progress(chosen, "decode", quiet):
        about = songs.songs[i]
        path = output / f"{_file_name(about.name, taken)}.{kind}" if folder else output
        check_target(path, corpus)
        replaced += folder and path.exists()
        if kind == "mid":
            data = midi.write(scored(i), name=about.name, text=about.text, program=program, velocity=velocity)
            write_bytes(path, data)
        else:
            with open_output(path) as file, naming(path):
                sound.write(file, played(i), kind)
    where = f"{counted(len(chosen), 'file')} in {output}" if folder else name_of(output, "standard output")
    say(f"wrote {where}{f', {replaced} in place of others' if replaced else ''}", quiet or output == PIPE)


def _kind(name: str, told: bool) -> str:
    """What the name of an output promises; "" for a folder, and where it says nothing, if that is told otherwise."""
    from musicgen_cli import midi, sound
    from musicgen_cli.errors import MusicgenError

    suffix = "" if name.endswith("/") or Path(name).is_dir() else Path(name).suffix.lower()
    kinds = {**dict.fromkeys(midi.SUFFIXES, "mid"), ".htm": "html", ".html": "html", "": ""}
    kinds |= {f".{form}": form for form in sound.FORMATS}
    if suffix not in kinds and not told and not Path(name).exists():
        raise MusicgenError(f"{name}: no kind of file that is written here: {', '.join(filter(None, kinds))}")
    return kinds.get(suffix, "")


def _check_choices(kind: str, corpus: Path, program: int, soundfont: Path | None, against: Path | None) -> None:
    """Refuse options that say nothing to this kind of output."""
    if soundfont and kind == "mid":
        raise typer.BadParameter("--soundfont is for sound: name the output .wav or .html, or say --as wav.")
    if program and kind != "mid" and not soundfont:
        raise typer.BadParameter("--program: the built-in piano plays no other; name a --soundfont.")
    if against and kind != "html":
        raise typer.BadParameter("--against is for a page: name the output .html, or say --as html.")
    if corpus == against == PIPE:
        raise typer.BadParameter("standard input can be read once only.")


def _places(songs: "Corpus", chosen: list[int], against: Path | None) -> "dict[int, Place | None]":
    """The chosen songs, the most ordinary first, those too short for a comparison last; empty without real music."""
    if against is None:
        return {}
    from musicgen_cli import ranking
    from musicgen_cli.commands.against import check_comparable
    from musicgen_cli.commands.inputs import load_corpus
    from musicgen_cli.corpus import gather

    real = load_corpus(against)
    check_comparable(songs, real, "the real music")
    picked = gather(((songs.songs[i], songs[i]) for i in chosen), songs.steps_per_quarter)
    found: dict[int, Place | None] = {chosen[i]: place for i, place in ranking.places(picked, real).items()}
    return found | {i: None for i in chosen if i not in found}


def _write_page(
    output: Path,
    songs: "Corpus",
    chosen: list[int],
    against: Path | None,
    scored: "Callable[[int], Score]",
    played: "Callable[[int], Blocks]",
    options: str,
    quiet: bool,
) -> None:
    """Write the chosen songs as a page; options: of `decode`, that they are played with."""
    from musicgen_cli import page
    from musicgen_cli.commands.watch import progress
    from musicgen_cli.streams import counted, name_of, naming, say
    from musicgen_cli.streams import output as open_output

    places = _places(songs, chosen, against)
    order = progress(list(places) if places else chosen, "listen", quiet)
    with open_output(output) as file, naming(output):
        clips = _clips(songs, order, places, scored, played, options)
        page.write(file, clips, *_title(output, songs, chosen, against))
    say(f"wrote {name_of(output, 'standard output')}, {counted(len(chosen), 'song')}", quiet or output == PIPE)


def _title(output: Path, songs: "Corpus", chosen: list[int], against: Path | None) -> tuple[str, str]:
    """What stands at the head of a page."""
    if len(chosen) == 1:
        return songs.songs[chosen[0]].name, ""
    title = f"{len(chosen)} songs" if output == PIPE else f"{output.stem}: {len(chosen)} songs"
    if against is None:
        return title, ""
    remark = (
        f"The most ordinary first: beside each song stands how many of the songs of {against.name} are at least as far"
        " from what is usual there, the mean over all metrics. Ordinary is not good: your ears decide."
    )
    return title, remark


def _clips(
    songs: "Corpus",
    order: "Iterable[int]",
    places: "dict[int, Place | None]",
    scored: "Callable[[int], Score]",
    played: "Callable[[int], Blocks]",
    options: str,
) -> "Iterator[Clip]":
    from musicgen_cli import sound
    from musicgen_cli.page import Clip

    form = "mp3" if sound.packs() else "wav"
    for number, i in enumerate(order, 1):
        remark = _remark(number, places[i]) if places else ""
        yield Clip(songs.songs[i], scored(i), sound.encoded(played(i), form, sound.SMALL), form, remark, options)


def _remark(number: int, place: "Place | None") -> str:
    if place is None:
        return "too short to be compared"
    odd = f"; unusual: {', '.join(place.unusual)}" if place.unusual else ""
    return f"No. {number}: {place.ordinary:.0%} of the real songs are as far out{odd}"


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
