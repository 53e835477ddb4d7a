"""Standard MIDI Files as they come from strangers: read as far as they go, in time and memory that are bounded."""

from array import array
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import DENOMINATORS, END, PITCH

MAX_BYTES = 16 << 20  # of a file, unless somebody raises it
MAX_TRACKS = 1 << 12  # of a file; parts too
MAX_NOTES = 1 << 18  # of a file; a long opera has half as many
MAX_METAS = 1 << 17  # of a file: tempo changes, above all
MAX_NAME = 256  # bytes of a track's name that are kept
BEFORE = 4096  # bytes in which a file's header is looked for: some programs put something of their own before it
DRUM_CHANNEL = 9
NOTE_OFF, NOTE_ON, PROGRAM, PRESSURE, SYSTEM = 0x8, 0x9, 0xC, 0xD, 0xF  # the upper half of a status byte
META, SYSEX = 0xFF, (0xF0, 0xF7)  # status bytes of events that say how long they are
STRAY = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system messages, which don't belong into files; others have none
NAME, MARKER, END_OF_TRACK, TEMPO, METRE = 0x03, 0x06, 0x2F, 0x51, 0x58
KEPT = {NAME: 0, MARKER: 0, END_OF_TRACK: 0, TEMPO: 3, METRE: 2}  # meta events, and the least bytes that say something
AGAIN = "export it again from its source"

Meta = tuple[int, int, bytes]  # tick, kind, and at most MAX_NAME bytes


@dataclass(frozen=True)
class Part:
    """The notes of one track, channel and program; notes: int64 (N, 3) as in Score."""

    name: str
    program: int  # 0 to 127, General MIDI
    drums: bool
    notes: NDArray[np.int64]
    never_ended: int = 0  # how many of them are held to the end of their track, for want of another


@dataclass(frozen=True)
class File:
    """What a MIDI file says, in ticks; `tempos` are (tick, microseconds per quarter note) in order of time.

    damage: where it breaks off and why, "" for a sound file; then the rest is what came before
    """

    ticks_per_quarter: int
    parts: list[Part]
    tempos: list[tuple[int, int]]
    time_signature: tuple[int, int]
    length: int
    damage: str = ""


class Damage(Exception):
    """What a track can be followed no further than."""


def parse(data: bytes) -> File:
    """Read a MIDI file; raises MusicgenError where nothing can be made of it, or too much would have to be."""
    data, at, ticks_per_quarter = _opened(data)
    parts, metas = list[Part](), list[Meta]()
    tracks = notes = 0
    damage = ""
    while at + 8 <= len(data) and data[at : at + 4] != b"MThd":  # where another file begins
        tag, begin = data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : begin], "big")
        at = _end(data, begin, size)
        if tag == b"MTrk":
            tracks += 1
            found, told, broken = _track(data[begin:at], MAX_NOTES - notes, MAX_METAS - len(metas))
            notes += sum(len(part.notes) for part in found)
            parts += found
            metas += told
            if max(tracks, len(parts)) > MAX_TRACKS:
                raise _too_many(f"{MAX_TRACKS} tracks")
            if not broken and begin + size > at and not any(kind == END_OF_TRACK for _, kind, _ in told):
                broken = "the end of the file"
            damage = damage or (f"track {tracks} breaks off at {broken}" if broken else "")
    if not parts and (damage or not tracks):
        raise MusicgenError(f"damaged MIDI file ({damage or 'no track'}); {AGAIN}")
    tempos = sorted((tick, int.from_bytes(text[:3], "big")) for tick, kind, text in metas if kind == TEMPO)
    metres = [(tick, _playable_metre(text[0], text[1])) for tick, kind, text in metas if kind == METRE]
    _, metre = min(metres, key=lambda at: at[0], default=(0, (4, 4)))
    ends = [int(part.notes[:, END].max()) for part in parts]
    length = max([*ends, *(tick for tick, kind, _ in metas if kind == MARKER)], default=0)
    return File(ticks_per_quarter, parts, tempos, metre, length, damage)


def _opened(data: bytes) -> tuple[bytes, int, int]:
    """The file out of its wrapper, where its first chunk begins, and its ticks per quarter note."""
    if not data:
        raise MusicgenError("the file is empty")
    data = _unwrapped(data)
    start = data.find(b"MThd", 0, BEFORE)
    if start < 0 or len(data) < start + 14:
        raise MusicgenError("not a MIDI file")
    size, kind, division = (int.from_bytes(data[start + a : start + b], "big") for a, b in ((4, 8), (8, 10), (12, 14)))
    if kind == 2:
        raise MusicgenError("MIDI type 2 (independent patterns) is not supported; export it as type 1")
    if division == 0 or division & 0x8000:
        raise MusicgenError("has no ticks per quarter note (SMPTE time); export it with a musical time base")
    return data, _end(data, start + 14, max(size - 6, 0)), division


