"""Several processes that train one model together, over Gloo, in forks of the test's own process, and by torchrun."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback

import numpy as np
import pytest
import torch
import torch.distributed
import torch.nn.parallel

from musicgen_cli import checkpoint, corpus, device, group, roll
from musicgen_cli.corpus import Song
from musicgen_cli.dataset import cover, inside, rates, recalled
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import LOSSES
from musicgen_cli.models import MODELS
from musicgen_cli.training import OPTIMIZERS, Training
from tests.torture.child import Child, run
from tests.tunes import forked, tune, write_songs

pytestmark = pytest.mark.slow
SMALL = {"hidden": 16, "dense": 12, "layers": 2}
SIZES = "--hidden 12 --dense 8 --layers 1 --hop 64 --batch-size 5 --epochs 5"
TRAIN = f"musicgen train rolls.npy --model poly --loss cross-entropy {SIZES} --threads 1"


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def places(processes):
    """The environment of each process of a new group."""
    port = str(free_port())
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{"RANK": str(rank), "LOCAL_RANK": str(rank), **common} for rank in range(processes)]


def together(processes, work):
    """What work() comes to in each process of a group."""
    pipes, children = [], []
    for place in places(processes):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.environ.update(place)
            torch.set_num_threads(1)
            try:
                with group.joined(), os.fdopen(writer, "wb") as file:
                    pickle.dump(work(), file)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(writer)
        pipes.append(reader)
        children.append(pid)
    results = []
    for reader in pipes:
        with os.fdopen(reader, "rb") as file:
            results.append(file.read())
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * processes
    return [pickle.loads(result) for result in results]


def commands(folder, *lines):
    """A process of one group for each command line."""
    return [
        Child(line, folder, lambda place=place: os.environ.update(place))
        for line, place in zip(lines, places(len(lines)))
    ]


def ends(children):
    """The exit code and the lines on stderr of each."""
    said = [child.lines() for child in children]
    return [child.wait() for child in children], said


def a_training(model, loss, source, songs=4, **more):
    """Of songs of several lengths, whose windows do not fill their last batch."""
    music = corpus.gather([(Song(f"song {i}"), roll.encode(tune(i, bars=2 + i % 3))) for i in range(songs + 1)])
    size = 177 if loss in ("chord", "cross-entropy") else 176
    torch.manual_seed(0)
    network = MODELS[model].network(176, size, **SMALL, dropout=0.1, dense_dropout=0.1, **more)
    hears = {"hearing": network.hearing, "recalled": recalled(music, range(songs + 1), network.hearing)}
    windows = inside(music, range(songs), source, 12 if source else 100, 16, **hears)
    heard = cover(music, [songs], source, 12, **hears)
    forcing = 1.0 if loss == "chord" else 0.5
    return Training(
        network, LOSSES["roll"][loss](), windows, heard, rates(music, range(songs)), device=torch.device("cpu"),
        epochs=3, batch_size=3, optimizer="plain", learning_rate=0.1, warmup=2,
        weight_decay=0.01, clip=1.0, teacher_forcing=forcing, forcing_decay="linear" if forcing < 1 else "constant",
        transpose=2, patience=0, seed=5, precision="fp32",
    )  # fmt: skip


def learned(*arguments, **more):
    """Weights, and all that is told of the epochs but their seconds."""
    run = a_training(*arguments, **more)
    told = []
    for epoch in run.run(lambda: False):
        if epoch:
            sides = [(side.loss, side.steps, *vars(side.counts).values()) for side in (epoch.train, epoch.valid)]
            told.append([*sides[0], *sides[1], epoch.learning_rate, epoch.best])
    return {name: value.numpy() for name, value in run.model.state_dict().items()}, np.array(told, float)


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name, weights in one.items():
        np.testing.assert_allclose(weights, other[name], atol=2e-6, err_msg=name)


CASES = {
    "poly, its own choices": (("poly", "focal", 8), {}),
    "poly, from the beginning, its encoder unused": (("poly", "bce", 0), {}),
    "next, one key a step": (("next", "cross-entropy", 8), {}),
    "next, chords of whole songs": (
        ("next", "chord", 0), {"chords": True, "memory": True, "tonality": True, "shifts": 2}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_several_processes_learn_what_one_learns(case, monkeypatch):
    # One that does not scale gradients up which are nothing but rounding, as the others do.
    monkeypatch.setitem(OPTIMIZERS, "plain", lambda weights, lr, weight_decay: torch.optim.SGD(weights, lr, 0.9))
    arguments, more = CASES[case]
    weights, told = learned(*arguments, **more)
    assert len(a_training(*arguments, **more).train) % 3
    begun = a_training(*arguments, **more).model.state_dict()
    assert max(abs(weights[name] - value.numpy()).max() for name, value in begun.items()) > 0.05
    for theirs, said in together(3, lambda: learned(*arguments, **more)):
        assert_close(theirs, weights)
        np.testing.assert_allclose(said, told, rtol=1e-4)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A folder with a corpus, and a model that one process has learned."""
    folder = tmp_path_factory.mktemp("group")
    write_songs(folder / "songs", 12)
    assert run("musicgen encode songs -o rolls.npy", folder)[0] == 0
    assert run(f"{TRAIN} -o alone.pt", folder)[0] == 0
    return folder


