import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from musicgen_cli.commands.options import Output, Quiet, check_report
from musicgen_cli.errors import MusicgenError, or_raise
from musicgen_cli.streams import PIPE, counted, name_of, say, write_bytes

if TYPE_CHECKING:
    from musicgen_cli.commands.inputs import Heard
    from musicgen_cli.corpus import Writer
    from musicgen_cli.score import Score


def encode(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="MIDI files, or folders of them; - is stdin.",
            allow_dash=True,
            readable=False,  # one that is not is skipped
        ),
    ] = None,
    output: Output = PIPE,
    files_from: Annotated[
        Path | None,
        typer.Option(help="Read more names from this file, one a line (or NUL); - is stdin.", allow_dash=True),
    ] = None,
    as_: Annotated[
        Literal["rolls", "words"],
        typer.Option("--as", help="rolls: bits of keys; words: E-4.G4:2 for a chord and its steps, R:1 for a rest."),
    ] = "rolls",
    plain: Annotated[
        bool, typer.Option("--plain", help="Words of experiment 1: no lengths, no rests, chords as 0.4.7.")
    ] = False,
    steps_per_quarter: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=240,
            help="Grid: 4 is sixteenths, the default; 12 knows triplets too. A plain word lasts a step: 2.",
        ),
    ] = None,
    bits: Annotated[int, typer.Option(min=1, max=2, help="Bits of a key: 2, start and continue, or 1, sounds.")] = 2,
    packed: Annotated[bool, typer.Option("--packed", help="Store eight bits a byte, for large collections.")] = False,
    drums: Annotated[bool, typer.Option("--drums", help="Keep the drums, as if they were keys.")] = False,
    track: Annotated[
        list[str] | None, typer.Option(help="Keep this part, by name or number (`musicgen show song.mid`).")
    ] = None,
    program: Annotated[
        list[int] | None, typer.Option(min=0, max=127, help="Keep the parts with this General MIDI program.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Skip songs that last longer; default: 131072, nine hours at 60.")
    ] = None,
    max_mib: Annotated[int, typer.Option(min=1, help="Skip files that are larger than so many MiB.")] = 16,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that read files; the corpus is the same.")] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Have the workers of this dask scheduler read the files, which they find under the same names.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Encode only the K-th of N parts of the files, in the order of the bytes of their names.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that cannot be read whole.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write what became of each file, as JSON lines: SHA-256 and steps, or why it was skipped."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Turn MIDI files into one corpus, of piano rolls or of words.

    All parts of a file sound together; what is left out is counted on stderr. A file that cannot be read is skipped, of
    one that breaks off what comes before is kept, and one that is named twice is read once.

    \b
    Examples:
      musicgen encode songs/*.mid -o rolls.npy
      musicgen encode songs/*.mid --as words -o words.npy
      musicgen encode ~/music --steps-per-quarter 12 -o triplets.npy
      find . -name '*.mid' -print0 | musicgen encode --files-from - -o rolls.npy
      musicgen encode lakh --packed --shard 3/16 --report shards/3.jsonl -o shards/3.npy
    """
    from musicgen_cli import midi
    from musicgen_cli.commands import workers
    from musicgen_cli.commands.inputs import in_batches, is_pipe, listed, quantised_songs
    from musicgen_cli.commands.watch import progress
    from musicgen_cli.corpus import Writer
    from musicgen_cli.score import MAX_STEPS
    from musicgen_cli.streams import check_target, refuse_suffix
    from musicgen_cli.streams import output as open_output

    form = _form(as_, plain, bits, packed)
    if as_ == "words" and max_steps and max_steps > MAX_STEPS:
        raise typer.BadParameter(f"a song of words lasts {MAX_STEPS} steps at most: a smaller --max-steps.")
    part = _part(shard) if shard else None
    if dask and jobs > 1:
        raise typer.BadParameter("--dask has workers of its own: leave out --jobs.")
    paths = [*(files or []), *(listed(files_from) if files_from else [])]
    if dask:
        paths = [path if path == PIPE else path.absolute() for path in paths]
    if part:
        paths.sort(key=os.fsencode)
    if not files and files_from is None:
        raise typer.BadParameter("name MIDI files or folders, or --files-from a list.")
    if [*paths, files_from].count(PIPE) > 1:
        raise typer.BadParameter("standard input can be read once only.")
    check_report(report, output)
    for target in [output, *([report] if report else [])]:
        check_target(target, *paths, *([files_from] if files_from else []))
    refuse_suffix(output, ".pt", *midi.SUFFIXES)

    grid = steps_per_quarter or (2 if plain else 4)
    read = partial(
        quantised_songs,
        form=form,
        steps_per_quarter=grid,
        max_steps=max_steps or MAX_STEPS,
        limit=max_mib << 20,
        drums=drums,
        tracks=track or (),
        programs=program or (),
    )
    ledger = Ledger(report, strict, alone=len(paths) == 1 and not os.path.isdir(paths[0]))
    with open_output(output) as file, contextlib.ExitStack() as stack:
        writer = Writer(file, grid)
        chosen = _chosen(paths, ledger, part)
        others = stack.enter_context(workers.dask(dask)) if dask else workers.processes(jobs)
        crew = None if others and any(map(is_pipe, chosen)) else others
        _write(workers.results(read, in_batches(progress(chosen, "encode", quiet)), crew), writer, ledger, form, packed)
        if not len(writer):
            bad = ledger.verdicts["skipped"]
            ledger.end(f"none of {counted(bad, 'file')} could be encoded" if bad else "no MIDI files found there")
        writer.finish()
    ledger.write(f"{name_of(output, 'standard output')} is written, its report is not")
    rows = counted(writer.offsets[-1], "step" if as_ == "rolls" else "word")
    say("; ".join([f"encoded {counted(len(writer), 'song')}, {rows}", *ledger.remarks()]), quiet)


class Ledger:
    """What became of each file, for the user, the report and the sum of it all.

    strict: trouble with any file ends the command; alone: there is one file, and its trouble does
    befell: what befell how many notes; changed: how many that were cut or drawn out
    """

    def __init__(self, report: Path | None, strict: bool, alone: bool):
        self.report, self.strict, self.alone = report, strict, alone
        self.lines = list[bytes]()
        self.verdicts: Counter[str] = Counter()
        self.befell: Counter[str] = Counter()
        self.changed = 0

    def record(self, verdict: str, path: Path, **facts: str | int) -> None:
        self.verdicts[verdict] += 1
        if self.report:
            self.lines.append(json.dumps({"file": name_of(path), "verdict": verdict, **facts}).encode() + b"\n")

    def note(self, verdict: str, path: Path, cause: str, **facts: str | int) -> None:
        """Record trouble and tell of it."""
        self.record(verdict, path, cause=cause, **facts)
        if (self.strict and verdict != "passed over") or (self.alone and verdict == "skipped"):
            self.end(f"{name_of(path)}: {cause}")
        say(f"{verdict} {name_of(path)}: {cause}")

    def end(self, why: str) -> NoReturn:
        self.write()
        raise MusicgenError(why)

    def write(self, failed: str = "nothing written") -> None:
        if self.report:
            write_bytes(self.report, b"".join(self.lines), failed)

    def remarks(self) -> list[str]:
        """Whatever was not plainly encoded, counted."""
        files = [f"{counted(n, 'file')} {verdict}" for verdict, n in self.verdicts.items() if verdict != "encoded"]
        notes = [f"{n} {what}" for what, n in (+self.befell).items()]
        changed = f"{counted(self.changed, 'note')} cut or drawn out to the length of their chord"
        return [*files, *notes, *([changed] if self.changed else [])]


def _form(as_: str, plain: bool, bits: int, packed: bool) -> str:
    """The form that these options ask for; refused where they do not belong together."""
    if packed and bits == 1:
        raise typer.BadParameter("--packed stores start and continue bits: leave out --bits 1.")
    if as_ == "words" and (packed or bits == 1):
        raise typer.BadParameter("--packed and --bits are of rolls: leave out --as words.")
    if plain and as_ != "words":
        raise typer.BadParameter("--plain is a form of words: add --as words.")
    if as_ == "words":
        return "plain words" if plain else "words"
    return "sounding keys" if bits == 1 else "rolls"


def _part(shard: str) -> tuple[int, int]:
    """K and N of K/N."""
    found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", shard, re.ASCII)
    number, parts = map(int, found.groups()) if found else (1, 0)
    if number > parts:
        raise typer.BadParameter("--shard is K/N, the K-th of N parts: 1/4, 2/4, 3/4 and 4/4 make a whole.")
    return number, parts


def _chosen(paths: list[Path], ledger: Ledger, part: tuple[int, int] | None) -> list[Path]:
    """The files to encode: all that are found, or the K-th of N parts of them."""
    from musicgen_cli.commands.inputs import midi_files

    found = list(midi_files(paths, ledger.note))
    if not part:
        return found
    number, parts = part
    found.sort(key=os.fsencode)  # those of several folders too
    chosen = found[len(found) * (number - 1) // parts : len(found) * number // parts]
    if found and not chosen:
        raise MusicgenError(f"part {number}/{parts} of {counted(len(found), 'file')} is empty: make fewer parts")
    return chosen


def _write(
    songs: "Iterable[tuple[Path, Heard[Score] | MusicgenError]]",
    writer: "Writer",
    ledger: Ledger,
    form: str,
    packed: bool,
) -> None:
    """Write songs in this form as they are heard, and into the ledger what became of each file."""
    from musicgen_cli import roll, words
    from musicgen_cli.commands.inputs import song_name
    from musicgen_cli.corpus import Song
    from musicgen_cli.representations import FORMS

    for path, heard in songs:
        try:
            score, befell, damage, digest = or_raise(heard)
            music = FORMS[form].encode(score)
        except MusicgenError as error:
            ledger.note("skipped", path, str(error).removeprefix(f"{name_of(path)}: "))
            continue
        facts: dict[str, str | int] = {"sha256": digest, "steps": len(music)}
        if damage:
            ledger.note("damaged", path, f"{damage}; what comes before is kept", **facts)
        else:
            ledger.record("encoded", path, **facts)
        ledger.befell += befell
        if form == "words":
            ledger.changed += words.changed(score)
        writer.add(Song(song_name(path), score.tempo, score.time_signature), roll.pack(music) if packed else music)
