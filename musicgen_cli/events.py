"""The events of MIDI tracks: a loop follows them, several at once where it can; NumPy reads what they all say."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError

MAX_METAS = 1 << 17  # of a file: tempo changes, above all
MAX_PLAYED = 1 << 20  # of a file: beginnings and ends of notes, and changes of programs
MAX_TICKS = 1 << 36  # of a track, in times of two bytes and more that are read one by one: days of the finest ticks
BATCH = 1 << 16  # events that are looked at at once
MAX_NAME = 256  # bytes of a text that are kept
NOTE_ON, PROGRAM = 0x9, 0xC  # the upper half of a status byte
META, SYSEX = 0xFF, (0xF0, 0xF7)  # status bytes of events that say how long they are
STRAY = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system messages, which don't belong into files; others have none
NAME, MARKER, END_OF_TRACK, TEMPO, METRE = 0x03, 0x06, 0x2F, 0x51, 0x58
KEPT = {NAME: 0, MARKER: 0, END_OF_TRACK: 0, TEMPO: 3, METRE: 2}  # meta events, and the least bytes that say something
WIDTH = {kind: 1 if kind in (PROGRAM, 0xD) else 2 for kind in range(0x8, 0xF)}  # data bytes, by the upper half
# Bytes from an event whose time takes one byte to the next, by its first byte after that; 0 where more must be known.
STEPS = bytes(3 if byte < 0x80 else 4 if WIDTH.get(byte >> 4) == 2 else 0 for byte in range(256))
LENGTHS = (3, 4, 5)  # what is in it, and one more where the time takes two bytes
LEAP = 8  # events that are followed at once
MARGIN = 8  # bytes after each track where no event begins: the head of what comes next, or nothing

Integers = NDArray[np.int64]
Octets = NDArray[np.uint8]
Bits = NDArray[np.bool_]
Meta = tuple[int, int, bytes]  # where it begins, kind, and at most MAX_NAME bytes


@dataclass(frozen=True)
class Trail:
    """Where the events of tracks begin, as far as they are followed.

    data: the tracks, one after the other
    steps: for each byte how far the next event is if one begins here, with a status of two data bytes; 0: look closer
    leaps: the same for LEAP events, or as many as there are before a 0
    heads, others: where a leap begins, and where an event that had to be looked at
    metas: the events in KEPT
    """

    data: bytes
    steps: bytearray
    leaps: bytes
    heads: "array[int]"
    others: "array[int]"
    metas: list[Meta]


class Played(NamedTuple):
    """The events of one sort among all: the number of each, its status and its two data bytes."""

    event: Integers
    status: Octets
    value: Octets
    second: Octets


class Damage(Exception):
    """What a track can be followed no further than."""


def too_many(what: str) -> MusicgenError:
    return MusicgenError(f"more than {what} in one file; split it")


def trail(data: bytes, ends: Iterable[int]) -> Trail:
    """The trail of tracks that nobody has followed yet; ends: where the tracks end in `data`."""
    if data.count(META) > MAX_METAS and sum(data.count(bytes([META, kind])) for kind in KEPT) > MAX_METAS:
        raise too_many(f"{MAX_METAS} tempo changes and texts")  # before it takes the time to meet them
    data += bytes(MARGIN)
    after, short = np.frombuffer(data.translate(STEPS), np.uint8), np.frombuffer(data, np.uint8) < 0x80
    steps = np.zeros(len(data), np.uint8)
    steps[:-2] = after[1:-1] * short[:-2]
    steps[:-2] += (after[2:] + (after[2:] > 0)) * (short[1:-1] > short[:-2])  # where the time takes two bytes
    for end in ends:
        steps[end : end + MARGIN] = 0
    reach = LEAP * max(LENGTHS)
    leaps = (_leaps(steps[at : at + BATCH + reach])[:BATCH].tobytes() for at in range(0, len(data), BATCH))
    return Trail(data, bytearray(steps), b"".join(leaps), array("I"), array("I"), [])


def _leaps(steps: Octets) -> Octets:
    """How far LEAP steps lead from each byte, fewer where one of them is 0 or beyond the last byte."""
    leaps = steps.copy()
    lengths = [(length, (steps == length) * np.uint8(0xFF)) for length in LENGTHS]
    for _ in range(LEAP - 1):
        further = steps.copy()
        for length, those in lengths:
            further[:-length] += those[:-length] & leaps[length:]
        leaps = further
    return leaps


def follow(trail: Trail, begin: int, end: int) -> tuple[str, int]:
    """Go from one event to the next in the track at data[begin:end].

    Returns what it breaks off at, "" if it doesn't, and the time of the event that is broken, in ticks.
    """
    steps, leaps, metas = trail.steps, trail.leaps, trail.metas
    head, other = trail.heads.append, trail.others.append
    track = memoryview(trail.data)[:end]
    at, width, rest, gone = begin, 0, 0, 0
    try:
        while at < end:
            if width == 2:
                while leap := leaps[at]:
                    head(at)
                    at += leap
                if at == end:
                    break
                if at > end:  # with the last event, which is broken
                    at = trail.heads[-1]
                    while at + steps[at] < end:
                        at += steps[at]
                    steps[at] = 0
            start, what, rest = at, -1, 0
            if (byte := track[at]) < 0x80:
                rest = byte
                at += 1
            else:
                rest, at = _number(track, at)
                gone += rest
                if gone > MAX_TICKS:
                    raise MusicgenError(f"lasts more than {MAX_TICKS} ticks")
            byte = track[at]
            if byte < 0x80:
                if not width:
                    raise Damage("an event without a status")
                at += width
            elif byte < 0xF0:
                width = WIDTH[byte >> 4]  # which stands until there is another status, whatever comes between
                at += 1 + width
            elif byte == META or byte in SYSEX:
                what, at = (track[at + 1], at + 2) if byte == META else (-1, at + 1)
                if (length := track[at]) < 0x80:
                    at += 1
                else:
                    length, at = _number(track, at)
                if at + length > end:
                    raise Damage(f"an event of {length} bytes, of which {end - at} are there")
                if what in KEPT and length >= KEPT[what]:
                    metas.append((start, what, trail.data[at : at + min(length, MAX_NAME)]))
                    if len(metas) > MAX_METAS:
                        raise too_many(f"{MAX_METAS} tempo changes and texts")
                at += length
            else:
                at += 1 + STRAY.get(byte, 0)
            if at > end:
                raise IndexError
            other(start)
            if what == END_OF_TRACK:
                break
    except IndexError:
        return "the end of its bytes, in the midst of an event", rest
    except Damage as error:
        return str(error), rest
    return "", 0


def found(trail: Trail) -> Integers:
    """Where all events begin that were met on a trail, in order, (N,)."""
    steps = np.frombuffer(trail.steps, np.uint8)
    here = np.zeros(len(steps), bool)
    at = np.array(trail.heads, np.intp)
    for _ in range(LEAP):
        here[at] = True
        at += steps.take(at)
    here &= steps > 0
    here[np.array(trail.others, np.intp)] = True
    return np.flatnonzero(here)


def read(data: bytes, found: Integers) -> tuple[Integers, Played, Played]:
    """The ticks from the first event to each, (N + 1,) with a nought before them; notes' beginnings and ends; programs.

    data: with two bytes after the last event. Raises MusicgenError where that is too much.
    """
    octets = np.frombuffer(data, np.uint8)
    total = np.zeros(len(found) + 1, np.int64)
    notes, programs, running = list[Played](), list[Played](), np.zeros(1, np.uint8)
    for first in range(0, len(found) + 1, BATCH):
        at = found[first : first + BATCH]
        byte = octets.take(at)
        longer = byte >= 0x80
        at = at + longer
        last = octets.take(at)  # byte of the time, if it is not longer still
        ticks = (byte * longer).astype(np.uint32) << 7 & 0x3F80 | last & 0x7F
        more = np.flatnonzero(last >= 0x80)
        while more.size:
            at[more] += 1
            last = octets[at[more]]
            ticks[more] = ticks[more] << 7 | last & 0x7F
            more = more[last >= 0x80]
        now = total[first + 1 : first + 1 + len(at)]
        now[:] = ticks
        now[:1] += total[first]
        np.cumsum(now, out=now)
        status = octets[1:].take(at)
        own = status >= 0x80
        at += own
        known = np.flatnonzero(own & (status < 0xF0))
        stands = np.concatenate([running, status.take(known)])  # until there is another
        known = np.concatenate([[0], known, [len(at)]])
        status = np.maximum(status, np.repeat(stands, known[1:] - known[:-1]))
        running = stands[-1:]
        value, second = octets[1:].take(at), octets[2:].take(at)
        for played, those in ((notes, status < NOTE_ON + 1 << 4), (programs, status >> 4 == PROGRAM)):
            played.append(Played(np.flatnonzero(those) + first, status[those], value[those], second[those]))
        if sum(len(played.event) for played in notes + programs) > MAX_PLAYED:
            raise too_many(f"{MAX_PLAYED} beginnings and ends of notes")
    return total, _joined(notes), _joined(programs)


def _joined(played: list[Played]) -> Played:
    return Played(*map(np.concatenate, zip(*played))) if len(played) > 1 else played[0]


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """A variable-length quantity, seven bits a byte and four bytes at most, and where it ends."""
    number = 0
    for end in range(at + 1, at + 5):
        number = number << 7 | data[end - 1] & 0x7F
        if data[end - 1] < 0x80:
            return number, end
    raise Damage("a number of more than four bytes")
