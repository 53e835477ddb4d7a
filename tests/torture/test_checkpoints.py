"""A .pt from a stranger: no code runs, nothing is allocated for nothing, no weight is another one in silence."""

import io
import os
import pickle
import resource
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from musicgen_cli import archive, checkpoint
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.errors import MusicgenError
from musicgen_cli.models import MODELS
from tests.torture import times
from tests.torture.child import growth

SIZES = {"size": 176, "outputs": 176, "hidden": 6, "dense": 5, "layers": 1}


def a_checkpoint(**changes):
    torch.manual_seed(0)
    made = Checkpoint(
        model="poly", model_arguments=SIZES, loss="focal", loss_arguments={"alpha": 0.6, "gamma": 1.0}, form="rolls",
        steps_per_quarter=4, tempo=100.0, time_signature=(3, 4), source=8, target=8, rates=[0.1] * 176,
        split={"train": ["ab"], "valid": [], "test": ["cd"]}, content="ab", settings={"hidden": 6, "epochs": 1},
        state_dict=MODELS["poly"].network(**SIZES).state_dict(),
    )  # fmt: skip
    return replace(made, **changes)


def saved(made):
    file = io.BytesIO()
    checkpoint.save(made, file)
    return file.getvalue()


WHOLE = saved(a_checkpoint())
VALUES = torch.load(io.BytesIO(WHOLE), weights_only=True)


def load(data):
    """Whether it is a checkpoint; whatever else is raised than what a user is told fails the test."""
    try:
        return checkpoint.load(io.BytesIO(data))
    except MusicgenError:
        return None


def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return file.getvalue()


def damaged(dice, data):
    """The bytes with something flipped, cut out, put in, moved or overwritten."""
    data = bytearray(data)
    at, size = int(dice.integers(len(data))), int(2 ** dice.uniform(0, 10))
    match dice.integers(6):
        case 0:
            data[at] ^= 1 << int(dice.integers(8))
        case 1:
            del data[at : at + size]
        case 2:
            data[at:at] = dice.bytes(size)
        case 3:
            data[at:at] = data[at : at + size]
        case 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        case 5:
            del data[at:]
    return bytes(data)


def is_the_same(loaded):
    return archive.digest(loaded.state_dict) == archive.digest(VALUES["state_dict"]) and loaded.rates == VALUES["rates"]


