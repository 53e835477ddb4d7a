"""A collection as large as the Lakh MIDI dataset, of made-up songs: time, disk and memory of each stage, as Markdown.

    python -m benchmarks.lakh FOLDER [FILES]

Every 25th song is an earlier one moved up, with some notes changed. Memory is what all processes of a command hold for
themselves at most; pages of mapped files, which the system takes back as it likes, are not counted. Nor is, of the
seconds of CPU, what worker processes take.
"""

import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FILES, TICKS, COPIES = 176_581, 120, 25
HEADER = b"MThd\0\0\0\6\0\0\0\1" + TICKS.to_bytes(2, "big")
TRAIN = "train --hidden 64 --dense 64 --minutes 0.5"
STAGES = (
    ("encode", "encode midi --packed --report whole.jsonl -o whole.npy"),
    ("encode, two processes", "encode midi --packed --jobs 2 -o twice.npy"),
    ("encode, one of four parts", "encode midi --packed --shard 2/4 -o shards/2.npy"),
    ("cat of four parts", "cat shards -o joined.npy"),
    ("dedupe", "dedupe whole.npy -o unique.npy"),
    ("train half a minute", f"{TRAIN} whole.npy -o whole.pt"),
    ("train half a minute on four parts", f"{TRAIN} shards -o shards.pt"),
)


def song(number: int) -> bytes:
    """A MIDI file of 100 to 300 notes in up to four voices."""
    copied = number % COPIES == COPIES - 1
    dice = np.random.default_rng(number - (COPIES - 1 if copied else 0))
    voices, notes = dice.integers(1, 5), dice.integers(100, 301)
    start = np.sort(dice.integers(0, notes * 4 // voices, notes)) * TICKS // 4
    end = start + dice.integers(1, 9, notes) * TICKS // 4
    pitch = 60 + np.cumsum(dice.integers(-2, 3, notes)) % 24 - 12 * dice.integers(0, voices, notes)
    if copied:
        pitch = pitch + 1 + number % 5
        pitch[:: notes // 3] += 1
    times, keys = np.concatenate([end, start]), np.concatenate([pitch, pitch])
    loud = np.repeat([0, 64], notes)
    order = np.argsort(times, kind="stable")
    waits = np.diff(times[order], prepend=0)
    events = np.stack([128 + (waits >> 7), waits & 127, np.full(2 * notes, 0x90), keys[order], loud[order]], 1)
    track = events.astype(np.uint8).tobytes() + b"\0\xff\x2f\0"
    return HEADER + b"MTrk" + len(track).to_bytes(4, "big") + track


def write_songs(folder: Path, files: int) -> None:
    for number in range(files):
        path = folder / f"{number // 1000:03}" / f"{number:06}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(song(number))


def private(process: int) -> int:
    """KiB that a process and those it began hold for themselves."""
    try:
        facts = Path(f"/proc/{process}/status").read_text().split("RssAnon:")
        begun = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return int(facts[1].split()[0]) + sum(map(private, map(int, begun)))
    except (OSError, IndexError):  # it has ended
        return 0


def cpu() -> float:
    """Seconds that processors were at work for the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, line: str) -> tuple[float, float, float, str]:
    """Seconds by the clock and of the processor, MiB of memory, and the last line that a command said."""
    begin, worked, most = time.perf_counter(), cpu(), 0
    with (folder / "said").open("w+") as said:
        command = [sys.executable, "-m", "musicgen_cli", *shlex.split(line)]
        with subprocess.Popen(command, cwd=folder, stderr=said) as process:
            while process.poll() is None:
                most = max(most, private(process.pid))
                time.sleep(0.02)
        said.seek(0)
        last = (said.read().splitlines() or [""])[-1]
    if process.returncode:
        sys.exit(f"{line}: {last}")
    return time.perf_counter() - begin, cpu() - worked, most / 1024, last


def main(folder: Path, files: int) -> None:
    if not (folder / "midi").exists():
        write_songs(folder / "midi", files)
    (folder / "shards").mkdir(exist_ok=True)
    for part in (1, 3, 4):
        measure(folder, f"encode midi --packed --shard {part}/4 -o shards/{part}.npy")
    print("| stage | seconds | of CPU | memory, MiB | on disk, MiB | it says |\n|---|---|---|---|---|---|")
    for name, line in STAGES:
        seconds, worked, memory, last = measure(folder, line)
        written = (folder / line.split()[-1]).stat().st_size / 2**20
        print(f"| {name} | {seconds:.0f} | {worked:.0f} | {memory:.0f} | {written:.0f} | {last} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else FILES)
