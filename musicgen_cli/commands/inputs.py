"""Finding and loading what commands are given."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, representations, vocabulary
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE, naming, open_input, read_bytes

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint

OPTIONS = {
    "rolls": "--as rolls ",
    "sounding keys": "--bits 1 ",
    "words": "--as words ",
    "plain words": "--as words --plain ",
}


def midi_files(paths: list[Path]) -> Iterator[Path]:
    """The paths, folders replaced by the MIDI files in them at any depth, in the order of their bytes."""
    for path in paths:
        if path.is_dir():
            found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
            yield from sorted((file for file in found if file.suffix.lower() in midi.SUFFIXES), key=os.fsencode)
        else:
            yield path


def listed(path: Path) -> list[Path]:
    """The paths in a file, one a line, or one a NUL where it has any."""
    data = read_bytes(path)
    names = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [Path(os.fsdecode(name)) for name in names if name]


def load_corpus(path: Path) -> corpora.Corpus:
    form = "--as words " if "words" in path.name else ""
    with open_input(path, f"musicgen encode FOLDER {form}-o {path}") as file, naming(path):
        return corpora.load(file)


def load_vocabulary(path: Path) -> vocabulary.Vocabulary:
    with open_input(path, f"musicgen vocab words.npy -o {path}") as file, naming(path):
        return vocabulary.load(file)


def load_checkpoint(path: Path) -> "Checkpoint":
    from musicgen_cli import checkpoint

    with open_input(path, "musicgen train") as file, naming(path):
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
        return corpora.load(file) if kind(file) == "corpus" else one_song(path, file.read(), steps_per_quarter, form)


def one_song(path: Path, data: bytes, steps_per_quarter: int, form: str = "rolls") -> corpora.Corpus:
    score, _ = midi.read(data)
    song = corpora.Song(song_name(path), score.tempo, score.time_signature)
    return corpora.gather([(song, representations.encode(score, form, steps_per_quarter))], steps_per_quarter)
