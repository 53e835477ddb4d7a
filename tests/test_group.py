"""Several processes that train one model together, over Gloo, in forks of the test's own process, and by torchrun."""

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo
import torch.distributed
import torch.nn.parallel

from musicgen_cli import checkpoint, corpus, group, roll
from musicgen_cli.commands.watch import Stop
from musicgen_cli.corpus import Song
from musicgen_cli.dataset import cover, inside, rates, recalled
from musicgen_cli.losses import LOSSES
from musicgen_cli.models import MODELS
from musicgen_cli.training import Training
from tests.torture.child import Child
from tests.tunes import ENVIRONMENT, tune, write_songs

SMALL = {"hidden": 16, "dense": 12, "layers": 2}
TRAIN = "musicgen train rolls.npy --model poly --hidden 12 --dense 8 --layers 1 --hop 64 --batch-size 5 --threads 1"


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
            with group.joined(), os.fdopen(writer, "wb") as file:
                pickle.dump(work(), file)
            os._exit(0)
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
    size = 177 if loss == "chord" else 176
    torch.manual_seed(0)
    network = MODELS[model].network(176, size, **SMALL, dropout=0.1, dense_dropout=0.1, **more)
    hears = {"hearing": network.hearing, "recalled": recalled(music, range(songs + 1), network.hearing)}
    windows = inside(music, range(songs), source, 12 if source else 100, 16, **hears)
    heard = cover(music, [songs], source, 12, **hears)
    forcing = 1.0 if loss == "chord" else 0.5
    return Training(
        network, LOSSES["roll"][loss](), windows, heard, rates(music, range(songs)), device=torch.device("cpu"),
        epochs=3, batch_size=3, optimizer="rmsprop" if loss == "bce" else "adamw", learning_rate=5e-3, warmup=2,
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
        np.testing.assert_allclose(weights, other[name], atol=1e-5, err_msg=name)


CASES = {
    "poly, its own choices": (("poly", "focal", 8), {}),
    "poly, from the beginning, its encoder unused": (("poly", "bce", 0), {}),
    "next, one key a step": (("next", "cross-entropy", 8), {}),
    "next, chords of whole songs": (
        ("next", "chord", 0), {"chords": True, "memory": True, "tonality": True, "shifts": 2}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_learn_what_one_learns(case, processes):
    arguments, more = CASES[case]
    weights, told = learned(*arguments, **more)
    assert len(a_training(*arguments, **more).train) % 3
    for theirs, said in together(processes, lambda: learned(*arguments, **more)):
        assert_close(theirs, weights)
        np.testing.assert_allclose(said, told, rtol=1e-4)
