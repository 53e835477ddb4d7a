"""Trainings that are killed at any moment, interrupted, or started twice: only what was not yet saved is lost."""

import itertools
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from musicgen_cli import archive, checkpoint
from tests.torture import LONG, times
from tests.torture.child import Child, run
from tests.tunes import write_songs

MODELS = {
    "poly": "--hidden 12 --dense 8 --layers 1 --batch-size 8 --teacher-forcing 0.5 --epochs 8",
    "next": "--loss chord --memory --hidden 16 --dense 8 --batch-size 2 --target 48 --transpose 2 --epochs 3",
}
COMMON = "--threads 1 -q --save-every 1"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A folder with a corpus, and of each model one that was never interrupted."""
    folder = tmp_path_factory.mktemp("killed")
    write_songs(folder / "songs", 12)
    assert run("musicgen encode songs -o rolls.npy", folder)[0] == 0
    for name in MODELS:
        assert run(f"{train(name, f'{name}.pt')} --save-every 1000", folder)[0] == 0
    return folder


def train(name, output):
    return f"musicgen train rolls.npy --model {name} {MODELS[name]} {COMMON} -o {output}"


def loaded(path):
    with path.open("rb") as file:
        return checkpoint.load(file)


def same(one, other):
    """Whether all that was learned is the same, bit for bit."""

    def learned(point):
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in point.history]
        return archive.digest([point.state_dict, point.threshold, point.rates, point.settings, rows, point.split])

    return learned(one) == learned(other)


def go_on(name, folder, output, numbers):
    """Train, and send these signals at random moments once there is a checkpoint; then train to the end.

    Returns what each signal gave, and the steps from which the training went on.
    """
    path, ends, steps, dice = folder / output, [], [], np.random.default_rng(1)
    while True:
        line = train(name, output)
        if path.exists():
            steps.append(loaded(path).resume["step"])  # whole, whenever it was that the last one ended
            line = f"musicgen train rolls.npy --resume {COMMON} -o {output}"
        child = Child(line, folder)
        if len(ends) == len(numbers):
            code = child.wait()
            assert code == 0, child.lines()
            return ends, steps
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not (path.exists() and path.stat().st_mtime_ns != before):  # until it has saved anew
            time.sleep(0.002)
        ends.append((*child.end_after(float(dice.uniform(0, 0.05)), numbers[len(ends)]), child.lines()))
        if loaded(path).resume is None:  # it was done before
            path.unlink()


@pytest.mark.parametrize("name", MODELS)
def test_killed_trainings_end_as_if_they_had_not_been(name, studio):
    out = f"killed-{name}.pt"
    ends, steps = go_on(name, studio, out, [signal.SIGKILL] * times(10, 100))
    assert {code for code, _, _ in ends} <= {-signal.SIGKILL, 0}
    assert len(set(steps)) > 3
    assert min(steps) > 0
    assert same(loaded(studio / out), loaded(studio / f"{name}.pt"))
    assert not [path.name for path in studio.iterdir() if path.name.startswith(".musicgen-")]


@pytest.mark.parametrize("name", MODELS)
def test_interrupted_trainings_save_at_once_and_end_as_if_they_had_not_been(name, studio):
    out = f"interrupted-{name}.pt"
    ends, steps = go_on(name, studio, out, [signal.SIGTERM, signal.SIGINT] * times(2, 20))
    for (code, took, lines), told in zip(ends, itertools.cycle((143, 130))):
        assert code in (told, 0), lines
        assert took < (2 if LONG else 10)  # other tests run beside it
        assert "Traceback" not in " ".join(lines)
    assert steps
    assert same(loaded(studio / out), loaded(studio / f"{name}.pt"))


def test_a_second_training_of_one_checkpoint_is_refused_by_the_first_ones_number(studio):
    first = Child(train("poly", "once.pt").replace("--epochs 8", "--epochs 2000"), studio)
    lock = studio / ".musicgen-once.pt.lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.01)
    try:
        code, lines = run(train("poly", "once.pt"), studio)
    finally:
        assert first.end_after(0, signal.SIGTERM)[0] == 143
    assert code == 1
    assert lines == [f"musicgen: error: once.pt: process {first.pid} is at work on it; wait for it, or name another -o"]
    assert not lock.exists()


@pytest.mark.skipif(not LONG, reason="takes minutes: make torture")
@pytest.mark.parametrize("name", MODELS)
def test_resumed_after_any_step_a_training_is_the_same(name, studio):
    """Every step of the training in turn is the last one before it goes on, in a process of its own."""
    out = studio / f"steps-{name}.pt"
    expected, step = loaded(studio / f"{name}.pt"), 0
    begin, ahead = train(name, out.name), "--resume --threads 1 -q --minutes 1e-9"
    assert run(f"{begin} --minutes 1e-9", studio)[0] == 0
    while (state := loaded(out).resume) is not None:
        assert state["step"] == step + 1
        step += 1
        whole = out.read_bytes()
        assert run(f"musicgen train rolls.npy --resume --threads 1 -q -o {out.name}", studio)[0] == 0
        assert same(loaded(out), expected)
        out.write_bytes(whole)
        assert run(f"musicgen train rolls.npy {ahead} -o {out.name}", studio)[0] == 0
    assert same(loaded(out), expected)
    assert step > 10


def test_where_memory_ends_a_smaller_batch_is_named(studio):
    def little():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (150 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    line = "musicgen train rolls.npy --model poly --hidden 256 --batch-size 600 --hop 1 --threads 1 -q -o large.pt"
    code, lines = run(line, studio, little)
    assert code == 1
    assert lines[-1] == "musicgen: error: out of memory with --batch-size 600; try --batch-size 300"
    assert not (studio / "large.pt").exists()
