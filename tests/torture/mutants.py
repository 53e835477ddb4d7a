"""Damaged MIDI files, the same from the same seed; `python -m tests.torture.mutants COUNT` reads so many of them."""

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from musicgen_cli import midi, representations, smf
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import quantise
from tests.torture import times
from tests.tunes import tune

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
LENGTHS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x07")


def sources() -> list[bytes]:
    """Good files to damage: real ones where they are at hand, in short the smaller ones, and ours."""
    real = [path.read_bytes() for path in sorted(CORPORA.rglob("*.mid"))]
    return [data for data in real if len(data) < times(1 << 12, 1 << 15)] + [
        midi.write(tune(number)) for number in range(20)
    ]


def flip(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def replace(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] = dice.choice([0, 0x7F, 0x80, 0xFF, dice.randrange(256)])


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(1, len(data)) :]


def remove(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data) - 1)
    del data[at : at + dice.randint(1, 16)]


def insert(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = dice.randbytes(dice.randint(1, 16))


def duplicate(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.randint(1, 1024)]


def misdeclare(data: bytearray, dice: random.Random) -> None:
    """A chunk lies about its size."""
    at = data.find(dice.choice([b"MThd", b"MTrk"]), dice.randrange(len(data)))
    if at >= 0:
        data[at + 4 : at + 8] = dice.choice([*LENGTHS, dice.randbytes(4)])


def stretch(data: bytearray, dice: random.Random) -> None:
    """A time, or the length of an event, becomes as long as it can be."""
    at = dice.randrange(len(data))
    data[at : at + 1] = b"\xff\xff\xff\x7f"


MUTATIONS = (flip, replace, cut, remove, insert, duplicate, misdeclare, stretch)


def mutants(count: int, seed: int = 0) -> Iterator[bytes]:
    dice, good = random.Random(seed), sources()
    for _ in range(count):
        data = bytearray(dice.choice(good))
        for mutate in dice.choices(MUTATIONS, k=dice.randint(1, 4)):
            if len(data) > 2:
                mutate(data, dice)
        yield bytes(data)


def verdict(data: bytes) -> str:
    """What becomes of a file that is encoded: "read", or "damaged: " or "refused: " and why."""
    try:
        file = smf.parse(data)
        score, _ = midi.merge(file)
        score = quantise(score, 4)
        for form in ("words", "rolls"):
            representations.FORMS[form].encode(score)
    except MusicgenError as error:
        return f"refused: {error}"
    return f"damaged: {file.damage}" if file.damage else "read"


def timed(data: bytes) -> tuple[str, float]:
    """A verdict and the CPU seconds that it takes."""
    start = time.process_time()
    return verdict(data), time.process_time() - start


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    said = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage counts its parent's, too
    return int(said[1]) << 10 if said else 0


def main(count: int, seed: int = 0) -> None:
    verdicts: Counter[str] = Counter()
    slow = list[float]()
    verdict(midi.write(tune(0)))
    before = 0
    for number, data in enumerate(mutants(count, seed)):
        before = before or peak()
        allowed, verdict_and_seconds = 0.1 + len(data) / 1e6, timed(data)
        if verdict_and_seconds[1] > allowed:  # the machine may have been busy
            verdict_and_seconds = min((timed(data) for _ in range(3)), key=lambda both: both[1])
        said, seconds = verdict_and_seconds
        verdicts[said.partition(":")[0]] += 1
        slow += [number] if seconds > allowed else []
    print(json.dumps({"verdicts": verdicts, "slow": slow, "growth": peak() - before}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
