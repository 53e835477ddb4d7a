from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen_cli.commands.options import Json, Quiet, Seed, typed
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
    from musicgen_cli.quiz import Piece
    from musicgen_cli.quiz_score import Count, Score

MAX_BYTES = 1 << 20  # of a key or of answers
SIXTEENTHS = 4
FINE = 24  # steps per quarter note: what has more is no grid
MAKING = ("human", "machine", "output", "pairs", "seconds", "flatten", "seed")  # options of the page alone
OFF_GRID = 0.05  # share of notes that one hears


def quiz(
    context: typer.Context,
    answers: Annotated[
        list[Path] | None, typer.Argument(help="With --score: the files that listeners sent.", allow_dash=True)
    ] = None,
    human: Annotated[
        Path | None, typer.Option(help="What people wrote: a folder of MIDI files, or a corpus.", allow_dash=True)
    ] = None,
    machine: Annotated[
        Path | None, typer.Option(help="What a model made: a folder of MIDI files, or a corpus.", allow_dash=True)
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page; its key is written beside it.")] = Path(
        "quiz.html"
    ),
    pairs: Annotated[int, typer.Option(min=1, max=100, help="How many pairs, beside three controls.")] = 20,
    seconds: Annotated[float, typer.Option(min=2, max=120, help="How long a clip is at most, in whole bars.")] = 20,
    flatten: Annotated[
        bool,
        typer.Option("--flatten", help="Move all notes to the machine's grid: how they were played is taken away."),
    ] = False,
    seed: Seed = 0,
    score: Annotated[Path | None, typer.Option(help="Score answers by this key.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a blinded listening test: which of two pieces did a person write? Then score what listeners answered.

    The page tells nothing of its answers; the key, quiz.key.json, stays with you. Listeners open the page, which works
    without a network, and send back the file that it gives them.

    \b
    Examples:
      musicgen quiz --human songs --machine samples.npy -o quiz.html
      musicgen quiz --score quiz.key.json answers/*.json
    """
    if human == machine == PIPE:
        raise typer.BadParameter("standard input can be read once only.")
    if score:
        if making := typed(context, MAKING):
            raise typer.BadParameter(f"--score reads answers: it does not go with {making[0]}.")
        if not answers:
            raise typer.BadParameter("--score needs the files with the answers.")
        _score(score, answers, json_, quiet)
    elif answers or json_:
        raise typer.BadParameter("answers and --json go with --score KEY.")
    elif not (human and machine):
        raise typer.BadParameter("a quiz needs --human and --machine; to score answers, --score KEY.")
    else:
        _make(human, machine, output, {"pairs": pairs, "seconds": seconds, "flatten": flatten, "seed": seed}, quiet)


# --- the page ---


def _make(human: Path, machine: Path, output: Path, settings: dict[str, Any], quiet: bool) -> None:
    from musicgen_cli.commands.watch import progress
    from musicgen_cli.quiz import distinct, off_grid, pair_up, ready
    from musicgen_cli.quiz_page import page
    from musicgen_cli.quiz_score import PAIR
    from musicgen_cli.streams import check_target, counted, say, write_bytes

    if output.suffix.lower() not in (".html", ".htm"):
        raise MusicgenError(f"{output}: a quiz is a page: name it .html; its key is written beside it")
    key = output.with_suffix(".key.json")
    for target in (output, key):
        check_target(target, human, machine)
    if key.exists():
        raise MusicgenError(f"{key}: is the key of a quiz made before; name another page, or take it away first")
    seconds, count = settings["seconds"], settings["pairs"]
    songs = [_songs(side) for side in (human, machine)]
    grid = _grid(songs[1]) if settings["flatten"] else 0
    long = [ready(side, seconds, grid) for side in songs]
    sides = distinct(*long)
    for path, side, some, kept in zip((human, machine), songs, long, sides):
        if len(some) < len(side):
            say(f"{path}: {counted(len(side) - len(some), 'song')} too short or too slow for a clip", quiet)
        if len(kept) < len(some):
            say(f"{path}: left out {counted(len(some) - len(kept), 'song')} with the notes of another", quiet)
    off = [off_grid(side) > OFF_GRID for side in sides]
    if off[0] != off[1]:
        played, exact = (human, machine) if off[0] else (machine, human)
        say(f"{played} is off the grid, {exact} is not, and that tells them apart: --flatten makes them alike")
    chosen = pair_up(sides[0], sides[1], count, seconds, settings["seed"])
    made = [pair for pair in chosen if pair.kind == PAIR]
    if len(made) < count:
        say(f"there are songs for {counted(len(made), 'pair')}, not for {count}", quiet)
    html, secret = page(progress(chosen, "playing", quiet), settings | {"human": str(human), "machine": str(machine)})
    write_bytes(key, secret)  # first: a page without a key is worth nothing
    try:
        write_bytes(output, html)
    except BaseException:
        key.unlink(missing_ok=True)
        raise
    alike = sum(pair.alike for pair in made)
    begin = f", {alike} that begin alike" if alike else ""
    say(
        f"wrote {output}, {len(html) / 1e6:.1f} MB: {counted(len(made), 'pair')}{begin} and {len(chosen) - len(made)}"
        f" controls; {key} holds the answers: keep it to yourself",
        quiet,
    )


def _grid(songs: "list[Piece]") -> int:
    """The coarsest grid of some songs, sixteenths at least; ticks as of MIDI are none."""
    return max(SIXTEENTHS, min((ticks for one in songs if (ticks := one.score.ticks_per_quarter) <= FINE), default=0))


def _songs(path: Path) -> list["Piece"]:
    """All songs of a corpus, or of the MIDI files in a folder; files that cannot be read are skipped and named."""
    from musicgen_cli import smf
    from musicgen_cli.commands.inputs import load_corpus, midi_files, read_songs
    from musicgen_cli.errors import or_raise
    from musicgen_cli.quiz import Piece
    from musicgen_cli.score import Score
    from musicgen_cli.streams import say

    if not path.is_dir():
        music = load_corpus(path)
        return [Piece(f"{path}: {song.name}", music.score(i)) for i, song in enumerate(music.songs)]
    songs = []
    for file in midi_files([path], lambda verdict, file, cause: say(f"{verdict} {file}: {cause}")):
        try:
            (heard,) = read_songs([file], limit=smf.MAX_BYTES, drums=False, tracks=(), programs=())
            draft, _, damage, _ = or_raise(heard)
        except MusicgenError as error:
            say(f"skipped {error}")
            continue
        if damage:
            say(f"damaged {file}: {damage}; what comes before is kept")
        songs.append(Piece(str(file), Score(*draft)))
    if not songs:
        raise MusicgenError(f"{path}: no MIDI files in it that can be read")
    return songs


# --- the score ---


def _score(key_file: Path, files: list[Path], json_: bool, quiet: bool) -> None:
    from musicgen_cli.quiz_score import read_answers, read_key, score
    from musicgen_cli.streams import counted, naming, read_bytes, say, show, show_json

    data = read_bytes(key_file, "musicgen quiz", MAX_BYTES)
    with naming(key_file):
        key = read_key(data)
    listeners, refused = dict[str, Any](), 0
    for file in files:
        try:
            data = read_bytes(file, limit=MAX_BYTES)
            with naming(file):
                one = read_answers(data, key)
                if one.name in listeners:
                    raise MusicgenError("is of a listener whose answers are counted already")
                listeners[one.name] = one
        except MusicgenError as error:
            if len(files) == 1:
                raise
            say(f"refused {error}")
            refused += 1
    if not listeners:
        raise MusicgenError(f"none of {counted(refused, 'file')} can be scored")
    found = score(list(listeners.values()))
    if json_:
        show_json(_facts(found) | {"refused": refused})
    else:
        show(_report(found))
        say(f"{counted(refused, 'file')} refused", quiet or not refused)


def _facts(found: "Score") -> dict[str, Any]:
    def facts(one: "Count") -> dict[str, Any]:
        return asdict(one) | {"share": one.share, "interval": list(one.interval), "p": one.p}

    counts = {name: facts(getattr(found, name)) for name in ("right", "left", "obvious", "unflagged")}
    training = {level: facts(count) for level, count in found.training.items()}
    rest: dict[str, Any] = {
        "interval_over_listeners": list(found.interval),
        "training": training,
        "flagged": found.flagged,
    }
    rest |= {"heard_before": found.heard_before, "verdict": found.verdict}
    return {"listeners": found.listeners} | counts | rest


def _report(found: "Score") -> str:
    from musicgen_cli.commands.tables import table
    from musicgen_cli.quiz_score import LEVEL, TRAINING
    from musicgen_cli.streams import counted, printable

    def row(name: str, count: "Count") -> tuple[str, ...]:
        low, high = count.interval
        told = (f"{count.share:.1%}", f"{low:.1%} to {high:.1%}", f"{count.p:.3g}") if count.of else ("", "", "")
        return (name, f"{count.count} of {count.of}", *told)

    title = f"{counted(found.listeners, 'listener')}, {counted(found.right.of, 'judgement')}"
    title += f"; {counted(found.heard_before, 'pair')} heard before left out" if found.heard_before else ""
    rows = [row("told right", found.right)]
    low, high = found.interval
    if low <= high:  # it is defined: there are two listeners
        rows.append(("  drawn by listener", "", "", f"{low:.1%} to {high:.1%}", ""))
    rows += [row(f"  musical training: {TRAINING[level]}", count) for level, count in found.training.items()]
    rows += [row("  without who is flagged", found.unflagged)] if found.flagged else []
    rows += [row("chose left", found.left), row("knew notes at random", found.obvious)]
    lines = [table(title, ("", "", "share", "95 % interval", "p, of chance"), rows)]
    lines += [f"Flagged: {printable(name)} {why}" for name, why in found.flagged.items()]
    if found.listeners > 1 and found.left.p < LEVEL:
        lines.append("Flagged: all together chose one side too often")
    return "\n".join([*lines, found.verdict])
