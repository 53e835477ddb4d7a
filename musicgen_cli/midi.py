"""Standard MIDI files to scores and back. symusic reads, mido reads what symusic refuses, mido writes."""

import io
from collections import Counter, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import mido
import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import DENOMINATORS, END, PITCH, START, Score

SUFFIXES = (".mid", ".midi", ".kar")
MAX_BYTES = 16 << 20  # of a file; a long symphony has one
TICKS_PER_QUARTER = 480  # of what is written
MICROSECONDS = 60_000_000  # a minute; MIDI counts tempo in microseconds per quarter note
DEFAULT_TEMPO = 500_000  # microseconds per quarter note until a file says otherwise
SLOWEST = (1 << 24) - 1  # what fits into the three bytes of a tempo event
DRUM_CHANNEL = 9
END_MARKER = "end"  # a marker at the end of the music: symusic passes over the end of track, and with it the last rest


@dataclass(frozen=True)
class Part:
    """The notes of one track, channel and program; notes: int64 (N, 3) as in Score."""

    name: str
    program: int  # 0 to 127, General MIDI
    drums: bool
    notes: NDArray[np.int64]


@dataclass(frozen=True)
class File:
    """What a MIDI file says, in ticks; `tempos` are (tick, microseconds per quarter note) in order of time."""

    ticks_per_quarter: int
    parts: list[Part]
    tempos: list[tuple[int, int]]
    time_signature: tuple[int, int]
    length: int
    left_out: Counter[str] = field(default_factory=Counter)


def parse(data: bytes) -> File:
    """Read a whole MIDI file; raises MusicgenError where neither reader can."""
    if data[:4] == b"RIFF":  # a .rmi file: the same, in a wrapper
        data = data[max(data.find(b"MThd"), 0) :]
    _check_header(data)
    try:
        return _parse_with_symusic(data)
    except Exception:  # symusic raises bare RuntimeError, UnicodeDecodeError and others for damaged files
        try:
            return _parse_with_mido(data)
        except Exception as error:  # mido: EOFError, OSError, ValueError, IndexError, KeySignatureError, ...
            cause = " ".join(str(error).split())[:80] or "ends early"
            raise MusicgenError(f"damaged MIDI file ({cause}); export it again from its source") from None


def read(
    data: bytes, *, drums: bool = False, tracks: Collection[str] = (), programs: Collection[int] = ()
) -> tuple[Score, Counter[str]]:
    """All parts of a MIDI file as one score, and how many notes were left out for which reason.

    tracks: keep the parts so named or so numbered, from 1, in the order of `parse(data).parts`
    programs: keep the parts with these General MIDI programs, 0 to 127
    """
    file = parse(data)
    left_out = Counter(file.left_out)
    wanted = {track.casefold() for track in tracks}
    names = [{str(number), part.name.casefold()} for number, part in enumerate(file.parts, 1)]
    if wanted and not any(own & wanted for own in names):
        raise MusicgenError(f"has no such part, only {', '.join(part.name or '(no name)' for part in file.parts)}")
    chosen = []
    for own, part in zip(names, file.parts):
        if (wanted and not own & wanted) or (programs and part.program not in programs):
            left_out["notes of other parts"] += len(part.notes)
        elif part.drums and not drums:
            left_out["drum notes"] += len(part.notes)
        else:
            chosen.append(part.notes)
    notes = np.concatenate(chosen) if chosen else np.zeros((0, 3), np.int64)
    length = max(file.length, int(notes[:, END].max(initial=0)))
    tempo = _overall_tempo(file.tempos, length)
    return Score(notes, file.ticks_per_quarter, length, tempo, file.time_signature), +left_out


def write(score: Score, *, name: str = "", text: str = "", program: int = 0, velocity: int = 80) -> bytes:
    """A score as a MIDI file of one track at 480 ticks per quarter note; `text` becomes a text event."""
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


