"""Made-up songs to measure with, the same from the same number: four voices, each a track, at 480 ticks a quarter."""

import io
from pathlib import Path

import numpy as np

LENGTHS = (120, 240, 240, 480, 480, 960)  # of notes, in ticks


def write(folder: Path, count: int, notes: int = 64) -> None:
    """Write `count` MIDI files of four voices of `notes` notes each."""
    for number in range(count):
        (folder / f"made-up-{number:05}.mid").write_bytes(song(number, notes))


def song(number: int, notes: int = 64) -> bytes:
    import mido

    dice = np.random.default_rng(number)
    head = mido.MidiTrack(
        [mido.MetaMessage("set_tempo", tempo=500_000), mido.MetaMessage("time_signature", numerator=4, denominator=4)]
    )
    tracks = [head]
    for voice, lowest in enumerate((67, 60, 53, 43)):
        pitches = lowest + dice.integers(0, 15, notes)
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"voice {voice + 1}")])
        for pitch, length in zip(pitches.tolist(), dice.choice(LENGTHS, notes).tolist()):
            track += [
                mido.Message("note_on", channel=voice, note=pitch, velocity=80),
                mido.Message("note_off", channel=voice, note=pitch, time=length),
            ]
        tracks.append(track)
    file = io.BytesIO()
    mido.MidiFile(ticks_per_beat=480, tracks=tracks).save(file=file)
    return file.getvalue()
