"""Standard MIDI Files as they come from strangers: read as far as they go, in time and memory that are bounded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import events
from musicgen_cli.errors import MusicgenError, or_raise
from musicgen_cli.events import (
    END_OF_TRACK,
    MARKER,
    METRE,
    NAME,
    NOTE_ON,
    TEMPO,
    Bits,
    Integers,
    Meta,
    Octets,
    Played,
    too_many,
)
from musicgen_cli.score import DENOMINATORS

MAX_BYTES = 16 << 20  # of a file, unless somebody raises it
MAX_TRACKS = 1 << 11  # of a file, and other chunks; parts too: every program on every channel
MAX_NOTES = 1 << 18  # of a file; a long opera has half as many
BEFORE = 4096  # bytes in which a file's header is looked for: some programs put something of their own before it
DRUM_CHANNEL = 9
PLACE, SMALL = 32, 20  # bits for the number of an event, which stands below what is sorted; of MAX_PLAYED at most
AGAIN = "export it again from its source"


class Part(NamedTuple):
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


@dataclass(slots=True)
class Track:
    """What is found out of a track, bit by bit.

    number: in its file, from 1
    begin, end: where its events are among the bytes that are read at once; cut: whether there should be more of them
    rest: the ticks to the event that is broken, if it breaks off
    metas: where they begin, their kinds and texts; length: the tick at which the last note ends
    """

    number: int
    begin: int
    end: int
    cut: bool
    name: str = ""
    damage: str = ""
    rest: int = 0
    metas: list[Meta] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    length: int = 0


def parse(data: bytes) -> File:
    """Read a MIDI file; raises MusicgenError where nothing can be made of it, or too much would have to be."""
    return or_raise(parse_all([data])[0])


def parse_all(files: Sequence[bytes]) -> list[File | MusicgenError]:
    """What each MIDI file says, or why it cannot be read: many small ones take little longer than one as large."""
    try:
        return _parse_together(files)
    except MusicgenError as error:  # too much of something is in one of them, or in all together
        return [error] if len(files) == 1 else [said for data in files for said in parse_all([data])]


def _parse_together(files: Sequence[bytes]) -> list[File | MusicgenError]:
    opened, whole, size = list[tuple[int, list[Track]] | MusicgenError](), list[bytes](), 0
    for data in files:
        try:
            data, at, ticks_per_quarter = _opened(data)
            chunks = enumerate(_chunks(data, at), 1)
            tracks = [Track(number, size + begin, size + end, cut) for number, (begin, end, cut) in chunks]
        except MusicgenError as error:
            opened.append(error)
            continue
        opened.append((ticks_per_quarter, tracks))
        whole.append(data)
        size += len(data)
    _read(b"".join(whole), [track for one in opened if isinstance(one, tuple) for track in one[1]])
    return [_file(*one) if isinstance(one, tuple) else one for one in opened]


def _read(data: bytes, tracks: list[Track]) -> None:
    """Find out what there is in these tracks; raises MusicgenError where it is too much for one file."""
    trail = events.trail(data, [track.end for track in tracks])
    for track in tracks:
        _follow(trail, track)
    found = events.found(trail)
    total, notes, programs = events.read(trail.data, found)
    counts = np.searchsorted(found, [*(track.begin for track in tracks), len(trail.data)])
    begun = total[counts]
    metas = [meta for track in tracks for meta in track.metas]
    ticks = iter(total[np.searchsorted(found, [at for at, _, _ in metas]) + 1].tolist())
    for track, before in zip(tracks, begun.tolist()):
        track.metas = [(next(ticks) - before, kind, text) for _, kind, text in track.metas]
    _add_parts(tracks, begun, counts, total, notes, programs)


def _follow(trail: events.Trail, track: Track) -> None:
    told = len(trail.metas)
    track.damage, track.rest = events.follow(trail, track.begin, track.end)
    track.metas = trail.metas[told:]
    own = {kind: text for _, kind, text in track.metas}
    track.name = own.get(NAME, b"").decode("utf-8", "replace")
    if not track.damage and track.cut and END_OF_TRACK not in own:
        track.damage = "the end of the file"


def _file(ticks_per_quarter: int, tracks: list[Track]) -> File | MusicgenError:
    parts = [part for track in tracks for part in track.parts]
    damage = next((f"track {track.number} breaks off at {track.damage}" for track in tracks if track.damage), "")
    if not parts and (damage or not tracks):
        return MusicgenError(f"damaged MIDI file ({damage or 'no track'}); {AGAIN}")
    timed = [meta for track in tracks for meta in track.metas]
    tempos = sorted([(tick, int.from_bytes(text[:3], "big")) for tick, kind, text in timed if kind == TEMPO])
    metres = [(tick, _playable_metre(text[0], text[1])) for tick, kind, text in timed if kind == METRE]
    _, metre = min(metres, key=lambda at: at[0], default=(0, (4, 4)))
    length = max([track.length for track in tracks] + [tick for tick, kind, _ in timed if kind == MARKER], default=0)
    return File(ticks_per_quarter, parts, tempos, metre, length, damage)


def _chunks(data: bytes, at: int) -> Iterator[tuple[int, int, bool]]:
    """Where each track begins and ends, and whether there should be more of it; until another file begins."""
    count = 0
    while at + 8 <= len(data) and data[at : at + 4] != b"MThd":
        tag, begin, count = data[at : at + 4], at + 8, count + 1
        if count > MAX_TRACKS:
            raise too_many(f"{MAX_TRACKS} tracks and other chunks")
        size = int.from_bytes(data[at + 4 : begin], "big")
        at = _end(data, begin, size)
        if tag == b"MTrk":
            yield begin, at, begin + size > at


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
    for _ in range(MAX_TRACKS):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data" or at >= len(data):
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise too_many(f"{MAX_TRACKS} chunks")


def _end(data: bytes, begin: int, size: int) -> int:
    """Where a chunk ends: after its size, if the file or another chunk follows; else before the next track."""
    end = begin + size
    if end == len(data) or data[end : end + 4].isalnum():
        return end
    found = data.find(b"MTrk", begin)
    return found if found >= 0 else len(data)


def _add_parts(
    tracks: list[Track], begun: Integers, counts: Integers, total: Integers, notes: Played, programs: Played
) -> None:
    """Give the tracks their parts, by channel and program.

    begun, counts: what came before each track in ticks and in events, and before the end
    """
    event, status, pitch, velocity = notes
    counted = np.diff(np.searchsorted(event, counts))
    track = np.repeat(np.arange(len(tracks)), counted)
    strikes = (status >> 4 == NOTE_ON) & (velocity > 0)
    struck = np.flatnonzero(strikes)
    if len(struck) > MAX_NOTES:
        raise too_many(f"{MAX_NOTES} notes")
    if not len(struck):
        return
    end = _ends(track, status, pitch, strikes).take(struck)
    now = total[1:].take(event) - np.repeat(begun[:-1], counted)
    until = now.take(end)
    lane = track.take(struck) << 4 | status.take(struck) & 0xF
    held = np.flatnonzero(end < 0)  # to the last tick of their track
    until[held] = (np.diff(begun) + [track.rest for track in tracks]).take(lane.take(held) >> 4)
    part = lane << 7 | _programs(programs, counts, lane, event.take(struck))
    if (part[1:] < part[:-1]).any():
        order = np.argsort(part, kind="stable")
        part, end, until, struck = (column.take(order) for column in (part, end, until, struck))
    table = np.array([now.take(struck), until, np.minimum(pitch.take(struck), 127)]).T
    edges = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
    if len(edges) > MAX_TRACKS:
        raise too_many(f"{MAX_TRACKS} tracks")
    never_ended, last = np.add.reduceat(end < 0, edges, dtype=np.int64), np.maximum.reduceat(until, edges)
    columns = part[edges], edges, np.append(edges[1:], len(part)), never_ended, last
    for one, a, b, held, length in zip(*(column.tolist() for column in columns)):
        own = tracks[one >> 11]
        own.parts.append(Part(own.name, one & 0x7F, one >> 7 & 0xF == DRUM_CHANNEL, table[a:b], held))
        own.length = max(own.length, length)


def _ends(track: Integers, status: Octets, pitch: Octets, strikes: Bits) -> Integers:
    """Which event ends the note of each event, -1 for none: the first of a key ends first, an end too many is none.

    Of all events that begin or end notes, in order; strikes: which of them begin one.
    """
    key = ((status & 0xF).astype(np.uint32) << 8 | pitch) << SMALL | np.arange(len(status), dtype=np.uint32)
    key.sort()  # by key, then by track, then in time
    order, track = (key & (1 << SMALL) - 1).astype(np.int64), track.astype(np.int32)
    key >>= SMALL
    track, leaves = track.take(order), ~strikes.take(order)
    same = np.append(False, (key[1:] == key[:-1]) & (track[1:] == track[:-1]))
    due = same.copy()
    due[1:] &= ~leaves[:-1]
    pairs = np.flatnonzero(due & leaves)
    ends = np.full(len(order), -1)
    ends[order.take(pairs - 1)] = order.take(pairs)
    odd = np.flatnonzero(due != leaves)
    if len(odd):
        group = np.cumsum(~same)
        some = np.flatnonzero(np.bincount(group[odd], minlength=len(group) + 1)[group])
        _match(group[some] << 1 | leaves[some], order[some], ends)
    return ends


def _match(what: Integers, event: Integers, ends: Integers) -> None:
    """Set the ends of notes that overlap; what: the key of an event, times 2, plus 1 where it is an end."""
    ends[event] = -1
    leaves = what & 1
    if not leaves.any():
        return
    change = np.flatnonzero(np.diff(what >> 1, prepend=-1))
    key = np.repeat(np.arange(len(change)), np.diff(change, append=len(what)))
    sounding = np.append(0, np.cumsum(1 - 2 * leaves))
    sounding = sounding[1:] - sounding[change][key]
    apart = key * (len(what) + 1)  # so that the lows of a key are below those of the one before
    low = np.minimum.accumulate(np.minimum(sounding, 0) - apart)
    idle = np.diff(low, prepend=1) < 0  # an end too many is a new low
    struck, left = np.flatnonzero(leaves == 0), np.flatnonzero((leaves == 1) & ~idle)
    number = np.arange(len(left)) - np.searchsorted(key[left], key[left])
    ends[event[struck[np.searchsorted(key[struck], key[left]) + number]]] = event[left]


def _programs(changes: Played, counts: Integers, lane: Integers, struck: Integers) -> Integers:
    """The program at each event in `struck`: that of the last change before it in its lane, else 0."""
    event, status, program, _ = changes
    lanes = np.searchsorted(counts, event, "right") - 1 << 4 | status & 0xF
    known = np.append(np.arange(16 * len(counts)), lanes) << PLACE  # 0 from the first event on
    known[len(known) - len(event) :] |= event
    order = np.argsort(known, kind="stable")
    last = np.searchsorted(known.take(order), lane << PLACE | struck, "right") - 1
    return np.append(np.zeros(16 * len(counts), np.int64), program & 0x7F).take(order.take(last))


def _playable_metre(numerator: int, power: int) -> tuple[int, int]:
    return (numerator, 1 << power) if numerator and 1 << power in DENOMINATORS else (4, 4)
