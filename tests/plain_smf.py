"""A MIDI file read the plain way, byte after byte and note after note: what `smf` has to make of it."""

from collections import Counter, defaultdict, deque

from musicgen_cli import smf
from musicgen_cli.events import END_OF_TRACK, KEPT, MARKER, MAX_NAME, META, METRE, NAME, STRAY, SYSEX, TEMPO

NOTE_OFF, NOTE_ON, PROGRAM, PRESSURE = 0x8, 0x9, 0xC, 0xD


class Damage(Exception):
    pass


def plain(data: bytes) -> object:
    """Parts, tempos, time signature, length and damage."""
    data, at, _ = smf._opened(data)
    parts, metas, tracks, damage = [], [], 0, ""
    while at + 8 <= len(data) and data[at : at + 4] != b"MThd":
        tag, begin = data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : begin], "big")
        at = smf._end(data, begin, size)
        if tag == b"MTrk":
            tracks += 1
            found, told, broken = track(data[begin:at])
            parts += found
            metas += told
            if not broken and begin + size > at and not any(kind == END_OF_TRACK for _, kind, _ in told):
                broken = "the end of the file"
            damage = damage or (f"track {tracks} breaks off at {broken}" if broken else "")
    tempos = sorted((tick, int.from_bytes(text[:3], "big")) for tick, kind, text in metas if kind == TEMPO)
    metres = [(tick, smf._playable_metre(text[0], text[1])) for tick, kind, text in metas if kind == METRE]
    _, metre = min(metres, key=lambda at: at[0], default=(0, (4, 4)))
    ends = [end for *_, notes, _ in parts for _, end, _ in notes]
    length = max([*ends, *(tick for tick, kind, _ in metas if kind == MARKER)], default=0)
    return parts, tempos, metre, length, damage


def track(data: bytes) -> tuple[list, list, str]:
    """The parts of a track, its meta events with their ticks, and what it breaks off at, if it does."""
    at = now = status = 0
    damage, programs, metas = "", [0] * 16, []
    sounding = defaultdict(deque)  # by channel and pitch: start, channel and program
    notes = defaultdict(list)  # by channel and program
    try:
        while at < len(data):
            delta, at = number(data, at)
            now += delta
            byte = data[at]
            if byte >= 0x80:
                at += 1
                if byte < 0xF0:
                    status = byte
            elif status:
                byte = status
            else:
                raise Damage("an event without a status")
            kind, channel = byte >> 4, byte & 15
            if kind in (NOTE_ON, NOTE_OFF):
                key = channel, data[at]
                if data[at + 1] and kind == NOTE_ON:
                    sounding[key].append((now, (channel, programs[channel])))
                elif sounding[key]:
                    start, part = sounding[key].popleft()
                    notes[part].append([start, now, min(key[1], 127)])
                at += 2
            elif kind == PROGRAM:
                programs[channel] = data[at] & 0x7F
                at += 1
            elif kind < 0xF:
                at += 1 if kind == PRESSURE else 2
            elif byte == META or byte in SYSEX:
                what, at = (data[at], at + 1) if byte == META else (-1, at)
                length, at = number(data, at)
                if at + length > len(data):
                    raise Damage(f"an event of {length} bytes, of which {len(data) - at} are there")
                if what in KEPT and length >= KEPT[what]:
                    metas.append((now, what, data[at : at + min(length, MAX_NAME)]))
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
    never_ended = Counter(part for struck in sounding.values() for _, part in struck)
    for (_, pitch), struck in sounding.items():
        for start, part in struck:
            notes[part].append([start, now, min(pitch, 127)])
    parts = [
        ((names or [""])[-1], part[1], part[0] == smf.DRUM_CHANNEL, sorted(found, key=in_order), never_ended[part])
        for part, found in sorted(notes.items())
    ]
    return parts, metas, damage


def in_order(note: list[int]) -> tuple[int, int, int]:
    start, end, pitch = note
    return start, pitch, end


def number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for end in range(at + 1, at + 5):
        value = value << 7 | data[end - 1] & 0x7F
        if data[end - 1] < 0x80:
            return value, end
    raise Damage("a number of more than four bytes")
