"""A .pt from a stranger: no code runs, nothing is allocated for nothing, no weight is another one in silence."""

import io
import os
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musicgen_cli import archive, checkpoint
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.commands.going_on import going_on
from musicgen_cli.commands.watch import sparing
from musicgen_cli.errors import MusicgenError
from musicgen_cli.models import MODELS
from musicgen_cli.player import Player
from tests.torture import times
from tests.torture.child import growth, run
from tests.tunes import musicgen, write_songs
from tests.unchecked import written as resaved

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
    """Whether it is a checkpoint of a model; whatever else is raised than what a user is told fails the test."""
    try:
        loaded = checkpoint.load(io.BytesIO(data))
        loaded.build_loss()
    except MusicgenError:
        return None
    fits = []
    for build in (lambda: loaded.build(torch.device("cpu")), lambda: Player(loaded)):
        try:
            build()
            fits.append(True)
        except MusicgenError:
            fits.append(False)
    assert fits[0] == fits[1]
    return loaded if fits[0] else None


def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return with_large_end(file.getvalue())


def with_large_end(data):
    """An archive with the records at its end that PyTorch writes."""
    *_, count, _, length, begin, _ = struct.unpack("<4s4H2LH", data[-22:])
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begin)
    return data[:-22] + large + struct.pack("<4sLQL", b"PK\6\7", 0, len(data) - 22, 1) + data[-22:]


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
    return (
        archive.digest(loaded.state_dict) == archive.digest(checkpoint.arrays(VALUES["state_dict"]))
        and loaded.rates == VALUES["rates"]
    )


def test_damaged_checkpoints_are_refused_or_are_what_they_were():
    def damage():
        dice, refused, parts = np.random.default_rng(0), 0, records(WHOLE)
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

    assert growth(damage) < 64 << 20


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


def torch_saved(**changes):
    file = io.BytesIO()
    torch.save(VALUES | changes, file)
    return file.getvalue()


def one_in_another(depth=100, size=1 << 20):
    """An archive of records each of which is the header and the whole of the one before: few bytes, said to be many."""
    file, content, inner = io.BytesIO(), bytes(size), []
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in records(WHOLE).items():
            archive.writestr(name, part)
        for i in range(depth):
            info = zipfile.ZipInfo(f"archive/data/{1000 + i}")
            info.CRC, info.file_size, info.compress_size = zlib.crc32(content), len(content), len(content)
            content = info.FileHeader() + content
            inner.append((info, len(content)))
        for info, length in inner:
            info.header_offset = archive.start_dir + len(content) - length
            archive.filelist.append(info)
        file.seek(archive.start_dir)
        file.write(content)
        archive.start_dir = file.tell()
    return with_large_end(file.getvalue())


DICT = b"ccollections\nOrderedDict\n"


def text(said):
    return b"X" + struct.pack("<I", len(said)) + said


def a_tensor(count, shape, strides):
    """Opcodes that make one of the `count` numbers in `archive/data/99`."""
    storage = b"(" + text(b"storage") + b"ctorch\nLongStorage\n" + text(b"99") + text(b"cpu") + long(count) + b"tQ"
    sizes = b"".join(b"(" + b"".join(map(long, row)) + b"t" for row in (shape, strides))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + sizes + b"\x89" + DICT + b")RtR"


def long(number):
    return b"J" + struct.pack("<i", number)


def with_numbers(pickled, numbers):
    parts = records(WHOLE) | {"archive/data.pkl": b"\x80\x02" + pickled + b".", "archive/data/99": numbers.tobytes()}
    return zipped(parts.items())


def twice_over(depth=40):
    inner = []
    for _ in range(depth):
        inner = [inner, inner]
    return inner


def weights(**changes):
    return {**VALUES["state_dict"], **changes}