def loaded(path):
    with path.open("rb") as file:
        return checkpoint.load(file)


def assert_learned_alike(one, other):
    """That two trainings came to the same but for rounding, which adamw scales up where a gradient is next to none."""
    assert one.resume is other.resume is None
    for name in ("valid_loss", "valid_f1", "learning_rate", "epoch"):
        values = [[row[name] for row in point.history] for point in (one, other)]
        np.testing.assert_allclose(*values, rtol=1e-3, err_msg=name)
    assert one.threshold == pytest.approx(other.threshold, abs=1e-3)
    for name, weights in one.state_dict.items():
        assert np.abs(weights - other.state_dict[name]).mean() < 1e-4
    assert one.split == other.split


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_training_goes_on_with_another_number_of_processes(first, then, studio):
    out = f"{first}-{then}.pt"
    line = f"{TRAIN} -o {out}"
    for processes, more in ((first, "--minutes 1e-9"), (then, "--resume")):
        codes, said = ends(commands(studio, *[f"{line} {more}"] * processes))
        assert codes == [0] * processes, said
        assert [bool(lines) for lines in said] == [True] + [False] * (processes - 1)
        assert len([text for text in said[0] if text.startswith("epoch")]) == 1
        assert f"saved {out}" in said[0][-1]
    assert_learned_alike(loaded(studio / out), loaded(studio / "alone.pt"))


def test_a_signal_to_one_process_ends_all_of_them_and_saves_once(studio):
    children = commands(studio, *[f"{TRAIN} -o stopped.pt --epochs 10000 --save-every 1"] * 2)
    wait_for(studio / "stopped.pt")
    for _ in range(3):  # torchrun passes on what Ctrl-C has told everybody already
        os.kill(children[1].pid, signal.SIGTERM)
    codes, said = ends(children)
    assert codes == [143, 143]
    assert said[0][-1].endswith("saved stopped.pt, --resume goes on")
    assert said[1] == []
    assert loaded(studio / "stopped.pt").resume["step"] > 0


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


class Agent:
    """torchrun's own store, in which the first process has said where it waits."""

    def __init__(self, port):
        self.port = port

    def get(self, name):
        return str(self.port).encode()


def test_who_does_not_reach_the_first_process_says_where_it_should_be(monkeypatch):  # it tried for ever
    port = free_port()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr(group, "MEETING", 0.3)
    with pytest.raises(MusicgenError, match=f"^127.0.0.1:{port} was not reached .* reach the ports of the first one$"):
        group._of_this_attempt(Agent(port), 1)


@pytest.mark.parametrize(
    ("local_rank", "shown", "there", "taken"), [("1", None, 2, 1), ("1", "1", 1, None), ("0", None, 1, 0)]
)
def test_a_process_takes_the_gpu_of_its_own_number(local_rank, shown, there, taken, monkeypatch):
    fake_cuda(monkeypatch, local_rank, shown, there)
    numbers = []
    monkeypatch.setattr("torch.cuda.set_device", numbers.append)
    assert device.device("auto").type == "cuda"
    assert numbers == ([] if taken is None else [taken])


