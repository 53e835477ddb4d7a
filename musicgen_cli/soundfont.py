"""MIDI played by FluidSynth with a soundfont of the user's choice."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.piano import RATE
from musicgen_cli.sound import BLOCK

GAIN = 1.5  # four voices as loud as the built-in piano's
FRAME = 4  # bytes: two channels of 16 bits


def check(font: Path) -> None:
    """Raise MusicgenError where a soundfont could not be played: FluidSynth would take another, and say all is well."""
    if not shutil.which("fluidsynth"):
        raise MusicgenError(
            "--soundfont is played by FluidSynth, which is not on the PATH: apt install fluidsynth, or brew install"
            " fluid-synth; without --soundfont the built-in piano plays"
        )
    try:
        with font.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise MusicgenError(f"{font}: {error.strerror}") from None
    if (head[:4], head[8:]) != (b"RIFF", b"sfbk"):
        raise MusicgenError(f"{font}: not a soundfont: those end in .sf2 or .sf3")


def play(midi: bytes, font: Path) -> Iterator[NDArray[np.float32]]:
    """A MIDI file as blocks of stereo sound, float32 (n, 2) at RATE; raises MusicgenError where FluidSynth fails."""
    check(font)
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.raw")
        score.write_bytes(midi)
        form = ["-r", str(RATE), "-T", "raw", "-O", "s16", "-E", "little", "-g", str(GAIN)]
        line = ["fluidsynth", "-n", "-i", "-q", *form, "-F", str(sound), str(font.absolute()), str(score)]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        complaints = [line for line in done.stderr.decode(errors="replace").splitlines() if "error:" in line]
        if done.returncode or complaints or not sound.exists():  # it ends well, and in silence, without a soundfont
            raise MusicgenError(f"{font}: {next(iter(complaints), f'fluidsynth ended with {done.returncode}')}")
        with sound.open("rb") as file:
            while data := file.read(BLOCK * FRAME):
                whole = data[: len(data) // FRAME * FRAME]
                yield np.frombuffer(whole, "<i2").reshape(-1, 2).astype(np.float32) / np.float32(32767)
