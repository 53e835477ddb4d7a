"""Whole commands: a pipe from a model to a MIDI file beside a script with other packages, and `--help`."""

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import Row, cpu, versus
from musicgen_cli import midi
from musicgen_cli.cli import COMMANDS

PIPE = "musicgen sample --length 256 | musicgen decode -o out.mid"
THEIRS = """
import torch, music21
from benchmarks.reference import StepByStep
model = StepByStep(176, 512, 2, 256).eval()
model.load_state_dict(torch.load("theirs.pt"))
roll = model.predict((torch.rand(1, 32, 176) < 0.03).float(), 256)[0]
stream = music21.stream.Stream()
for place in roll[:, ::2].flatten().topk(NOTES).indices.tolist():
    step, key = divmod(place, 88)
    stream.insert(step / 4, music21.note.Note(key + 21, quarterLength=0.25))
stream.write("midi", fp="theirs.mid")
"""
MOST = 0.2  # CPU seconds that help may take


def shell(line: str, folder: Path, **environment: str) -> None:
    paths = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])}
    settings = paths | {"OMP_NUM_THREADS": "1", "HOME": str(folder)} | environment
    subprocess.run(line, shell=True, cwd=folder, env=settings, check=True, capture_output=True)


def rows(folder: Path, place: Path) -> Iterator[Row]:
    """In an empty folder `place`: whole processes, from their start to their end."""
    from benchmarks.reference import StepByStep

    shell(f"musicgen encode {shlex.quote(str(folder.resolve()))} -o rolls.npy", place)
    shell("musicgen train rolls.npy --model poly --minutes 1e-9", place)
    if importlib.util.find_spec("music21"):
        torch.save(StepByStep(176, 512, 2, 256).state_dict(), place / "theirs.pt")
        shell(PIPE, place)
        score, _ = midi.read((place / "out.mid").read_bytes())
        (place / "theirs.py").write_text(f"NOTES = {len(score.notes)}  # as many as ours wrote\n{THEIRS}")
        ours, theirs = (partial(shell, line, place) for line in (PIPE, f"{sys.executable} theirs.py"))
        yield versus(
            f"`{PIPE}`".replace("|", "\\|"), "the same with torch and music21", 3, ours, theirs, note="whole processes"
        )
    for name in COMMANDS:
        times = [cpu(partial(shell, f"musicgen {name} --help", place)) for _ in range(5)]
        ratios = [MOST / seconds for seconds in times]
        yield Row(f"`musicgen {name} --help`", f"{MOST:g} s of CPU", 1, ratios, "whole process")
