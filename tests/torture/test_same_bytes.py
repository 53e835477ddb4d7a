"""The same command makes the same bytes, whatever else differs: hash seed, order of names, locale, time zone."""

import subprocess
import sys

import pytest

from musicgen_cli import archive, checkpoint
from tests.torture import LONG
from tests.tunes import ENVIRONMENT, write_song

TINY = "--hidden 8 --dense 4 --layers 1 --epochs 1 --batch-size 8 --threads 1 -q --seed 2"
LINES = [
    "encode songs -o {out}.npy",
    "encode songs --as words -o {out}w.npy",
    f"train {{out}}.npy --loss chord {TINY} -o {{out}}.pt",
    "sample {out}.pt --bars 2 --count 2 --seed 1 -q -o {out}s.npy",
    "decode {out}s.npy --song 2 -q -o {out}.mid",
]
WAYS = {
    "hash seed": {"PYTHONHASHSEED": "7"},
    "locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE"},
    "no locale": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "time zone": {"TZ": "Asia/Kathmandu"},
    "order": {},
    "name": {},
}
RUN = "import sys; from musicgen_cli.cli import run; sys.exit(sum(run(line.split()) for line in sys.argv[1:]))"
ALL = {"all": {name: value for way in WAYS.values() for name, value in way.items()}}


def made(folder, lines, settings, backwards=False, out="out"):
    """What the commands write, by what stands behind `out` in its name; of a model its weights."""
    numbers = range(1, 7)
    (folder / "songs").mkdir()
    for number in reversed(numbers) if backwards else numbers:
        write_song(folder / "songs" / f"{number}.mid", number)
    script = [sys.executable, "-c", RUN, *(line.format(out=out) for line in lines)]
    subprocess.run(script, check=True, cwd=folder, env=ENVIRONMENT | settings, capture_output=True)
    return {path.name.removeprefix(out): _bytes(path) for path in folder.glob(f"{out}*")}


def _bytes(path):
    if path.suffix != ".pt":
        return path.read_bytes()
    with path.open("rb") as file:
        return archive.digest(checkpoint.load(file).state_dict)  # beside them stands how long it took


@pytest.mark.parametrize("way", [*WAYS, *ALL] if LONG else ["all"])
def test_nothing_else_is_in_the_bytes(way, tmp_path_factory):
    lines = LINES[:3] if way == "name" else LINES  # a sample says which model made it
    settings = (WAYS | ALL)[way]
    plain = made(tmp_path_factory.mktemp("plain"), lines, {"PYTHONHASHSEED": "0"})
    other = made(
        tmp_path_factory.mktemp("other"), lines, settings, way in ("order", "all"), "made" if way == "name" else "out"
    )
    assert plain == other
    assert len(plain) == len(lines)
