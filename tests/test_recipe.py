"""The recipe of examples/chorales.sh on real chorales: what it makes holds together. Takes ten minutes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from musicgen_cli import corpus, harmony

CHORALES = Path(__file__).parents[2] / "shared" / "corpora" / "chorales"
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A folder in which the recipe was run."""
    if not CHORALES.exists():
        pytest.skip("no shared/corpora/chorales beside the repository")
    home = tmp_path_factory.mktemp("recipe")
    settings = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "VENV": ""}
    script = ["sh", str(ROOT / "examples" / "chorales.sh"), str(CHORALES), str(home), "--threads", "1"]
    subprocess.run(script, check=True, capture_output=True, env=settings)
    return home


def musicgen(folder, *arguments):
    command = [sys.executable, "-m", "musicgen_cli", *arguments]
    return subprocess.run(command, check=True, capture_output=True, cwd=folder).stdout


def test_none_of_32_pieces_of_64_bars_collapses(recipe):
    told = json.loads(musicgen(recipe, "eval", "samples.npy", "--against", "rolls.npy", "--json"))
    assert {diagnosis["name"] for diagnosis in told["diagnoses"]} <= {"dissonant"}  # as RESULTS.md says
    one_step = json.loads(musicgen(recipe, "eval", "model.pt", "rolls.npy", "--split", "valid", "--json"))["one_step"]
    assert one_step[0]["nats_without_first"] < 1.95


def test_the_tunes_of_whole_chorales_stay_on_top_and_what_is_put_under_them_passes_the_metrics(recipe):
    songs = corpus.load(io.BytesIO((recipe / "rolls.npy").read_bytes()))
    lists = json.loads((CHORALES / "split.json").read_text())
    made = []
    for seed, name in enumerate(lists["test"]):
        place = songs.find(name.removesuffix(".mid"))
        out = musicgen(
            recipe, "sample", "model.pt", "--melody", "rolls.npy", "--song", str(place + 1), "--seed", str(seed)
        )
        new = corpus.load(io.BytesIO(out))[0]
        assert (harmony.top_line(new) == harmony.top_line(songs[place])).all()
        made.append((songs.songs[place], new))
    (recipe / "others.npy").write_bytes(
        saved(
            corpus.gather(
                [
                    (songs.songs[i], songs[i])
                    for i in range(len(songs))
                    if songs.songs[i].name + ".mid" not in lists["test"]
                ],
                4,
            )
        )
    )
    (recipe / "harmonised.npy").write_bytes(saved(corpus.gather(made, 4)))
    told = json.loads(musicgen(recipe, "eval", "harmonised.npy", "--against", "others.npy", "--json"))
    assert told["diagnoses"] == []


def saved(songs):
    file = io.BytesIO()
    corpus.save(songs, file)
    return file.getvalue()
