"""The `musicgen` that forks, which nearly all tests of the command run, does what the true one does."""

import os
import signal
import subprocess
import sys

import pytest

from musicgen_cli.streams import TEMPORARY
from tests.tunes import ENVIRONMENT, forked, musicgen, shell, write_songs


@pytest.mark.parametrize(
    "line",
    [
        "musicgen",
        "musicgen encode songs | musicgen show - --ascii --steps 8",
        "musicgen encode songs -o no/such.npy",
        "musicgen show songs --nonsense 'two words'",
        "musicgen decode < songs/tune-01.mid",
        "musicgen encode songs > /dev/full",
        "musicgen encode songs | exec 0<&-; echo ${PIPESTATUS[0]}",
        "cd songs; MUSICGEN_DEBUG=1 musicgen show . | cat",
    ],
)
def test_a_fork_says_and_does_what_the_command_does(tmp_path, line):
    write_songs(tmp_path / "songs", 2)
    true, stand_in = (shell(line, tmp_path, real=real) for real in (True, False))
    assert true.returncode == stand_in.returncode
    assert true.stdout == stand_in.stdout
    assert true.stderr.splitlines()[-1:] == stand_in.stderr.splitlines()[-1:]  # a traceback says where it began


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fork_is_told_of_signals(tmp_path, number, code):
    os.mkfifo(tmp_path / "never.mid")  # nobody writes to it: the command waits
    line = ["musicgen", "encode", "never.mid", "-o", "x.npy"]
    with subprocess.Popen(line, cwd=tmp_path, env=forked(), stderr=subprocess.PIPE) as process:
        while not (tmp_path / f"{TEMPORARY}x.npy").exists():
            assert process.poll() is None
        process.send_signal(number)
        assert (process.stderr.read(), process.wait(60)) == (b"", code)
    assert {path.name for path in tmp_path.iterdir()} == {"never.mid"}


def test_the_package_is_a_command_too(tmp_path):
    line = [sys.executable, "-m", "musicgen_cli", "--version"]
    done = subprocess.run(line, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
    assert done.stdout == musicgen("--version", cwd=tmp_path, real=True).stdout
