"""MIDI files to words, beside the words of the first experiment and the tokens of MidiTok."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.encode import GRID, SLOW, ours
from benchmarks.measure import Row, versus
from benchmarks.peers import has

PLAIN_GRID = 2  # steps per quarter note, as `encode --plain` has them


def by_music21(path: Path) -> list[str]:
    """As the first experiment did: the notes and chords of the first part."""
    from music21 import chord, converter, instrument, note

    words = []
    for element in instrument.partitionByInstrument(converter.parse(path, forceSource=True)).parts[0].recurse():
        if isinstance(element, note.Note):
            words.append(str(element.pitch))
        elif isinstance(element, chord.Chord):
            words.append(".".join(map(str, element.normalOrder)))
    return words


def rows(folder: Path) -> Iterator[Row]:
    files = sorted(folder.glob("*.mid"))
    if has("music21"):
        some = files[:: -(-len(files) // SLOW["music21"])]
        yield versus(
            f"`encode --as words --plain`, {len(some)} files",
            "music21, first part and normalOrder",
            500,
            lambda: ours(some, "plain words", PLAIN_GRID),
            lambda: [by_music21(path) for path in some],
            note="ours: all parts",
        )
    if has("miditok"):
        from miditok import REMI

        remi = REMI()
        yield versus(
            f"`encode --as words`, {len(files)} files",
            "MidiTok REMI",
            20,
            lambda: ours(files, "words", GRID),
            lambda: [remi(path) for path in files],
        )
