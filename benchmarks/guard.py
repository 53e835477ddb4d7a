"""Fails where what was fast has become half as slow again: `make guard`.

Each work is measured beside a yardstick that changes of ours hardly make faster or slower. The best round counts: other
work on the machine makes ratios worse. The least it may be lies half-way, by factors, between what was measured when
the guard was set and two thirds of that.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks import encode, sampling, songs, training
from benchmarks.measure import HEAD, Row, versus
from musicgen_cli.losses import Chord
from musicgen_cli.models import MODELS
from musicgen_cli.sampling import drawer, generate

ROUNDS = 5
SHORT = 64  # steps
SMALL = {"hidden": 256, "layers": 1, "dense": 128}


def chords() -> Callable[[], object]:
    heard = {"chords": True, "memory": True, "tonality": True, "shifts": 5}
    torch.manual_seed(0)
    model = MODELS["next"].network(size=training.SIZE, outputs=training.SIZE + 1, **heard, **SMALL)
    draw = drawer(Chord(), [torch.Generator().manual_seed(1)])
    nothing = torch.zeros(1, 0, training.SIZE)
    return lambda: generate(model, nothing, SHORT, 0, SHORT, draw)


def files(place: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    songs.write(place, 24)
    paths = sorted(place.iterdir())
    return lambda: encode.ours(paths), lambda: [encode.by_mido(path) for path in paths]


def process(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def rows(place: Path) -> Iterator[Row]:
    predict = sampling.theirs(1, SHORT)
    step, loop = training.ours(0.5, batch=8, steps=32), training.theirs(0.5, batch=8, steps=32)
    command, numpy = process("-m", "musicgen_cli", "train", "--help"), process("-c", "import numpy")
    yield versus("encode", "mido and our fill", 18, *files(place), rounds=ROUNDS)
    yield versus("a training step", "the reference's loop", 1.9, step, loop, rounds=ROUNDS)
    yield versus("sampling bits", "the reference's `predict`", 2.2, sampling.in_torch(1, SHORT), predict, rounds=ROUNDS)
    yield versus("sampling chords", "the reference's `predict`", 1.16, chords(), predict, rounds=ROUNDS)
    yield versus("`--help`", "to import NumPy", 1.1, command, numpy, rounds=ROUNDS)


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        found = [row._replace(ratios=[max(row.ratios)]) for row in rows(Path(place))]
    print(HEAD + "\n".join(row.line for row in found))
    return any(row.missed for row in found)


if __name__ == "__main__":
    sys.exit(main())
