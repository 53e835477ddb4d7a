"""MIDI files to piano rolls, from the disk to bits, beside whatever else makes piano rolls of them."""

import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Row, cpu, versus
from benchmarks.peers import has
from musicgen_cli import cli, roll, smf
from musicgen_cli.commands.inputs import in_batches, read_songs
from musicgen_cli.errors import or_raise
from musicgen_cli.representations import FORMS, quantise_for
from musicgen_cli.score import KEYS, LOWEST, Score, quantise

GRID = 4  # steps per quarter note
WHOLE: dict[str, Any] = {"limit": smf.MAX_BYTES, "drums": False, "tracks": (), "programs": ()}
SLOW = {"music21": 6}  # files that those are given who would take minutes for all
TARGETS = {"music21": 700, "muspy": 25, "pypianoroll": 15, "pretty_midi": 40, "mido": 15}


def ours(paths: Sequence[Path], form: str = "rolls", grid: int = GRID) -> list[NDArray[Any]]:
    """As the command reads them, several small ones at once."""
    music = list[NDArray[Any]]()
    for batch in in_batches(paths):
        scores = [or_raise(heard).score for heard in read_songs(batch, **WHOLE)]
        music += [FORMS[form].encode(or_raise(played)) for played in quantise_for(form, scores, grid)]
    return music


def by_music21(path: Path) -> NDArray[np.bool_]:
    """As the reference read files: the notes of a parsed stream one after another."""
    from music21 import converter

    notes = list(converter.parse(path, forceSource=True).flatten().notes)
    ends = [round((note.offset + note.quarterLength) * GRID) for note in notes]
    bits = np.zeros((max(ends, default=0) + 1, KEYS, 2), bool)
    for note, end in zip(notes, ends):
        start = round(note.offset * GRID)
        for pitch in note.pitches:
            bits[start, pitch.midi - LOWEST, 0] = True
            bits[start + 1 : end, pitch.midi - LOWEST, 1] = True
    return bits


def by_muspy(path: Path) -> NDArray[Any]:
    import muspy

    return muspy.read_midi(path).adjust_resolution(GRID).to_pianoroll_representation()


def by_pypianoroll(path: Path) -> NDArray[Any]:
    import pypianoroll

    return pypianoroll.read(path, resolution=GRID).blend("max")


def by_pretty_midi(path: Path) -> NDArray[Any]:
    from pretty_midi import PrettyMIDI

    return PrettyMIDI(str(path)).get_piano_roll(fs=2 * GRID)


def by_mido(path: Path) -> NDArray[np.bool_]:
    """Notes as mido reads them, paired one by one; the rest is ours: the rolls have to be the same."""
    from mido import MidiFile

    file = MidiFile(path)
    notes, length = [], 0
    for track in file.tracks:
        now, sounding = 0, defaultdict(deque)
        for event in track:
            now += event.time
            if event.type == "note_on" and event.velocity:
                sounding[event.channel, event.note].append(now)
            elif event.type in ("note_on", "note_off") and sounding[event.channel, event.note]:
                notes.append((event.channel, sounding[event.channel, event.note].popleft(), now, event.note))
            elif event.type == "marker":
                length = max(length, now)
        notes += [(channel, start, now, key) for (channel, key), starts in sounding.items() for start in starts]
    table = np.array(notes, np.int64).reshape(-1, 4)
    length = max(length, int(table[:, 2].max(initial=0)))
    score = Score(table[table[:, 0] != smf.DRUM_CHANNEL, 1:], file.ticks_per_beat, length)
    return roll.encode(quantise(score, GRID))


PEERS: dict[str, Callable[[Path], NDArray[Any]]] = {
    "music21": by_music21,
    "muspy": by_muspy,
    "pypianoroll": by_pypianoroll,
    "pretty_midi": by_pretty_midi,
    "mido": by_mido,
}


def rows(folder: Path) -> Iterator[Row]:
    """Each peer on the MIDI files of a folder."""
    files = sorted(folder.glob("*.mid"))
    for peer, read in PEERS.items():
        if has(peer):
            some = files[:: -(-len(files) // SLOW.get(peer, len(files)))]
            same = peer == "mido" and all(np.array_equal(roll, read(path)) for roll, path in zip(ours(files), files))
            yield versus(
                f"`encode`, rolls of {len(some)} files",
                peer + (" and our fill" if peer == "mido" else ""),
                TARGETS[peer],
                lambda some=some: ours(some),
                lambda some=some, read=read: [read(path) for path in some],
                note="" if peer != "mido" else "the same rolls, bit for bit" if same else "NOT THE SAME ROLLS",
            )
    if has("symusic"):
        yield end_to_end(files)


def end_to_end(files: list[Path]) -> Row:
    """The command itself, from a folder to a file on the disk, in this process; symusic only parses."""
    from symusic import Score as Parsed

    with tempfile.TemporaryDirectory() as place:
        line = ["encode", *map(str, files), "--quiet", "-o", f"{place}/rolls.npy"]

        def encoded() -> None:
            if cli.run(line):
                raise SystemExit("encode failed: there is nothing to measure")

        encoded()
        corpus = Path(place, "rolls.npy").read_bytes()

        def bytes_alone() -> None:
            for path in files:
                path.read_bytes()
            Path(place, "copy.npy").write_bytes(corpus)

        return versus(
            f"`musicgen encode`, {len(files)} files to a corpus",
            "symusic, which only parses them",
            0.5,
            encoded,
            lambda: [Parsed(path) for path in files],
            least=lambda: cpu(bytes_alone),
        )
