"""Tunes for the tests: rounds of three or four voices, no two alike; and the command to try on them."""

import atexit
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicgen_cli import midi
from musicgen_cli.score import Score, quantise
from tests import forks

MODES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
MOTIFS = (  # degrees of a scale, and for how many sixteenths each is held
    ((0, 4), (2, 4), (4, 2), (3, 2), (1, 4)),
    ((4, 6), (3, 2), (2, 4), (0, 4)),
    ((0, 2), (1, 2), (2, 2), (4, 2), (7, 8)),
    ((7, 4), (5, 4), (6, 2), (4, 2), (2, 4)),
    ((2, 8), (2, 2), (3, 2), (1, 4)),
    ((5, 3), (4, 1), (3, 3), (2, 1), (0, 8)),
)
BARS, BAR = 6, 16  # of a tune; sixteenths of a bar

PREFIX = "musicgen: error: "
FOLDER = Path(sys.executable).parent  # where the command is installed, beside this Python
UNLIKE_HOME = ("PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "MUSICGEN_DEBUG")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in UNLIKE_HOME} | {
    "PATH": f"{FOLDER}{os.pathsep}{os.environ['PATH']}",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
}
FORKS = "MUSICGEN_FORKS"  # names the folder of a server of forks.py


def skip_without_bf16() -> None:
    """Skip a test where the CPU computes no LSTM in bf16."""
    import torch

    from musicgen_cli.device import check_precision
    from musicgen_cli.errors import MusicgenError

    try:
        check_precision(torch.device("cpu"), "bf16")
    except MusicgenError as error:
        pytest.skip(str(error))


def tune(number: int, voices: int = 0, bars: int = BARS) -> Score:
    """Tune `number` of as many as you like: a round in which each voice comes in a bar after the one above it."""
    dice = np.random.default_rng(number)
    mode, key = MODES[number % len(MODES)], 60 + number % 12
    melody = [MOTIFS[i] for i in dice.integers(len(MOTIFS), size=bars)]
    notes = []
    for voice in range(voices or 3 + number % 2):
        for bar, motif in enumerate(melody[: bars - voice], voice):
            start = bar * BAR
            for degree, length in motif:
                octave, step = divmod(degree + 2 * int(voice == 1), len(mode))
                notes.append((start, start + length, key + mode[step] + 12 * octave - 9 * voice))
                start += length
    return Score(np.array(notes), 4, bars * BAR, 80.0 + 4 * (number % 10), (4, 4))


def write_song(path: Path, number: int, voices: int = 0, bars: int = BARS) -> Path:
    played = quantise(tune(number, voices, bars), 4)  # as by one piano, without unisons
    path.write_bytes(midi.write(played, name=f"Tune {number}"))
    return path


def write_songs(folder: Path, count: int, bars: int = BARS) -> list[Path]:
    """Write the first `count` tunes as MIDI files into a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_song(folder / f"tune-{number:02}.mid", number, bars=bars) for number in range(1, count + 1)]


def serve_forks() -> None:
    """Start a server of forks.py, for this process and for those that it will start."""
    line = [sys.executable, forks.__file__]
    server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
    atexit.register(server.communicate)  # which ends it
    assert server.stdout
    os.environ[FORKS] = server.stdout.readline().strip()


def forked() -> dict[str, str]:
    """The environment in which `musicgen` is that of forks.py."""
    return ENVIRONMENT | {"PATH": f"{os.environ[FORKS]}{os.pathsep}{ENVIRONMENT['PATH']}"}


def musicgen(
    *arguments: Any, cwd: Path, given: bytes = b"", real: bool = False, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command as its users do, `given` on stdin.

    real: as a new process of Python, for what a fork cannot show; so it is in an environment of its own
    """
    line = ["musicgen", *map(_argument, arguments)]
    return _finished(line, cwd, real, environment, input=given)


def shell(script: str, cwd: Path, real: bool = False, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script in bash; it fails where any command of a pipe does. real: as above."""
    line = ["bash", "-o", "pipefail", "-c", script]
    return _finished(line, cwd, real, environment, stdin=subprocess.DEVNULL)


def _finished(
    line: list[Any], cwd: Path, real: bool, environment: dict[str, str], **stdin: Any
) -> subprocess.CompletedProcess[bytes]:
    settings = ENVIRONMENT | environment if real or environment else forked()
    return subprocess.run(line, cwd=cwd, capture_output=True, env=settings, timeout=120, check=False, **stdin)


def complaint(result: subprocess.CompletedProcess[bytes], code: int = 1) -> str:
    """What is wrong, as the one line on stderr says it of a command that failed as it should, with no data out."""
    lines = result.stderr.decode("utf-8", "surrogateescape").splitlines()
    assert (result.returncode, result.stdout, len(lines)) == (code, b"", 1), result
    assert lines[0].startswith(PREFIX), lines
    return lines[0].removeprefix(PREFIX)


def talk(result: subprocess.CompletedProcess[bytes]) -> list[str]:
    """The lines on stderr of a command that did what it was asked."""
    assert result.returncode == 0, result
    return result.stderr.decode().splitlines()


def _argument(value: Any) -> str | bytes | Path:
    return value if isinstance(value, bytes | Path) else str(value)
