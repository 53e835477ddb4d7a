"""MIDI files made to cost time or memory; `python -m tests.torture.bombs` tells what each does cost."""

import json
import os
import struct
import time
from collections.abc import Iterator

from tests.midi_bytes import file, meta, metre, note, off, on, program, raw, tempo, track
from tests.torture.mutants import peak, timed, verdict

FAR = b"\xff\xff\xff\x7f"  # the longest time that four bytes say
ON, OFF, END = on(60), off(60), b"\x00" + meta(0x2F, b"")
TUNE = track(*note(60), *note(64), *note(67))
NOTES = b"".join(b"\x00" + on(pitch) + b"\x60" + off(pitch) for pitch in (60, 64, 67, 72))


def one(events: bytes, division: int = 480) -> bytes:
    return file(raw(events), kind=0, division=division)


def riff(data: bytes, size: int | None = None, before: bytes = b"") -> bytes:
    body = before + b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"RMID" + body


def header(size: int = 6, kind: int = 1, tracks: int = 1, division: int = 480) -> bytes:
    return b"MThd" + struct.pack(">IHHH", size, kind, tracks, division)


# name: the file and how its verdict begins; most are a line or two of hex, the others the largest of their kind
BOMBS: dict[str, tuple[bytes, str]] = {
    # time
    "a note of 2 ** 28 ticks": (one(b"\0" + ON + FAR + OFF + END, 1), "refused: lasts 1073741820 steps"),
    "the same at 480 ticks": (one(b"\0" + ON + FAR + OFF + END), "refused: lasts 2236962 steps"),
    "a note far away": (one(NOTES + FAR + ON + b"\1" + OFF + END), "refused: lasts"),
    "times that add up past 64 bits": (one(b"\0" + ON + (FAR + b"\x3c\x40") * 20_000 + END, 1), "refused: lasts"),
    "the same in 257 events": (one(b"\0" + ON + (FAR + b"\x3c\x40") * 257 + END), "refused: lasts more than"),
    "times that add up past 31 bits": (one((FAR + meta(0x01, b"")) * 9 + NOTES + END), "refused: lasts"),
    "an end far away": (one(NOTES + FAR + meta(0x2F, b""), 1), "read"),
    "an end far away of a note that nobody ends": (one(b"\0" + ON + FAR + meta(0x2F, b""), 1), "refused: lasts"),
    "a marker far away": (one(NOTES + FAR + meta(0x06, b"end") + END, 1), "refused: lasts"),
    "the longest song": (one(b"\0" + ON + b"\x81\xff\x7f" + OFF + END, 1), "read"),
    "88 notes as long as the longest song": (
        one(b"".join(b"\0" + on(21 + key) for key in range(88)) + b"\x81\xff\x7f" + meta(0x2F, b""), 1),
        "read",
    ),
    "the slowest tempo": (one(b"\0" + tempo((1 << 24) - 1) + NOTES + END, 1), "read"),
    "a tempo of nothing": (one(b"\0" + tempo(0) + NOTES + END), "read"),
    # numbers of bytes
    "a time of five bytes": (one(NOTES + b"\x81\x80\x80\x80\0" + ON + END), "damaged"),
    "a time of twenty bytes": (one(b"\xff" * 20 + b"\x7f" + ON + END), "refused: damaged"),
    "a time of 100,000 bytes": (one(NOTES + b"\xff" * 100_000), "damaged"),
    "a time of a megabyte": (one(NOTES + b"\xff" * (1 << 20)), "damaged"),
    "a megabyte of 0xff after the header": (header() + b"\xff" * (1 << 20), "refused: damaged"),
    "a megabyte of 0xff": (b"\xff" * (1 << 20), "refused: not a MIDI file"),
    "a megabyte of nothing": (bytes(1 << 20), "refused: not a MIDI file"),
    "a track of 0x80": (one(b"\x80" * (1 << 20)), "refused: damaged"),
    "a text of five bytes' length": (one(NOTES + b"\0\xff\x01\xff\xff\xff\xff\x7fx"), "damaged"),
    "a text longer than its file": (one(NOTES + b"\0\xff\x01" + FAR + b"x"), "damaged"),
    "a sysex longer than its file": (one(NOTES + b"\0\xf0" + FAR + b"x"), "damaged"),
    "a sysex without an end": (one(NOTES + b"\0\xf0" + b"\x01\x02"), "read"),
    "a text of a megabyte": (one(b"\0\xff\x01\xc0\x80\x00" + b"x" * (1 << 20) + NOTES + END), "read"),
    "a name of a megabyte": (one(b"\0\xff\x03\xc0\x80\x00" + b"x" * (1 << 20) + NOTES + END), "read"),
    # headers
    "no ticks": (file(TUNE, division=0), "refused: has no ticks"),
    "SMPTE time": (file(TUNE, division=0xE728), "refused: has no ticks"),
    "SMPTE time of no frames": (file(TUNE, division=0x8000), "refused: has no ticks"),
    "type 2": (file(TUNE, TUNE, kind=2), "refused: MIDI type 2"),
    "a type that is none": (header(kind=99) + TUNE, "read"),
    "65,535 tracks, all but one missing": (header(tracks=65535) + TUNE, "read"),
    "no tracks": (header(tracks=0), "refused: damaged MIDI file .no track"),
    "a header of 4 GiB": (header(size=0xFFFFFFFF) + TUNE, "read"),
    "a header of nothing": (header(size=0) + TUNE, "read"),
    "half a header": (header()[:9], "refused: not a MIDI file"),
    "half a file": (file(TUNE)[:40], "damaged"),
    # chunks
    "a track of 4 GiB": (header() + raw(NOTES + END, 0xFFFFFFFF), "read"),
    "a track of nothing": (header() + raw(NOTES + END, 0), "read"),
    "a track of three bytes": (header() + raw(NOTES + END, 3), "read"),
    "an unknown chunk of 4 GiB": (header() + b"XFIH\xff\xff\xff\xff" + TUNE, "read"),
    "100,000 empty chunks": (header() + b"XFIH\0\0\0\0" * 100_000 + TUNE, "refused: more than 2048 tracks and other"),
    "2,000 empty chunks": (header() + b"XFIH\0\0\0\0" * 2000 + TUNE, "read"),
    "2,049 tracks": (header() + track() * 2049, "refused: more than 2048 tracks"),
    "65,535 empty tracks": (header(tracks=65535) + raw(b"") * 65535, "refused: more than 2048 tracks"),
    "tracks that lie about their length": (header() + raw(b"\0" + ON, 1) * 2048, "read"),
    "twice as many": (header() + raw(b"\0" + ON, 1) * 4096, "refused: more than 2048 tracks"),
    "four parts in each of 513 tracks": (
        header() + track(*[(0, event) for c in range(4) for event in (on(60, c), off(60, c))]) * 513,
        "refused: more than 2048 tracks",
    ),
    "2,048 parts in one track": (
        file(track(*[(0, said) for n in range(2048) for said in (program(n % 128, n // 128), on(60, n // 128))])),
        "read",
    ),
    "RIFF that holds nothing": (riff(b""), "refused: not a MIDI file"),
    "RIFF in RIFF": (riff(riff(file(TUNE))), "read"),
    "RIFF that lies about its length": (riff(file(TUNE), 0xFFFFFFFF), "read"),
    "RIFF of 100,000 chunks": (riff(file(TUNE), before=b"LIST\0\0\0\0" * 100_000), "refused: more than 2048 chunks"),
    "RIFF of 2,000 chunks": (riff(file(TUNE), before=b"LIST\0\0\0\0" * 2000), "read"),
    # work
    "100,000 chords that nobody ends": (one(b"\0" + ON + b"\1\x3c\x40" * 100_000 + END), "read"),
    "100,000 long chords": (one(b"\0\x90" + b"\x3c\x40\1" * 50_000 + b"\x3c\0\1" * 50_000 + ON + END), "read"),
    "more notes than there may be": (one(b"\0" + ON + b"\0\x3c\x40" * (1 << 18)), "refused: more than 262144 notes"),
    "more ends than there may be": (
        one(NOTES + b"\0\x3c\0" * (1 << 20)),
        "refused: more than 1048576 beginnings and ends",
    ),
    "a million controls": (one(NOTES + b"\0\xb0\x07\x40" + b"\0\x07\x40" * (1 << 20)), "read"),
    "more tempos than there may be": (one((b"\0" + tempo(500_000)) * 131_073), "refused: more than 131072 tempo"),
    "a chord of 88 notes and 40,000 words": (
        one(b"\0\x90" + b"".join(bytes([21 + k, 64, 0]) for k in range(87)) + b"\x6c\x40" + b"\1\x3c\x40" * 40_000, 4),
        "refused: takes .* MiB as words",
    ),
    # events
    "a time signature of nothing": (file(track((0, metre(0, 2)), *note(60))), "read"),
    "a time signature in notes of 2 ** -255": (file(track((0, metre(4, 255)), *note(60))), "read"),
    "events without a status": (one(b"\0\x3c\x40" * 100), "refused: damaged"),
    "half a pressure": (one(b"\0\xd0"), "refused: damaged"),
    "ends without a beginning": (one(b"\0" + OFF + b"\1\x3c\x40" * 50_000 + END), "read"),
}


USUAL = 0.0225


def allowed(data: bytes) -> float:
    """For how many seconds a file may keep us."""
    return 0.05 if len(data) < 2 << 20 else 0.2


def loop() -> float:
    """The CPU seconds that a plain loop takes, USUAL where this machine is as fast as the one of RESULTS.md."""
    start = time.process_time()
    sum(number * number for number in range(200_000))
    return time.process_time() - start


def costs() -> Iterator[tuple[str, str, float, int]]:
    """Of each bomb the name and, from a process of its own, the verdict, seconds and bytes of memory."""
    verdict(file(TUNE))
    for name, (data, _) in BOMBS.items():
        source, target = os.pipe()
        if not os.fork():
            before, (said, seconds) = peak(), timed(data)
            grown = peak() - before
            if seconds > allowed(data):  # the machine may have been busy, or be slow
                seconds = min(timed(data)[1] for _ in range(9)) / max(1, min(loop() for _ in range(9)) / USUAL)
            os.write(target, json.dumps([said, seconds, grown]).encode())
            os._exit(0)
        os.close(target)
        with open(source, "rb") as answer:
            said, seconds, grown = json.loads(answer.read())
        os.wait()
        yield name, said, seconds, grown


if __name__ == "__main__":
    print(json.dumps(list(costs())))
