"""Standard MIDI files to scores and back: `smf` reads, mido writes."""

import io
from collections import Counter
from collections.abc import Collection

import numpy as np

from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import END, PITCH, START, Draft, Score
from musicgen_cli.smf import File, parse

SUFFIXES = (".mid", ".midi", ".kar")  # of what is written
READ = (*SUFFIXES, ".rmi")  # of what is read where it is not named; RIFF holds a MIDI file, too
TICKS_PER_QUARTER = 480  # of what is written
MICROSECONDS = 60_000_000  # a minute; MIDI counts tempo in microseconds per quarter note
DEFAULT_TEMPO = 500_000  # microseconds per quarter note until a file says otherwise
SLOWEST = (1 << 24) - 1  # what fits into the three bytes of a tempo event
NAMED = 32  # parts that a message names at most
NEVER_ENDED = "notes never ended, held to the end of their track"
END_MARKER = "end"  # a marker at the end of the music: readers pass over the end of track, and with it the last rest


def read(
    data: bytes, *, drums: bool = False, tracks: Collection[str] = (), programs: Collection[int] = ()
) -> tuple[Score, Counter[str]]:
    """All parts of a MIDI file as one score, and what befell how many notes."""
    return merge(parse(data), drums=drums, tracks=tracks, programs=programs)


def merge(
    file: File, *, drums: bool = False, tracks: Collection[str] = (), programs: Collection[int] = ()
) -> tuple[Score, Counter[str]]:
    """All parts of a file as one score, and what befell how many notes; see `draft`."""
    merged, befell = draft(file, drums=drums, tracks=tracks, programs=programs)
    return Score(*merged), befell


def draft(file: File, *, drums: bool, tracks: Collection[str], programs: Collection[int]) -> tuple[Draft, Counter[str]]:
    """What `merge` makes a score of, and what befell how many notes.

    tracks: keep the parts so named or so numbered, from 1, in the order of `file.parts`
    programs: keep the parts with these General MIDI programs, 0 to 127
    """
    befell: Counter[str] = Counter()
    wanted = {track.casefold() for track in tracks}
    names = [{str(number), part.name.casefold()} if wanted else set() for number, part in enumerate(file.parts, 1)]
    if wanted and not any(own & wanted for own in names):
        known = ", ".join(part.name or "(no name)" for part in file.parts[:NAMED])
        raise MusicgenError(f"has no such part, only {known}{', ...' if len(file.parts) > NAMED else ''}")
    chosen = []
    for own, part in zip(names, file.parts):
        if (wanted and not own & wanted) or (programs and part.program not in programs):
            befell["notes of other parts left out"] += len(part.notes)
        elif part.drums and not drums:
            befell["drum notes left out"] += len(part.notes)
        else:
            chosen.append(part.notes)
            befell[NEVER_ENDED] += part.never_ended
    notes = np.concatenate(chosen) if chosen else np.zeros((0, 3), np.int64)
    tempo = _overall_tempo(file.tempos, file.length)
    return Draft(notes, file.ticks_per_quarter, file.length, tempo, file.time_signature), +befell


def write(score: Score, *, name: str = "", text: str = "", program: int = 0, velocity: int = 80) -> bytes:
    """A score as a MIDI file of one track at 480 ticks per quarter note; `text` becomes a text event."""
    import mido

    scale = TICKS_PER_QUARTER / score.ticks_per_quarter
    times = np.rint(score.notes[:, [START, END]] * scale).astype(int)
    end = max(round(score.length * scale), int(times.max(initial=0)))
    pitch = score.notes[:, PITCH]
    ticks = np.concatenate([times[:, 1], times[:, 0]])  # a stable sort lifts a key before it strikes it again
    velocities = np.concatenate([np.zeros_like(pitch), np.full_like(pitch, velocity)])
    order = np.argsort(ticks, kind="stable")
    deltas = np.diff(ticks[order], prepend=0)

    numerator, denominator = score.time_signature
    tempo = min(max(round(MICROSECONDS / score.tempo), 1), SLOWEST)
    name, text = (said.encode("utf-8", "replace").decode() for said in (name, text))  # lone surrogates become ?
    head = [
        mido.MetaMessage("track_name", name=name),
        *([mido.MetaMessage("text", text=text)] if text else []),
        mido.MetaMessage("set_tempo", tempo=tempo),
        mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator),
        mido.Message("program_change", program=program),
    ]
    notes = [
        mido.Message("note_on", note=note, velocity=strength, time=delta)
        for note, strength, delta in zip(
            np.concatenate([pitch, pitch])[order].tolist(), velocities[order].tolist(), deltas.tolist()
        )
    ]
    rest = end - int(ticks.max(initial=0))
    tail = [mido.MetaMessage("marker", text=END_MARKER, time=rest), mido.MetaMessage("end_of_track")]
    track = mido.MidiTrack([*head, *notes, *tail])
    buffer = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER, tracks=[track], charset="utf-8").save(file=buffer)
    return buffer.getvalue()


def _overall_tempo(tempos: list[tuple[int, int]], length: int) -> float:
    """The one tempo, in quarter notes per minute, at which `length` ticks last as long as under all of `tempos`."""
    changes = [(0, DEFAULT_TEMPO), *tempos]
    at = [min(tick, length) for tick, _ in changes] + [length]
    pace = [tempo or DEFAULT_TEMPO for _, tempo in changes]
    duration = sum((after - before) * slow for before, after, slow in zip(at, at[1:], pace))
    return MICROSECONDS * length / duration if duration > 0 else MICROSECONDS / pace[-1]