def test_a_process_without_a_gpu_is_told_how_many_there_are(monkeypatch):
    fake_cuda(monkeypatch, "2", None, 2)
    with pytest.raises(MusicgenError, match="no GPU for process 3 of this machine; use --nproc-per-node 2"):
        device.device("cuda")


def fake_cuda(monkeypatch, local_rank, shown, there):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    monkeypatch.setattr(group, "there", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)


def test_a_finished_training_that_is_started_anew_is_left_as_it_is(studio):
    """What torchrun does where a process fails after the last epoch."""
    before = (studio / "alone.pt").read_bytes()
    place = {"TORCHELASTIC_RESTART_COUNT": "1", **places(1)[0]}
    child = Child(f"{TRAIN} -o alone.pt", studio, lambda: os.environ.update(place))
    said = child.lines()
    assert (child.wait(), said) == (0, ["alone.pt: this training is finished"])
    assert (studio / "alone.pt").read_bytes() == before


MISTAKES = {
    "all lack the file": ([TRAIN.replace("rolls", "none")] * 2, "none.npy: no such file"),
    "all lack the option": ([f"{TRAIN} --hiden 3"] * 2, "No such option: --hiden"),
    "one lacks the file": ([TRAIN, TRAIN.replace("rolls", "none")], "none.npy: no such file"),
    "one is told otherwise": ([TRAIN, f"{TRAIN} --seed 3"], "other options"),
    "all would read one pipe": ([TRAIN.replace("rolls.npy", "-")] * 2, "one pipe"),
    "there are more processes than windows": ([f"{TRAIN} --batch-size 1"] * 2, "is of all 2 processes together"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_failure_of_one_ends_all_with_one_line(mistake, studio):
    lines, told = MISTAKES[mistake]
    codes, said = ends(commands(studio, *[f"{line} -o failed.pt" for line in lines]))
    assert min(codes) > 0
    (line,) = [text for texts in said for text in texts if not text.startswith(("12 songs", "* the best", "epoch"))]
    assert line.startswith("musicgen: error: ")
    assert told in line
    assert not (studio / "failed.pt").exists()


@pytest.mark.parametrize("line", ["musicgen --version", "musicgen train --help", "musicgen show rolls.npy"])
def test_what_does_not_train_joins_no_group(line, studio):
    place = {"RANK": "0", "WORLD_SIZE": "2"}  # and nowhere to meet, nor anybody to
    child = Child(line, studio, lambda: os.environ.update(place))
    said = child.lines()
    assert child.wait() == 0, said


def test_one_that_is_killed_ends_all_with_one_line(studio):
    children = commands(studio, *[f"{TRAIN} -q -o killed.pt --epochs 10000 --save-every 1"] * 3)
    wait_for(studio / "killed.pt")
    os.kill(children[1].pid, signal.SIGKILL)
    codes, said = ends(children)
    assert codes == [1, -signal.SIGKILL, 1]
    (line,) = (line for lines in said for line in lines)
    assert line.startswith(f"musicgen: error: {group.GONE} (")
    loaded(studio / "killed.pt")


def test_torchrun_starts_anew_what_was_killed_and_that_goes_on(studio):
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    line += ["--no-python", *TRAIN.split(), "--save-every=1", "-o", "restarted.pt"]
    with subprocess.Popen(line, cwd=studio, env=forked(), stderr=subprocess.PIPE, text=True) as torchrun:
        wait_for(studio / "restarted.pt")
        _, first = (studio / ".musicgen-restarted.pt.lock").read_text().split()
        os.kill(int(first), signal.SIGKILL)
        said = torchrun.communicate(timeout=120)[1]
    assert torchrun.returncode == 0, said
    assert said.count("this training, begun: goes on\n") == 1
    assert "Traceback" not in said
    assert_learned_alike(loaded(studio / "restarted.pt"), loaded(studio / "alone.pt"))