PAIRS = np.random.default_rng(0).integers(1 << 40, size=(1 << 18, 2))
EMPTY = [(f"archive/data/{number}", b"") for number in range(99, 20_099)]
PAIRED = a_tensor(1 << 19, (1 << 18, 2), (2, 1))
SOME = next(name for name, value in VALUES["state_dict"].items() if value.dim() == 2)
BIG = 1 << 40
CRAFTED = {
    "runs code": torch_saved(model=Call(os.system, "touch ran")),
    "runs code by name": with_pickle(b"cposix\nsystem\n(S'touch ran'\ntR."),
    "runs code by evaluating": with_pickle(pickle.dumps(Call(eval, "open('ran', 'w')"), 4)),
    "asks for a terabyte of bytes": torch_saved(model=Call(bytearray, BIG)),
    "asks for a terabyte of zeros": torch_saved(model=Call(torch.zeros, BIG)),
    "a name that is no name": with_pickle(b"\x80\x02c\\h\\x\ntorch\n."),
    "remembers at place 4,000,000,000": with_pickle(b"\x80\x02Nr\xff\xff\xff\xee."),
    "says that a string is 4 GB": with_pickle(b"\x80\x02X\xff\xff\xff\xffab."),
    "says that bytes are 8 EB": with_pickle(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0fab."),
    "a million lists": with_pickle(b"\x80\x02(" + b"]" * 1_000_000 + b"t."),
    "lists in lists": with_pickle(b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b"."),
    "twice, forty times over": torch_saved(history=twice_over()),
    "nothing, a million times": with_pickle(b"\x80\x02(" + b"N" * (9 << 17) + b"t."),
    "a word, a million times": with_pickle(b"\x80\x02(" + b"X\2\0\0\0ab" * (9 << 17) + b"t."),
    "a long text, a thousand times": resaved(VALUES | {"settings": {"a": ["x" * 10_000] * 1000}}),
    "dicts of numbers": with_numbers(b"(" + DICT + b"q\0" + PAIRED + b"q\1" + b"h\0h\1\x85R" * 5 + b"t", PAIRS),
    "records in records": one_in_another(),
    "twenty thousand records": zipped([*records(WHOLE).items(), *EMPTY]),
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
    "no tempo": resaved(VALUES | {"tempo": 0.0}),
    "a tempo that is no number": torch_saved(tempo=float("nan")),
    "no metre": resaved(VALUES | {"time_signature": (3, 5)}),
    "half a metre": resaved(VALUES | {"time_signature": (3,)}),
    "no grid": resaved(VALUES | {"steps_per_quarter": 0}),
    "no target": resaved(VALUES | {"target": 0}),
    "a name in capitals": zipped([("archive/DATA.PKL", b"\x80\x02N."), *records(WHOLE).items()]),
    "two lists of what is in it": WHOLE[:-98] + zipped(records(WHOLE).items())[-900:],
    "no list of what is in it at its end": WHOLE + bytes(22),
    "a very long word": torch_saved(words=["C4:2"] * 3000 + ["C" * 300_000]),
    "layers below none": resaved(VALUES | {"model_arguments": SIZES | {"layers": -(10**30)}}),
    "alpha that is a word": resaved(VALUES | {"loss_arguments": {"alpha": "x", "gamma": 1.0}}),
    "alpha of five": resaved(VALUES | {"loss_arguments": {"alpha": 5.0, "gamma": 1.0}}),
    "history of numbers": resaved(VALUES | {"history": [1, 2]}),
    "a billion steps to read": resaved(VALUES | {"source": 10**9}),
    "a billion steps to write": resaved(VALUES | {"target": 10**9}),
    "a billion steps per quarter note": resaved(VALUES | {"steps_per_quarter": 10**9}),
    "rates that are words": resaved(VALUES | {"rates": ["x"] * 176}),
    "rates that are none": torch_saved(rates=[float("nan")] * 176),
    "a threshold that is none": torch_saved(threshold=float("nan")),
    "a threshold of one": resaved(VALUES | {"threshold": 1.0}),
    "a source that is a truth": resaved(VALUES | {"source": True}),
    "a side that is a number": resaved(VALUES | {"split": {"train": 7}}),
    "a weight that is a number": resaved(VALUES | {"state_dict": weights(**{SOME: 7})}),
    "an epoch of nothing": resaved(VALUES | {"history": [{}]}),
    "ids of no words": resaved(VALUES | {"model_arguments": SIZES | {"ids": True}}),
    "bits of another loss": resaved(VALUES | {"loss": "cross-entropy", "loss_arguments": {}}),
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

    assert growth(refuse) < 64 << 20
    assert not os.path.exists("ran")


def test_no_pickle_sets_the_numbers_of_a_tensor():  # of each row by many places: time that no size of a file bounds
    data = with_numbers(PAIRED + b"K\0K\1s", PAIRS)
    archive.check(io.BytesIO(data))
    with pytest.raises(ValueError, match="read-only"):
        archive.read(io.BytesIO(data))
    assert archive.read(io.BytesIO(with_numbers(PAIRED, PAIRS))).flags.writeable


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with rolls.npy, and model.pt, a training that was stopped."""
    folder = tmp_path_factory.mktemp("begun")
    write_songs(folder / "songs", 4)
    line = "--hidden 8 --dense 4 --layers 1 --epochs 2 --threads 1 --minutes 1e-9 -q"
    for each in ("encode songs -o rolls.npy", f"train rolls.npy {line}"):
        assert run(f"musicgen {each}", folder)[0] == 0
    return folder


@pytest.mark.parametrize("changes", [{"settings": {}}, {"settings": None}, {"resume": {}}, {"resume": {"step": "x"}}])
def test_a_state_that_nothing_can_go_on_from_is_said_to_be_so(changes, begun, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "begun")
    path = folder / "model.pt"
    values = torch.load(path, weights_only=True)
    if changes == {"settings": None}:
        changes = {"settings": values["settings"] | {"batch_size": 0}}
    path.write_bytes(resaved(values | changes))
    code, lines = run("musicgen train rolls.npy --resume -q", folder)
    assert (code, len(lines)) == (1, 1)
    assert re.match(r"musicgen: error: model.pt: (lacks settings|holds nothing).*; train anew", lines[0])


def other_numbers(path, *where):
    """Write an unfinished checkpoint anew, with none of the numbers that are kept in one place."""
    place = values = torch.load(path, weights_only=True)
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = torch.zeros(0)
    path.write_bytes(resaved(values))


MOMENTS = "resume", "optimizer", "state", 0
PLACES = [("resume", "weights", SOME), ("state_dict", SOME), (*MOMENTS, "exp_avg"), (*MOMENTS, "step")]


@pytest.mark.parametrize("where", PLACES)
def test_numbers_of_another_model_are_not_gone_on_with(where, begun, tmp_path):
    """Weights were said to be a bug of ours, the best only at the end; AdamW wrote beyond its moments."""
    folder = shutil.copytree(begun, tmp_path / "begun")
    other_numbers(folder / "model.pt", *where)
    code, lines = run("musicgen train rolls.npy --resume -q", folder)
    assert (code, lines) == (
        1,
        ["musicgen: error: model.pt: holds nothing that a training could go on from; train anew"],
    )


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_that_memory_ends_while_a_training_goes_on_is_no_fault_of_the_checkpoint(error):
    told = pytest.raises(MusicgenError, match="out of memory with --batch-size 8; train anew with --batch-size 4")
    with told, sparing(8, resumed=True), going_on(Path("model.pt"), a_checkpoint()):
        raise error


def test_why_nothing_can_go_on_is_told_to_those_who_ask(begun, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "begun")
    other_numbers(folder / "model.pt", *PLACES[0])
    said = musicgen("train", "rolls.npy", "--resume", cwd=folder, MUSICGEN_DEBUG="1").stderr.decode()
    assert "ValueError: has weights of another model" in said


@pytest.mark.parametrize("what", ["a source that is a truth", "a side that is a number", "an epoch of nothing"])
def test_what_cannot_be_shown_or_played_is_a_damaged_checkpoint(what, tmp_path):
    (tmp_path / "model.pt").write_bytes(CRAFTED[what])
    for line in ("musicgen show model.pt", "musicgen sample model.pt --device cpu --length 4 -o new.npy"):
        code, lines = run(line, tmp_path)
        assert (code, len(lines)) == (1, 1)
        assert "damaged" in lines[0]


TOLD = {"epoch": 1, "best": 1, "seconds": 2.0}
SPOKEN = a_checkpoint(
    model="text", model_arguments=SIZES | {"size": 9, "outputs": 9, "ids": True}, loss="cross-entropy", rates=[0.1] * 9,
    loss_arguments={"unseen": 0.1}, form="words", counts=[1] * 9, words=["<start>", "<unknown>", *"ABCDEFG"],
)  # fmt: skip
TOO_MUCH = {
    "larger than any": a_checkpoint(history=[dict(TOLD) for _ in range(50_000)]),
    "131,073 steps to read, and 131,072 are the most": a_checkpoint(source=(1 << 17) + 1),
    "200,000 steps to write": a_checkpoint(target=200_000),
    "letters, each word as long as the longest": replace(SPOKEN, words=[*SPOKEN.words[:-1], "C" * (1 << 22)]),
    "the same again and again": a_checkpoint(settings={"a": ["x" * 10_000] * 1000}),
    "lacks words": replace(SPOKEN, counts=[1] * 8),
    "of no model": a_checkpoint(threshold=1.0),
    "its tempo wrongly": a_checkpoint(tempo=100),
    "a tempo or a time signature": a_checkpoint(tempo=0.0),
}


@pytest.mark.parametrize("cause", TOO_MUCH)
def test_what_would_not_be_loaded_is_not_saved(cause):  # it was, and told after hours of training
    with pytest.raises(MusicgenError, match=f"^the checkpoint .*{cause}.*: it cannot be saved$"):
        saved(TOO_MUCH[cause])
    values = {field.name: getattr(TOO_MUCH[cause], field.name) for field in fields(Checkpoint)}
    with pytest.raises(MusicgenError, match="damaged"):
        checkpoint.load(io.BytesIO(resaved(values)))


def test_the_most_that_is_loaded_is_saved():
    assert load(saved(a_checkpoint(source=1 << 17, target=1 << 17))).target == 1 << 17


def test_what_is_not_finite_is_not_stored():
    for value in (torch.nan, torch.inf):
        broken = a_checkpoint(state_dict=weights(**{SOME: torch.full((24, 6), value)}))
        with pytest.raises(MusicgenError, match="not finite"):
            saved(a_checkpoint(rates=[value] * 176))
        with pytest.raises(MusicgenError, match="not finite"):
            saved(broken)


def test_views_are_stored_as_the_numbers_that_they_show():
    whole = torch.arange(24.0).view(4, 6)
    loaded = load(saved(a_checkpoint(resume={"a": whole.t(), "b": whole[1:2], "c": whole[:, 0]})))
    assert (loaded.resume["a"] == whole.t().numpy()).all()
    assert (loaded.resume["b"] == whole[1:2].numpy()).all()
    assert (loaded.resume["c"] == whole[:, 0].numpy()).all()