def test_damaged_checkpoints_are_refused_or_are_what_they_were():
    dice = np.random.default_rng(0)
    parts = records(WHOLE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for i in range(times(400, 20_000)):
        if i % 2:
            data = damaged(dice, WHOLE)
        else:  # with checksums that are right
            name = list(parts)[dice.integers(len(parts))]
            data = zipped((parts | {name: damaged(dice, parts[name] + b" ")}).items())
        loaded = load(data)
        refused += loaded is None
        assert loaded is None or is_the_same(loaded), i
    assert refused > 0.7 * times(400, 20_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("name", [name for name in records(WHOLE) if "/data/" in name][::5])
def test_every_flipped_bit_of_a_weight_is_found(name):
    weights = records(WHOLE)[name]
    at = WHOLE.index(weights)
    for place in range(at, at + len(weights), max(1, len(weights) // times(20, 400))):
        data = bytearray(WHOLE)
        data[place] ^= 4
        assert load(bytes(data)) is None


class Call:
    """Pickled, a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def with_pickle(data):
    return zipped((name, data if name.endswith("data.pkl") else part) for name, part in records(WHOLE).items())


def resaved(values):
    """Values with the right digest, as somebody would write them who has read this."""
    values = {name: value for name, value in values.items() if name not in ("format", "version", "digest")}
    file = io.BytesIO()
    digest = archive.digest(values)
    torch.save({"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "digest": digest, **values}, file)
    return file.getvalue()


def torch_saved(**changes):
    file = io.BytesIO()
    torch.save(VALUES | changes, file)
    return file.getvalue()


def twice_over(depth=40):
    inner = []
    for _ in range(depth):
        inner = [inner, inner]
    return inner


def weights(**changes):
    return {**VALUES["state_dict"], **changes}


SOME = next(name for name, value in VALUES["state_dict"].items() if value.dim() == 2)
BIG = 1 << 40
CRAFTED = {
    "runs code": torch_saved(model=Call(os.system, "touch ran")),
    "runs code by name": with_pickle(b"cposix\nsystem\n(S'touch ran'\ntR."),
    "runs code by evaluating": with_pickle(pickle.dumps(Call(eval, "open('ran', 'w')"), 4)),
    "asks for a terabyte of bytes": torch_saved(model=Call(bytearray, BIG)),
    "asks for a terabyte of zeros": torch_saved(model=Call(torch.zeros, BIG)),
    "remembers at place 4,000,000,000": with_pickle(b"\x80\x02Nr\xff\xff\xff\xee."),
    "says that a string is 4 GB": with_pickle(b"\x80\x02X\xff\xff\xff\xffab."),
    "says that bytes are 8 EB": with_pickle(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0fab."),
    "a million lists": with_pickle(b"\x80\x02(" + b"]" * 1_000_000 + b"t."),
    "lists in lists": with_pickle(b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b"."),
    "twice, forty times over": torch_saved(history=twice_over()),
    "a long number": with_pickle(b"\x80\x02\x8b\xff\xff\xff\x7f1."),
    "no pickle": zipped((n, p) for n, p in records(WHOLE).items() if not n.endswith("data.pkl")),
    "two pickles": zipped([*records(WHOLE).items(), ("archive/x/data.pkl", b"\x80\x02N.")]),
    "packed": zipped(records(WHOLE).items(), zipfile.ZIP_DEFLATED),
    "a packed bomb": zipped([*records(WHOLE).items(), ("archive/data/99", bytes(100 << 20))], zipfile.ZIP_DEFLATED),
    "a name outside": zipped([*records(WHOLE).items(), ("/etc/x", b"x")]),
    "a name above": zipped([*records(WHOLE).items(), ("../x", b"x")]),
    "TorchScript": zipped([("archive/code/__torch__.py", b"x"), ("archive/constants.pkl", b"\x80\x02).")]),
    "a tensor larger than its storage": torch_saved(state_dict=weights(**{SOME: torch.zeros(1).expand(10**6, 10**6)})),
    "a sparse tensor": torch_saved(state_dict=weights(**{SOME: torch.zeros(9, 9).to_sparse()})),
    "a tensor on no device": torch_saved(state_dict=weights(**{SOME: torch.zeros(9, 9, device="meta")})),
    "half numbers": torch_saved(state_dict=weights(**{SOME: torch.zeros(9, 9, dtype=torch.float16)})),
    "a parameter": torch_saved(state_dict=weights(**{SOME: torch.nn.Parameter(torch.zeros(9, 9))})),
    "no number": torch_saved(state_dict=weights(**{SOME: torch.full((24, 6), torch.nan)})),
    "infinity": torch_saved(state_dict=weights(**{SOME: torch.full((24, 6), torch.inf)})),
    "other weights": torch_saved(state_dict=weights(**{SOME: VALUES["state_dict"][SOME] * 2})),
    "no digest": torch_saved(digest=None),
    "no weights": resaved(VALUES | {"state_dict": {}}),
    "a weight too many": resaved(VALUES | {"state_dict": weights(more=torch.zeros(2))}),
    "a weight of another shape": resaved(VALUES | {"state_dict": weights(**{SOME: torch.zeros(3, 3)})}),
    "a billion units": resaved(VALUES | {"model_arguments": SIZES | {"hidden": 10**9}}),
    "a billion layers": resaved(VALUES | {"model_arguments": SIZES | {"layers": 10**9}}),
    "a billion bits": resaved(VALUES | {"model_arguments": SIZES | {"size": 10**9, "outputs": 10**9}}),
    "minus one unit": resaved(VALUES | {"model_arguments": SIZES | {"hidden": -1}}),
    "another model": resaved(VALUES | {"model": "next"}),
    "no model": resaved(VALUES | {"model": "../poly"}),
    "no loss": resaved(VALUES | {"loss": "chord"}),
    "no form": resaved(VALUES | {"form": "words"}),
    "too few rates": resaved(VALUES | {"rates": [0.1]}),
    "no tempo": resaved(VALUES | {"tempo": float("nan")}),
    "no metre": resaved(VALUES | {"time_signature": (3, 5)}),
    "half a metre": resaved(VALUES | {"time_signature": (3,)}),
    "no grid": resaved(VALUES | {"steps_per_quarter": 0}),
    "no target": resaved(VALUES | {"target": 0}),
    "something more": resaved(VALUES | {"more": 1}),
    **{
        f"another kind of {field.name}": resaved(VALUES | {field.name: 7 if "dict" in str(field.type) else {1: None}})
        for field in fields(Checkpoint)
    },
}  # fmt: skip


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_checkpoints_are_refused(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse():
        assert load(CRAFTED[what]) is None
        assert not os.path.exists("ran")

    refuse()
    assert growth(refuse) < 64 << 20


def test_what_is_not_finite_is_not_stored():
    for value in (torch.nan, torch.inf):
        broken = a_checkpoint(state_dict=weights(**{SOME: torch.full((24, 6), value)}))
        with pytest.raises(MusicgenError, match="not finite"):
            saved(broken)


def test_views_are_stored_as_the_numbers_that_they_show():
    whole = torch.arange(24.0).view(4, 6)
    loaded = load(saved(a_checkpoint(resume={"a": whole.t(), "b": whole[1:2], "c": whole[:, 0]})))
    assert torch.equal(loaded.resume["a"], whole.t())
    assert torch.equal(loaded.resume["b"], whole[1:2])
    assert torch.equal(loaded.resume["c"], whole[:, 0])
