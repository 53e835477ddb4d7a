"""Where each command spends its time: the share of the CPU time of its stages, as cProfile counts it."""

import cProfile
import os
import pstats
import time
from collections.abc import Iterator
from pathlib import Path

from musicgen_cli.cli import run

COMMANDS = {  # of each: what is profiled, after the same once unmeasured; and its stages, functions as file:name
    "encode": (
        "{songs} -q -o rolls.npy",
        ("streams.py:read_bytes", "smf.py:parse_all", "midi.py:draft", "score.py:quantise_all", "roll.py:encode",
         "corpus.py:add"),
    ),
    "train": (
        "rolls.npy --model poly --epochs 1 --transpose 0 -q -o model.pt",
        ("dataset.py:batch", "base.py:unroll", "next_step.py:decode", "_tensor.py:backward", "adam.py:adam",
         "training.py:evaluate", "training.py:fit_threshold", "checkpoint.py:save"),
    ),
    "sample": (
        "--length 512 --seed 1 -q -o made.npy",
        ("checkpoint.py:load", "player.py:encode", "player.py:advance", "player.py:draw", "corpus.py:add"),
    ),
    "decode": (
        "made.npy -q -o made.wav",
        ("corpus.py:load", "roll.py:decode", "sound.py:write", "piano.py:tone"),
    ),
}  # fmt: skip


def table(songs: Path, place: Path) -> Iterator[str]:
    """Lines of Markdown: of each command its seconds, and the share of each stage; a stage may hold another."""
    before = Path.cwd()
    os.chdir(place)
    try:
        yield "| command | CPU seconds, profiled | share of its stages |\n|---|---|---|"
        for name, (line, stages) in COMMANDS.items():
            words = [name, *(word.format(songs=songs) for word in line.split())]
            if run(words):
                raise SystemExit(f"{words} failed: there is nothing to profile")
            profile = cProfile.Profile(time.process_time)
            profile.runcall(run, words)
            spent = pstats.Stats(profile)
            whole = spent.total_tt  # type: ignore[attr-defined]
            times = dict.fromkeys(stages, 0.0)
            for (path, _, function), (*_, cumulative, _) in spent.stats.items():  # type: ignore[attr-defined]
                stage = f"{Path(path).name}:{function}"
                if stage in times:
                    times[stage] += cumulative
            if unknown := [stage for stage, t in times.items() if not t]:
                raise SystemExit(f"{name} spent no time in {', '.join(unknown)}: is that its name?")
            shares = ", ".join(f"{stage.partition(':')[2]} {t / whole:.0%}" for stage, t in times.items())
            yield f"| `{name} {line.format(songs=songs.name)}` | {whole:.2f} | {shares} |"
    finally:
        os.chdir(before)
