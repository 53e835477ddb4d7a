"""Finding and loading what commands are given."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, roll
from musicgen_cli.score import quantise
from musicgen_cli.streams import PIPE, naming, open_input, read_bytes

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint


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
    return [Path(os.fsdecode(line)) for line in data.split(b"\0" if b"\0" in data else b"\n") if line]


def load_corpus(path: Path) -> corpora.Corpus:
    with open_input(path, f"musicgen encode songs/*.mid -o {path}") as file, naming(path):
        return corpora.load(file)


def load_checkpoint(path: Path) -> "Checkpoint":
    from musicgen_cli import checkpoint

    with open_input(path, "musicgen train") as file, naming(path):
        return checkpoint.load(file)


def kind(data: bytes) -> str:
    """What a file is, by its first bytes: corpus, checkpoint or midi."""
    return "corpus" if data[:6] == b"\x93NUMPY" else "checkpoint" if data[:4] == b"PK\x03\x04" else "midi"


def song_name(path: Path) -> str:
    """The name of the song in a file, as text that can be stored."""
    return os.fsencode(path.stem if path != PIPE else "stdin").decode("utf-8", "replace")


def music_like(path: Path, steps_per_quarter: int, bits: int) -> corpora.Corpus:
    """The corpus at `path`, or the MIDI file there as a corpus of one song on this grid."""
    data = read_bytes(path)
    with naming(path):
        if kind(data) == "corpus":
            return corpora.load(io.BytesIO(data))
        score, _ = midi.read(data)
    song = corpora.Song(song_name(path), score.tempo, score.time_signature)
    return corpora.gather([(song, roll.encode(quantise(score, steps_per_quarter), bits))], steps_per_quarter)
