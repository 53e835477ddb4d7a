"""Finding and loading what commands are given."""

import contextlib
import hashlib
import os
import re
import resource
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, NamedTuple, TypeVar

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, representations, smf, vocabulary
from musicgen_cli.errors import MusicgenError, or_raise
from musicgen_cli.score import Draft, Score, on_keyboard
from musicgen_cli.streams import PIPE, name_of, naming, open_input, read_bytes, say, status

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint

BATCH = 1 << 17  # bytes of small MIDI files that are read at once: what they become fits into a cache
LEAST = 1 << 9  # bytes that a file counts for
OFF = "notes off the 88 keys left out"
TOGETHER = "notes on the key and step of another"
MAX_CHECKPOINT = 4 << 30  # bytes that are read from a pipe
OPTIONS = {
    "rolls": "--as rolls ",
    "sounding keys": "--bits 1 ",
    "words": "--as words ",
    "plain words": "--as words --plain ",
}


S = TypeVar("S")


class Heard(NamedTuple, Generic[S]):
    """The score of a MIDI file or its draft, what befell how many notes, its damage, and its SHA-256."""

    score: S
    befell: Counter[str]
    damage: str
    digest: str


def midi_files(paths: list[Path], note: Callable[[str, Path, str], None]) -> Iterator[Path]:
    """The paths, each file once; folders replaced by the MIDI files in them at any depth, in the order of their bytes.

    note: is told what is not read: a verdict, "skipped" or "passed over", the path and the cause
    """
    known: dict[tuple[int, int], Path] = {}
    for given in paths:
        folder = given != PIPE and os.path.isdir(given)
        for path in _midi_in(given, note) if folder else [given]:
            there = None if path == PIPE else status(path)
            if there and stat.S_ISREG(there.st_mode):
                first = known.setdefault((there.st_dev, there.st_ino), path)
                if first is not path:
                    note("passed over", path, f"the same file as {first}")
                    continue
            elif there and folder:
                note("skipped", path, "neither a file nor a folder")
                continue
            yield path


def _midi_in(folder: Path, note: Callable[[str, Path, str], None]) -> list[Path]:
    found = []
    for here, folders, names in os.walk(folder, onerror=lambda error: note("skipped", *_cause(error))):
        folders.sort(key=os.fsencode)
        found += [path for path in (Path(here, name) for name in names) if path.suffix.lower() in midi.READ]
        for link in (Path(here, name) for name in folders):
            if os.path.islink(link):  # which may lead in a circle
                note("passed over", link, "a link to a folder is not followed; name it as well")
    return sorted(found, key=os.fsencode)


def _cause(error: OSError) -> tuple[Path, str]:
    return Path(error.filename), error.strerror or str(error)


def is_pipe(path: Path) -> bool:
    """Whether there is a pipe at the path, which is open in this process alone."""
    there = status(path)
    return path == PIPE or (there is not None and stat.S_ISFIFO(there.st_mode))


def in_batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """The paths in order, in lists of files of BATCH bytes together; a larger one, or no regular file, is alone."""
    batch, room = list[Path](), 0
    for path in paths:
        size = _size(path)
        if batch and size > room:
            yield batch
            batch = []
        room = (room if batch else BATCH) - size
        batch.append(path)
    if batch:
        yield batch


def _size(path: Path) -> int:
    """How much a file counts for: its bytes, some if it is empty or missing, and BATCH if it is no regular file."""
    if path == PIPE:
        return BATCH
    there = status(path)
    if not there:
        return LEAST
    return max(there.st_size, LEAST) if stat.S_ISREG(there.st_mode) else BATCH


def read_songs(
    paths: Sequence[Path], *, limit: int, drums: bool, tracks: Collection[str], programs: Collection[int]
) -> list[Heard[Draft] | MusicgenError]:
    """What is heard in MIDI files of at most `limit` bytes each, or what is wrong with them, by name."""
    given = [_read(path, limit) for path in paths]
    parsed = iter(smf.parse_all([data for data in given if isinstance(data, bytes)]))
    results = list[Heard[Draft] | MusicgenError]()
    for path, data in zip(paths, given):
        try:
            data = or_raise(data)
            with naming(path):
                file = or_raise(next(parsed))
                score, befell = midi.draft(file, drums=drums, tracks=tracks, programs=programs)
            results.append(Heard(score, befell, file.damage, hashlib.sha256(data).hexdigest()))
        except MusicgenError as error:
            results.append(error)
    return results


def quantised_songs(
    paths: Sequence[Path], *, form: str, steps_per_quarter: int, max_steps: int, **options: Any
) -> list[Heard[Score] | MusicgenError]:
    """The same by `read_songs`, quantised so that it can be written in this form; a song without notes is an error."""
    heard = read_songs(paths, **options)
    scores = [one.score for one in heard if isinstance(one, Heard)]
    quantised = iter(representations.quantise_for(form, scores, steps_per_quarter, max_steps))
    results = list[Heard[Score] | MusicgenError]()
    for one in heard:
        if isinstance(one, MusicgenError):
            results.append(one)
            continue
        score = next(quantised)
        one.befell[OFF] = int((~on_keyboard(one.score)).sum())
        if one.befell[OFF] == len(one.score.notes):
            reasons = ", ".join(f"{n} {what}" for what, n in (+one.befell).items())
            score = MusicgenError("no notes" + (f" ({reasons})" if reasons else ""))
        elif isinstance(score, Score):
            one.befell[TOGETHER] = len(one.score.notes) - one.befell[OFF] - len(score.notes)
        results.append(score if isinstance(score, MusicgenError) else Heard(score, *one[1:]))
    return results


