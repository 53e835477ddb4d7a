"""The events of MIDI tracks: a plain loop follows them from one to the next; NumPy reads what those of a file say."""

from array import array

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError

MAX_METAS = 1 << 17  # of a file: tempo changes, above all
MAX_PLAYED = 1 << 20  # of a file: beginnings and ends of notes, and changes of programs
BATCH = 1 << 16  # events that are looked at at once
MAX_NAME = 256  # bytes of a text that are kept
NOTE_OFF, NOTE_ON, PROGRAM = 0x8, 0x9, 0xC  # the upper half of a status byte
META, SYSEX = 0xFF, (0xF0, 0xF7)  # status bytes of events that say how long they are
STRAY = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system messages, which don't belong into files; others have none
NAME, MARKER, END_OF_TRACK, TEMPO, METRE = 0x03, 0x06, 0x2F, 0x51, 0x58
KEPT = {NAME: 0, MARKER: 0, END_OF_TRACK: 0, TEMPO: 3, METRE: 2}  # meta events, and the least bytes that say something
WIDTH = {kind: 1 if kind in (PROGRAM, 0xD) else 2 for kind in range(0x8, 0xF)}  # data bytes, by the upper half
# Bytes from an event whose time takes one byte to the next, by its first byte after that; 0 where more must be known.
STEPS = bytes(3 if byte < 0x80 else 4 if WIDTH.get(byte >> 4) == 2 else 0 for byte in range(256))
LONGER = bytes(step and step + 1 for step in STEPS)  # the same where the time takes two bytes
CONCERNS_NOTES = np.isin(np.arange(256) >> 4, [NOTE_OFF, NOTE_ON, PROGRAM])  # by status

Integers = NDArray[np.int64]
Octets = NDArray[np.uint8]
Played = tuple[Integers, Octets, Octets, Octets]  # which event it is, its status and its data bytes
Meta = tuple[int, int, bytes]  # which event it is, kind, and at most MAX_NAME bytes


class Damage(Exception):
    """What a track can be followed no further than."""


def too_many(what: str) -> MusicgenError:
    return MusicgenError(f"more than {what} in one file; split it")


def steps(data: bytes) -> bytearray:
    """For each byte how far the next event is if one begins here, with a status of two data bytes; 0: look closer."""
    time, after = (np.frombuffer(data.translate(table) + bytes(2), np.uint8) for table in (STEPS, LONGER))
    long = np.frombuffer(data + bytes(2), np.uint8) >= 0x80
    return bytearray(np.where(long[:-2], np.where(long[1:-1], 0, after[2:]), time[1:-1]).tobytes())


def follow(
    data: bytes, begin: int, end: int, steps: bytearray, found: "array[int]", metas: list[Meta]
) -> tuple[str, int]:
    """Add to `found` where the events of the track in data[begin:end] begin, and to `metas` those in KEPT.

    Returns what it breaks off at, "" if it doesn't, and the time of the event that is broken, in ticks.
    """
    steps[end : end + 8] = bytes(8)  # of the next chunk's head, or beyond the last: no event begins there
    track, append = memoryview(data)[:end], found.append
    at, width, rest = begin, 0, 0
    try:
        while at < end:
            if width == 2:
                while step := steps[at]:
                    append(at)
                    at += step
                if at == end:
                    break
                if at > end:
                    at = found.pop()
            start, what = at, -1
            rest, at = _number(track, at)
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
                length, at = _number(track, at)
                if at + length > end:
                    raise Damage(f"an event of {length} bytes, of which {end - at} are there")
                if what in KEPT and length >= KEPT[what]:
                    metas.append((len(found), what, data[at : at + min(length, MAX_NAME)]))
                    if len(metas) > MAX_METAS:
                        raise too_many(f"{MAX_METAS} tempo changes and texts")
                at += length
            else:
                at += 1 + STRAY.get(byte, 0)
            if at > end:
                raise IndexError
            append(start)
            rest = 0
            if what == END_OF_TRACK:
                break
    except IndexError:
        return "the end of its bytes, in the midst of an event", rest
    except Damage as error:
        return str(error), rest
    return "", 0


def read(data: bytes, found: "array[int]") -> tuple[Integers, Played]:
    """The ticks from the first event to each, (N + 1,) with a nought before them, and what concerns notes.

    Raises MusicgenError where that is too much.
    """
    octets = np.frombuffer(data + bytes(2), np.uint8)
    total = np.zeros(len(found) + 1, np.int64)
    played, running = list[Played](), np.uint8(0)
    for first in range(0, len(found) + 1, BATCH):
        at = np.array(found[first : first + BATCH], np.intp)
        byte = octets[at]
        ticks = (byte & 0x7F).astype(np.int64)
        longer = np.flatnonzero(byte >= 0x80)
        while longer.size:
            at[longer] += 1
            byte = octets[at[longer]]
            ticks[longer] = ticks[longer] << 7 | byte & 0x7F
            longer = longer[byte >= 0x80]
        ticks[:1] += total[first]
        np.cumsum(ticks, out=total[first + 1 : first + 1 + len(at)])
        at += 1
        status = octets[at]
        own = status >= 0x80
        at += own
        last = np.maximum.accumulate(np.where(own & (status < 0xF0), np.arange(len(at)), -1))
        known = np.append(status, running)  # where there was none in this batch, that of the one before
        status = np.where(own, status, known[last])
        running = known[last[-1]] if len(at) else running
        some = np.flatnonzero(CONCERNS_NOTES[status])
        at = at[some]
        played.append((some + first, status[some], octets[at], octets[at + 1]))
        if sum(len(event) for event, *_ in played) > MAX_PLAYED:
            raise too_many(f"{MAX_PLAYED} beginnings and ends of notes")
    event, status, value, second = (np.concatenate(column) for column in zip(*played))
    return total, (event, status, value, second)


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """A variable-length quantity, seven bits a byte and four bytes at most, and where it ends."""
    number = 0
    for end in range(at + 1, at + 5):
        number = number << 7 | data[end - 1] & 0x7F
        if data[end - 1] < 0x80:
            return number, end
    raise Damage("a number of more than four bytes")