def _unwrapped(data: bytes) -> bytes:
    """The MIDI file in a RIFF file (.rmi), whose numbers are little-endian and whose chunks have even sizes."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    at = 12
    while data[at : at + 4] != b"data" and at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return data[at + 8 : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]


def _end(data: bytes, begin: int, size: int) -> int:
    """Where a chunk ends: after its size, if the file or another chunk follows; else before the next track."""
    end = begin + size
    if end == len(data) or data[end : end + 4].isalnum():
        return end
    found = data.find(b"MTrk", begin)
    return found if found >= 0 else len(data)


def _too_many(what: str) -> MusicgenError:
    return MusicgenError(f"more than {what} in one file; split it")


def _track(data: bytes, notes_left: int, metas_left: int) -> tuple[list[Part], list[Meta], str]:
    """The parts of a track, its meta events in KEPT, and what it breaks off at, if it does."""
    at = now = status = 0
    damage, programs, metas = "", [0] * 16, list[Meta]()
    sounding: dict[int, deque[tuple[int, int]]] = defaultdict(deque)  # by channel and pitch: start, channel and program
    notes: dict[int, array[int]] = defaultdict(lambda: array("q"))  # by channel and program: start, end, pitch, ...
    try:
        while at < len(data):
            if (delta := data[at]) < 0x80:
                at += 1
            else:
                delta, at = _number(data, at)
            now += delta
            byte = data[at]
            if byte >= 0x80:
                at += 1
                if byte < 0xF0:
                    status = byte  # which stands until there is another, whatever comes between
            elif status:
                byte = status
            else:
                raise Damage("an event without a status")
            kind, channel = byte >> 4, byte & 15
            if kind in (NOTE_ON, NOTE_OFF):
                place = channel << 8 | data[at]
                if data[at + 1] and kind == NOTE_ON:
                    if not notes_left:
                        raise _too_many(f"{MAX_NOTES} notes")
                    notes_left -= 1
                    sounding[place].append((now, channel << 8 | programs[channel]))
                elif struck := sounding[place]:
                    start, part = struck.popleft()
                    notes[part].extend((start, now, place & 0xFF))
                at += 2
            elif kind == PROGRAM:
                programs[channel] = data[at] & 0x7F
                at += 1
            elif kind < SYSTEM:
                at += 1 if kind == PRESSURE else 2
            elif byte == META or byte in SYSEX:
                what, at = (data[at], at + 1) if byte == META else (-1, at)
                length, at = _number(data, at)
                if at + length > len(data):
                    raise Damage(f"an event of {length} bytes, of which {len(data) - at} are there")
                if what in KEPT and length >= KEPT[what]:
                    metas.append((now, what, data[at : at + min(length, MAX_NAME)]))
                    if len(metas) > metas_left:
                        raise _too_many(f"{MAX_METAS} tempo changes and texts")
                at += length
                if what == END_OF_TRACK:
                    break
            else:
                at += STRAY.get(byte, 0)
        if at > len(data):
            raise IndexError
    except IndexError:
        damage = "the end of its bytes, in the midst of an event"
    except Damage as error:
        damage = str(error)
    names = [text.decode("utf-8", "replace") for _, what, text in metas if what == NAME]
    return _parts(names[-1] if names else "", notes, sounding, now), metas, damage


def _parts(
    name: str, notes: dict[int, "array[int]"], sounding: dict[int, deque[tuple[int, int]]], end: int
) -> list[Part]:
    """The notes of a track as parts, by channel and program; those that still sound are held to its end."""
    never_ended = Counter(part for struck in sounding.values() for _, part in struck)
    for place, struck in sounding.items():
        for start, part in struck:
            notes[part].extend((start, end, place & 0xFF))
    parts = []
    for part, numbers in sorted(notes.items()):
        table = np.frombuffer(numbers, np.int64).reshape(-1, 3)
        table[:, PITCH] = table[:, PITCH].clip(max=127)
        parts.append(Part(name, part & 0x7F, part >> 8 == DRUM_CHANNEL, table, never_ended[part]))
    return parts


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length quantity, seven bits a byte and four bytes at most, and where it ends."""
    number = 0
    for end in range(at + 1, at + 5):
        number = number << 7 | data[end - 1] & 0x7F
        if data[end - 1] < 0x80:
            return number, end
    raise Damage("a number of more than four bytes")


def _playable_metre(numerator: int, power: int) -> tuple[int, int]:
    return (numerator, 1 << power) if numerator and 1 << power in DENOMINATORS else (4, 4)
