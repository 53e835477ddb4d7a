"""Standard MIDI Files as they come from strangers: read as far as they go, in time and memory that are bounded."""

from array import array
from bisect import bisect
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import events
from musicgen_cli.errors import MusicgenError
from musicgen_cli.events import (
    END_OF_TRACK,
    MARKER,
    METRE,
    NAME,
    NOTE_ON,
    PROGRAM,
    TEMPO,
    Integers,
    Meta,
    Octets,
    Played,
    too_many,
)
from musicgen_cli.score import DENOMINATORS, END, PITCH, START

MAX_BYTES = 16 << 20  # of a file, unless somebody raises it
MAX_TRACKS = 1 << 12  # of a file; parts too
MAX_NOTES = 1 << 18  # of a file; a long opera has half as many
BEFORE = 4096  # bytes in which a file's header is looked for: some programs put something of their own before it
DRUM_CHANNEL = 9
PLACE = 32  # bits for the number of an event: where things are sorted, it stands below what they are sorted by
PLACES = (1 << PLACE) - 1
AGAIN = "export it again from its source"

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """The notes of one track, channel and program in order of their beginnings; notes: int64 (N, 3) as in Score."""

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


def parse(data: bytes) -> File:
    """Read a MIDI file; raises MusicgenError where nothing can be made of it, or too much would have to be."""
    data, at, ticks_per_quarter = _opened(data)
    steps, found, metas = events.steps(data), array("I"), list[Meta]()
    names, counts, rests = list[str](), [0], list[int]()  # of tracks
    damage = ""
    while at + 8 <= len(data) and data[at : at + 4] != b"MThd":  # where another file begins
        tag, begin = data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : begin], "big")
        at = _end(data, begin, size)
        if tag == b"MTrk":
            told = len(metas)
            broken, rest = events.follow(data, begin, at, steps, found, metas)
            own = {kind: text for _, kind, text in metas[told:]}
            names.append(own.get(NAME, b"").decode("utf-8", "replace"))
            counts.append(len(found))
            rests.append(rest)
            if len(names) > MAX_TRACKS:
                raise too_many(f"{MAX_TRACKS} tracks")
            if not broken and begin + size > at and END_OF_TRACK not in own:
                broken = "the end of the file"
            damage = damage or (f"track {len(names)} breaks off at {broken}" if broken else "")
    total, played = events.read(data, found)
    begun = total[counts]
    parts = _parts(names, begun, counts, np.diff(begun) + np.array(rests, np.int64), total, played)
    if not parts and (damage or not names):
        raise MusicgenError(f"damaged MIDI file ({damage or 'no track'}); {AGAIN}")
    timed = [(int(total[event + 1] - begun[bisect(counts, event) - 1]), kind, text) for event, kind, text in metas]
    tempos = sorted((tick, int.from_bytes(text[:3], "big")) for tick, kind, text in timed if kind == TEMPO)
    metres = [(tick, _playable_metre(text[0], text[1])) for tick, kind, text in timed if kind == METRE]
    _, metre = min(metres, key=lambda at: at[0], default=(0, (4, 4)))
    ends = [int(part.notes[:, END].max()) for part in parts]
    length = max([*ends, *(tick for tick, kind, _ in timed if kind == MARKER)], default=0)
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


def _parts(
    names: list[str], begun: Integers, counts: list[int], ends: Integers, total: Integers, played: Played
) -> list[Part]:
    """The notes of a file as parts, by track, channel and program.

    names, begun, counts, ends: of the tracks, what came before in ticks and in events, and the last tick
    """
    event, status, value, velocity = played
    track = np.repeat(np.arange(len(names)), np.diff(np.searchsorted(event, counts)))
    now = total[event + 1] - begun[track]
    lane = track << 4 | status & 0xF
    kind = status >> 4
    strikes = (kind == NOTE_ON) & (velocity > 0)
    struck = np.flatnonzero(strikes)
    if len(struck) > MAX_NOTES:
        raise too_many(f"{MAX_NOTES} notes")
    if not len(struck):
        return []
    end = _ends(lane << 8 | value, strikes, (kind != PROGRAM) & ~strikes)[struck]
    until = np.where(end < 0, ends[track[struck]], now[end])
    changes = np.flatnonzero(kind == PROGRAM)
    part = lane[struck] << 7 | _programs(changes, value[changes], lane, struck)
    order = np.argsort(part, kind="stable")
    part, end, struck = part[order], end[order], struck[order]
    table = np.empty((len(part), 3), np.int64)
    table[:, START], table[:, END], table[:, PITCH] = now[struck], until[order], np.minimum(value[struck], 127)
    edges = [0, *(np.flatnonzero(part[1:] != part[:-1]) + 1).tolist(), len(part)]
    if len(edges) > MAX_TRACKS + 1:
        raise too_many(f"{MAX_TRACKS} tracks")
    return [
        Part(
            names[one >> 11],
            one & 0x7F,
            one >> 7 & 0xF == DRUM_CHANNEL,
            table[a:b],
            int(np.count_nonzero(end[a:b] < 0)),
        )
        for one, a, b in zip(part[edges[:-1]].tolist(), edges, edges[1:])
    ]


def _ends(key: Integers, strikes: Bits, leaves: Bits) -> Integers:
    """Which event ends the note of each event, -1 for none: the first of a key ends first, an end too many is none.

    key: of all events; strikes, leaves: which of them begin a note, and which may end one
    """
    ends = np.full(len(key), -1)
    begin, end = (np.sort(key[some] << PLACE | some) for some in map(np.flatnonzero, (strikes, leaves)))
    if len(begin) == len(end) and (begin ^ end <= PLACES).all() and (begin < end).all():
        ends[begin & PLACES] = end & PLACES
        return ends
    notes = np.flatnonzero(strikes | leaves)  # some end is missing, or too many
    notes = notes[np.argsort(key[notes], kind="stable")]
    before, sounding = -1, deque[int]()
    for event, where, struck in zip(notes.data, key[notes].data, strikes[notes].data):
        if where != before:
            before, sounding = where, deque()
        if struck:
            sounding.append(event)
        elif sounding:
            ends[sounding.popleft()] = event
    return ends


def _programs(changes: Integers, programs: Octets, lane: Integers, struck: Integers) -> Integers:
    """The program of each event in `struck`: that of the last change before it in its lane, else 0."""
    order = np.argsort(lane[changes], kind="stable")
    known = np.append(-1, (lane[changes] << PLACE | changes)[order])
    last = np.searchsorted(known, lane[struck] << PLACE | struck) - 1
    return np.where(known[last] >> PLACE == lane[struck], np.append(0, programs[order] & 0x7F)[last], 0)


def _playable_metre(numerator: int, power: int) -> tuple[int, int]:
    return (numerator, 1 << power) if numerator and 1 << power in DENOMINATORS else (4, 4)
