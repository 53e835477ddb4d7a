import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from musicgen_cli import checkpoint
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.commands.prepare import check_fit
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import Focal
from musicgen_cli.models import MODELS
from musicgen_cli.player import Player
from tests.unchecked import written

SIZES = {"size": 176, "outputs": 176, "hidden": 6, "dense": 5, "layers": 1}


@pytest.fixture
def trained():
    torch.manual_seed(0)
    return Checkpoint(
        model="poly",
        model_arguments=SIZES,
        loss="focal",
        loss_arguments={"alpha": 0.6, "gamma": 1.0},
        form="rolls",
        steps_per_quarter=4,
        tempo=100.0,
        time_signature=(3, 4),
        source=8,
        target=8,
        rates=[0.1] * 176,
        split={"train": ["ab"], "valid": [], "test": ["cd"]},
        content="ab",
        settings={"hidden": 6, "epochs": 1},
        state_dict=MODELS["poly"].network(**SIZES).state_dict(),
    )


def saved(trained):
    file = io.BytesIO()
    checkpoint.save(trained, file)
    return file.getvalue()


def test_what_is_saved_is_loaded(trained):
    loaded = checkpoint.load(io.BytesIO(saved(trained)))
    assert replace(loaded, state_dict={}) == replace(trained, state_dict={})
    assert all((loaded.state_dict[name] == trained.state_dict[name].numpy()).all() for name in trained.state_dict)
    assert loaded.build_loss() == Focal(0.6, 1.0)


def test_a_checkpoint_is_plain_values_and_tensors(trained):  # DESIGN 8.11: the reference pickled its modules
    values = torch.load(io.BytesIO(saved(trained)), weights_only=True)
    assert values["format"] == "musicgen-checkpoint"
    assert values["model"] == "poly"


def test_a_checkpoint_carries_its_vocabulary(trained):  # DESIGN 8.11: the reference counted it anew for sampling
    listed, counts = ["<start>", "<unknown>", "C4:2", "R:1"], [0, 3, 2, 1]
    sizes = {**SIZES, "size": 4, "outputs": 4, "ids": True}
    weights = MODELS["text"].network(**sizes).state_dict()
    said = replace(
        trained, model="text", model_arguments=sizes, loss="cross-entropy", loss_arguments={"unseen": 0.1},
        form="words", rates=[0.25] * 4, state_dict=weights, words=listed, counts=counts,
    )  # fmt: skip
    loaded = checkpoint.load(io.BytesIO(saved(said)))
    assert loaded.vocabulary.ids(np.array(["R:1", "C4:2", "E4:1"])).tolist() == [3, 2, 1]
    assert loaded.lasting.tolist() == [0, 0, 2, 1]
    assert loaded.music(np.array([2, 3, 2]), 4).tolist() == ["C4:2", "R:1", "C4:1"]
    assert loaded.prime(np.array(["R:1", "C4:2"])).tolist() == [0] * 6 + [3, 2]  # the beginning of a song before it
    assert loaded.prime(np.array(["R:1", "C4:2"] * 8), 14).tolist() == [3, 2] * 4  # the last one is heard whole
    assert (trained.vocabulary, trained.lasting) == (None, None)
    with pytest.raises(MusicgenError, match="damaged"):
        checkpoint.load(io.BytesIO(written(vars(replace(said, counts=counts[:-1])))))


def test_a_checkpoint_of_an_older_format_is_to_be_trained_again(trained, monkeypatch):
    monkeypatch.setattr("musicgen_cli.checkpoint.VERSION", 1)
    old = saved(trained)
    monkeypatch.undo()
    with pytest.raises(MusicgenError, match="older musicgen; train it again"):
        checkpoint.load(io.BytesIO(old))


def test_the_same_checkpoint_is_the_same_bytes(trained):
    assert saved(trained) == saved(trained)


class Malice:
    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


def foreign(**changes):
    file = io.BytesIO()
    torch.save(changes, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04 and nothing else",
        foreign(weights=torch.zeros(3)),
        foreign(format="musicgen-checkpoint", version=1),
        foreign(format="musicgen-checkpoint", version=99),
        foreign(format=Malice()),
    ],
)
def test_what_is_no_checkpoint_is_refused(data, capsys):
    with pytest.raises(MusicgenError):
        checkpoint.load(io.BytesIO(data))
    assert "ran" not in capsys.readouterr().out


def test_a_checkpoint_cut_short_is_refused(trained):
    data = saved(trained)
    for length in range(0, len(data), len(data) // 40):
        with pytest.raises(MusicgenError):
            checkpoint.load(io.BytesIO(data[:length]))


def test_weights_that_do_not_fit_the_model_are_refused(trained):
    trained.model_arguments = {**SIZES, "hidden": 7}
    loaded = checkpoint.load(io.BytesIO(saved(trained)))
    for build in (lambda: loaded.build(torch.device("cpu")), lambda: Player(loaded)):
        with pytest.raises(MusicgenError, match="damaged"):
            build()


def test_no_torch_is_imported_to_sample_and_no_compiler_for_chords(trained, tmp_path):  # they took longer than all else
    hearing = {"chords": True, "memory": True, "tonality": True, "shifts": 5}
    arguments = {"size": 176, "outputs": 177, "hidden": 6, "dense": 5, "layers": 1} | hearing
    chords = replace(trained, model="next", model_arguments=arguments, loss="chord", loss_arguments={}, source=0)
    chords.state_dict = MODELS["next"].network(**arguments).state_dict()
    for name, each in {"poly": trained, "chords": chords}.items():
        (tmp_path / f"{name}.pt").write_bytes(saved(each))
    script = """if True:
        import sys
        from musicgen_cli.cli import run
        assert run(["sample", "poly.pt", "--device", "cpu", "--length", "4", "-o", "poly.npy"]) == 0
        assert run(["show", "chords.pt"]) == 0
        assert "torch" not in sys.modules
        assert run(["sample", "chords.pt", "--length", "4", "-o", "chords.npy"]) == 0
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0


def test_more_songs_than_a_checkpoint_holds_are_refused_before_the_first_epoch(
    trained,
):  # as those of 700,000 alone were
    many = replace(trained, split={"train": [f"{i:032x}" for i in range(420_000)], "valid": [], "test": []})
    run = SimpleNamespace(epochs=30, model=MODELS["poly"].network(**SIZES))
    with pytest.raises(MusicgenError, match=r"all\.npy: .* cannot be saved; take fewer songs"):
        check_fit(many, run, Path("all.npy"))


@pytest.mark.parametrize("change", [{"model_arguments": {}}, {"form": "x"}, {"history": [{"epoch": 1}]}])
def test_what_no_model_is_of_is_not_saved(trained, change):  # it was a KeyError
    with pytest.raises(MusicgenError, match="of no model that could play: it cannot be saved"):
        saved(replace(trained, **change))
