"""MIDI files for tests, byte by byte."""

import struct

Event = tuple[int, bytes]  # ticks since the last one, and the bytes


def on(pitch: int, channel: int = 0, velocity: int = 64) -> bytes:
    return bytes([0x90 | channel, pitch, velocity])


def off(pitch: int, channel: int = 0) -> bytes:
    return bytes([0x80 | channel, pitch, 0])


def program(number: int, channel: int = 0) -> bytes:
    return bytes([0xC0 | channel, number])


def meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind, len(data)]) + data


def name(text: str) -> bytes:
    return meta(0x03, text.encode())


def tempo(microseconds: int) -> bytes:
    return meta(0x51, microseconds.to_bytes(3, "big"))


def metre(numerator: int, power: int) -> bytes:
    return meta(0x58, bytes([numerator, power, 24, 8]))


def ticks(number: int) -> bytes:
    """A variable-length quantity: seven bits a byte, all bytes but the last with the high bit set."""
    digits = [number >> shift & 0x7F for shift in (21, 14, 7, 0)]
    while len(digits) > 1 and not digits[0]:
        digits.pop(0)
    return bytes([*(0x80 | digit for digit in digits[:-1]), digits[-1]])


def track(*events: Event) -> bytes:
    data = b"".join(ticks(delta) + event for delta, event in [*events, (0, meta(0x2F, b""))])
    return raw(data)


def raw(data: bytes, size: int | None = None) -> bytes:
    """Any bytes as a track, of which it may not say the true size."""
    return b"MTrk" + struct.pack(">I", len(data) if size is None else size) + data


def file(*tracks: bytes, kind: int = 1, division: int = 480) -> bytes:
    return b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division) + b"".join(tracks)


def riff(data: bytes) -> bytes:
    """A MIDI file as .rmi files hold it."""
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"RMIDdata" + struct.pack("<I", len(data)) + data


def note(pitch: int, channel: int = 0, lasts: int = 480) -> list[Event]:
    return [(0, on(pitch, channel)), (lasts, off(pitch, channel))]