def _check_header(data: bytes) -> None:
    """Refuse by name what no reader could make a score of."""
    if not data:
        raise MusicgenError("the file is empty")
    if data[:4] != b"MThd" or len(data) < 14:
        raise MusicgenError("not a MIDI file")
    if int.from_bytes(data[8:10], "big") == 2:
        raise MusicgenError("MIDI type 2 (independent patterns) is not supported; export it as type 1")
    division = int.from_bytes(data[12:14], "big")
    if division == 0 or division & 0x8000:
        raise MusicgenError("has no ticks per quarter note (SMPTE time); export it with a musical time base")


def _overall_tempo(tempos: list[tuple[int, int]], length: int) -> float:
    """The one tempo, in quarter notes per minute, at which `length` ticks last as long as under all of `tempos`."""
    changes = [(0, DEFAULT_TEMPO), *tempos]
    at = np.array([min(tick, length) for tick, _ in changes] + [length], float)
    pace = np.array([tempo or DEFAULT_TEMPO for _, tempo in changes], float)
    duration = float(np.diff(at) @ pace)  # ticks x microseconds per quarter note
    return MICROSECONDS * length / duration if duration > 0 else MICROSECONDS / float(pace[-1])


def _playable_metre(numerator: int, denominator: int) -> tuple[int, int]:
    valid = 1 <= numerator <= 255 and denominator in DENOMINATORS
    return (numerator, denominator) if valid else (4, 4)


def _parse_with_symusic(data: bytes) -> File:
    import symusic

    score: Any = symusic.Score.from_midi(data)
    parts = []
    for track in score.tracks:
        notes = track.notes.numpy()
        start = notes["time"].astype(np.int64)
        if (start < 0).any():
            raise OverflowError("more than 31 bits of ticks")  # mido counts further
        table = np.stack([start, start + notes["duration"], notes["pitch"].astype(np.int64)], 1)
        parts.append(Part(_name(track), int(track.program), bool(track.is_drum), table))
    tempos = sorted((tempo.time, tempo.mspq) for tempo in score.tempos)
    metre = [(time.numerator, time.denominator) for time in score.time_signatures]
    ends = [int(part.notes[:, END].max(initial=0)) for part in parts]
    length = max([*ends, *(marker.time for marker in score.markers)], default=0)
    return File(score.ticks_per_quarter, parts, tempos, _playable_metre(*metre[0]) if metre else (4, 4), length)


def _name(track: Any) -> str:
    try:
        return str(track.name)
    except UnicodeDecodeError:  # the bytes of a name say nothing of their encoding
        return ""


def _parse_with_mido(data: bytes) -> File:
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    parts = []
    tempos: list[tuple[int, int]] = []
    metre: list[tuple[int, tuple[int, int]]] = []
    length = 0
    left_out: Counter[str] = Counter()
    for track in file.tracks:
        now, program, notes = 0, [0] * 16, defaultdict(list)
        sounding: dict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)  # start, program
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note].append((now, program[message.channel]))
            elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
                start, number = sounding[message.channel, message.note].popleft()
                notes[message.channel, number].append((start, now, message.note))
            elif message.type == "program_change":
                program[message.channel] = message.program
            elif message.type == "set_tempo":
                tempos.append((now, message.tempo))
            elif message.type == "time_signature":
                metre.append((now, _playable_metre(message.numerator, message.denominator)))
            elif message.type == "marker":
                length = max(length, now)
        name = track.name.encode("latin1").decode("utf-8", "replace")  # as symusic does; mido takes all for Latin-1
        left_out["notes without an end"] += sum(map(len, sounding.values()))
        for (channel, number), rows in notes.items():
            table = np.array(rows, np.int64)
            length = max(length, int(table[:, END].max()))
            parts.append(Part(name, number, channel == DRUM_CHANNEL, table))
    _, first = min(metre, key=lambda at: at[0], default=(0, (4, 4)))
    return File(file.ticks_per_beat, parts, sorted(tempos), first, length, +left_out)
