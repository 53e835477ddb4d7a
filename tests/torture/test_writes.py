"""A disk that is full, or fails: what was there stays, the cause is said, nothing is left lying about."""

import errno
import itertools
import os
import re

import numpy as np
import pytest

from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import output
from tests.torture import times
from tests.torture.child import at_most, run
from tests.tunes import write_songs

OLD, NEW = b"what was there" * 1000, bytes(range(256)) * 2000


@pytest.fixture(params=[True, False], ids=["over a file", "anew"])
def target(request, tmp_path):
    path = tmp_path / "out"
    if request.param:
        path.write_bytes(OLD)
    return path


def write(path):
    with output(path) as file:
        for begin in range(0, len(NEW), 1000):
            file.write(NEW[begin : begin + 1000])


def state(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def failing(call, which):
    """A system call of which this one, counted from 1, fails."""
    real, numbers = getattr(os, call), itertools.count(1)

    def fail(*arguments, **named):
        if next(numbers) == which:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments, **named)

    return fail


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "fchmod"])
def test_each_call_that_fails_leaves_what_was_there(call, target, monkeypatch):
    before = state(target.parent)
    for which in range(1, 10):
        monkeypatch.setattr(os, call, failing(call, which))
        said = ""
        try:
            write(target)
        except MusicgenError as error:
            said = str(error)
        monkeypatch.undo()
        if not said:
            break
        assert re.match(rf"{target}: .*Input/output error", said)
        assert state(target.parent) == ({"out": NEW} if "is written" in said else before)
        (target.write_bytes(OLD) if before else target.unlink(missing_ok=True))
    assert which == {"open": 3, "fsync": 3, "replace": 2, "fchmod": 1 + len(before)}[call]
    assert state(target.parent) == {"out": NEW}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with songs, a corpus, a model and a sample."""
    folder = tmp_path_factory.mktemp("writes")
    write_songs(folder / "songs", 6)
    for line in LINES.values():
        assert run(f"musicgen {line}", folder)[0] == 0
    return folder


TINY = "--hidden 8 --dense 4 --layers 1 --epochs 1 --batch-size 64 --threads 1"
LINES = {
    "rolls.npy": "encode songs -o rolls.npy",
    "model.pt": f"train rolls.npy {TINY} -o model.pt",
    "made.npy": "sample model.pt --bars 2 --seed 1 -o made.npy",
    "made.mid": "decode made.npy -o made.mid",
    "roll.svg": "plot made.npy -o roll.svg",
    "made.mp3": "decode made.npy -o made.mp3",
    "made.html": "decode made.npy -o made.html",
}


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("rolls.npy", 30),
        ("made.mid", 4),
        ("roll.svg", 4),
        ("made.mp3", 3),
        ("made.html", 3),
        ("model.pt", 3),
        ("made.npy", 3),
    ],
)
def test_a_disk_full_anywhere_leaves_the_old_file(name, short, made):
    before = state_of(made)
    for size in np.linspace(0, len(before[name]) - 1, times(short, 101)).astype(int).tolist():
        code, lines = run(f"musicgen {LINES[name]}", made, at_most(size))
        assert code == 1
        assert re.match(rf"musicgen: error: {name}: (File too large|cannot .* is the disk full)", lines[-1])
        assert state_of(made) == before


def state_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