def _read(path: Path, limit: int) -> bytes | MusicgenError:
    try:
        return read_bytes(path, limit=limit)
    except MusicgenError as error:
        return error


def listed(path: Path) -> list[Path]:
    """The paths in a file, one a line, or one a NUL where it has any."""
    data = read_bytes(path)
    names = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [Path(os.fsdecode(name)) for name in names if name]


def load_corpus(path: Path) -> corpora.Corpus:
    form = "--as words " if "words" in path.name else ""
    with open_input(path, f"musicgen encode FOLDER {form}-o {path}") as file, naming(path):
        return corpora.load(file)


def shards(paths: list[Path]) -> list[Path]:
    """The paths, folders replaced by the *.npy in them, in the order of their bytes, but 2 before 10."""
    found = list[Path]()
    for path in paths:
        if path == PIPE or not os.path.isdir(path):
            found.append(path)
            continue
        inside = [one for one in path.glob("*.npy") if not one.name.startswith(".")]  # those are not finished
        if not inside:
            raise MusicgenError(f"{path}: no .npy in this folder; `musicgen encode` makes them")
        found += sorted(inside, key=_by_number)
    if found.count(PIPE) > 1:
        raise MusicgenError("standard input can be read once only")
    return found


def _by_number(path: Path) -> tuple[list[tuple[bytes, int]], bytes]:
    parts = re.findall(rb"(\D*)(\d*)", name := os.fsencode(path.name))
    return [(text, int(number[:4000] or b"0")) for text, number in parts], name


def load_corpora(paths: list[Path]) -> corpora.Corpus:
    """The corpora at these paths as one; refused where they are not of one form and grid."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # every memory map keeps its file open
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loaded = [load_corpus(path) for path in paths]
    for path, other in zip(paths, loaded):
        if _kind(other) != _kind(loaded[0]):
            raise MusicgenError(
                f"{name_of(path)}: holds {_kind(other)}, {name_of(paths[0])} {_kind(loaded[0])}; encode them alike"
            )
    return corpora.join(loaded)


def _kind(music: corpora.Corpus) -> str:
    packed = "packed " if music.packed else ""
    return f"{packed}{music.form} at {music.steps_per_quarter} steps per quarter note"


def load_vocabulary(path: Path) -> vocabulary.Vocabulary:
    with open_input(path, f"musicgen vocab words.npy -o {path}") as file, naming(path):
        return vocabulary.load(file)


def load_checkpoint(path: Path) -> "Checkpoint":
    from musicgen_cli import checkpoint

    with open_input(path, "musicgen train", MAX_CHECKPOINT) as file, naming(path):
        return checkpoint.load(file)


def load_any(path: Path, maker: str) -> "Checkpoint | corpora.Corpus":
    """The checkpoint or the corpus at `path`, which `maker` would make."""
    with open_input(path, maker) as file, naming(path):
        if kind(file) != "checkpoint":
            return corpora.load(file)
        from musicgen_cli import checkpoint

        return checkpoint.load(file)


def kind(file: BinaryIO) -> str:
    """What a seekable file is, by its first bytes: corpus, checkpoint, midi, or none of them."""
    begin = file.read(6)
    file.seek(0)
    if not begin:
        raise MusicgenError("is empty; did the command before it fail?")
    kinds = {b"\x93NUM": "corpus", b"PK\x03\x04": "checkpoint", b"MThd": "midi", b"RIFF": "midi"}
    return kinds.get(begin[:4], "")


def check_form(music: corpora.Corpus, trained: "Checkpoint") -> None:
    """Refuse a corpus that a model cannot read."""
    if (music.form, music.steps_per_quarter) != (trained.form, trained.steps_per_quarter):
        raise MusicgenError(
            f"holds {music.form} at {music.steps_per_quarter} steps per quarter note, the model reads {trained.form}"
            f" at {trained.steps_per_quarter}: encode it with {OPTIONS[trained.form]}"
            f"--steps-per-quarter {trained.steps_per_quarter}"
        )


def song_name(path: Path) -> str:
    """The name of the song in a file, as text that can be stored."""
    return os.fsencode(path.stem if path != PIPE else "stdin").decode("utf-8", "replace")


def music_in(path: Path, steps_per_quarter: int = 4, form: str = "rolls") -> corpora.Corpus:
    """The corpus at `path`, or the MIDI file there as a corpus of one song in this form."""
    with open_input(path) as file, naming(path):
        if kind(file) == "corpus":
            return corpora.load(file)
        return one_song(path, hear(path, file), steps_per_quarter, form)


def one_song(path: Path, file: smf.File, steps_per_quarter: int, form: str = "rolls") -> corpora.Corpus:
    score, _ = midi.merge(file)
    song = corpora.Song(song_name(path), score.tempo, score.time_signature)
    return corpora.gather([(song, representations.encode(score, form, steps_per_quarter))], steps_per_quarter)


def hear(path: Path, file: BinaryIO) -> smf.File:
    """The MIDI file that is open, unless it is too large; its damage is told."""
    data = file.read(smf.MAX_BYTES + 1)
    if len(data) > smf.MAX_BYTES:
        raise MusicgenError(f"larger than {smf.MAX_BYTES >> 20} MiB")
    parsed = smf.parse(data)
    if parsed.damage:
        say(f"{name_of(path)}: {parsed.damage}; what comes before is used")
    return parsed
