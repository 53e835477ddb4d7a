"""A .npy from a stranger: no code runs, nothing is allocated for nothing, and what is read can be used."""

import contextlib
import io
import json
import pickle

import numpy as np
import pytest

from musicgen_cli import corpus, representations
from musicgen_cli.cli import main
from musicgen_cli.corpus import Song
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import quantise
from tests.torture import times
from tests.torture.child import growth
from tests.torture.test_checkpoints import Call, damaged
from tests.tunes import tune

FORMS = {"rolls": False, "sounding keys": False, "packed": True, "words": False, "plain words": False}


def a_corpus(form, packed):
    scores = [quantise(tune(number, bars=2), 4) for number in (1, 2)]
    music = [representations.encode(score, "rolls" if packed else form, 4, 1 << 17) for score in scores]
    if packed:
        from musicgen_cli.roll import pack

        music = [pack(each) for each in music]
    file = io.BytesIO()
    corpus.save(corpus.gather([(Song(f"song {i}"), each) for i, each in enumerate(music)]), file)
    return file.getvalue()


WHOLE = {form: a_corpus(form, packed) for form, packed in FORMS.items()}


def use(data, path=None):
    """Whether it is a corpus that can be used, in memory or, at a path, on disk."""
    try:
        if path is None:
            songs = corpus.load(io.BytesIO(data))
        else:
            path.write_bytes(data)
            with path.open("rb") as file:
                songs = corpus.load(file)
        for i in range(min(len(songs), 3)):
            songs.score(i)
    except MusicgenError as error:
        if "pickle" in str(error):  # NumPy's advice to allow them must never reach a user
            raise AssertionError from error
        return False
    return True


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("on_disk", [False, True])
def test_damaged_corpora_are_refused_or_can_be_used(form, on_disk, tmp_path):
    def damage():
        dice, refused, count = np.random.default_rng(3), 0, times(100, 5000)
        for _ in range(count):
            refused += not use(damaged(dice, WHOLE[form]), tmp_path / "it.npy" if on_disk else None)
        assert 0.3 * count < refused

    assert growth(damage) < 64 << 20


def pickled(value):
    file = io.BytesIO()
    np.save(file, np.array([value], object), allow_pickle=True)
    return file.getvalue()


def with_text(text, songs=2):
    """A corpus with another JSON text at its end, and offsets of so many songs."""
    file = io.BytesIO(WHOLE["rolls"])
    music, offsets, _ = [np.load(file) for _ in range(3)]
    out = io.BytesIO()
    for array in (music, np.append(np.zeros(songs - 2, np.int64), offsets), np.array(text)):
        np.save(out, array)
    return out.getvalue()


def header(text, size=None, version=(1, 0)):
    data = text.encode()
    return b"\x93NUMPY" + bytes(version) + (len(data) if size is None else size).to_bytes(2, "little") + data


def shaped(descr, shape):
    return header(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n")


def of_songs(said):
    """What a corpus says of itself, with this JSON for its songs."""
    about = {"format": "musicgen-corpus", "version": 1, "representation": "roll", "steps_per_quarter": 4, "songs": []}
    return json.dumps(about).replace("[]", f"[{said}]").encode()


CRAFTED = {
    "objects": pickled(Call(print, "ran")),
    "a bare pickle": pickle.dumps(Call(print, "ran")),
    "a terabyte": shaped("|b1", (1 << 40, 88, 2)),
    "more than a number of bytes can be": shaped("|b1", (1 << 62, 88, 2)),
    "many dimensions": shaped("|b1", (1,) * 70),
    "a header of 60,000 bytes": header("{'descr': '|b1', 'fortran_order': False, 'shape': (1, 88)}" + " " * 60_000),
    "a header that is longer than the file": header("{'descr'", 60_000),
    "a header that is code": header("__import__('os').system('touch ran')\n"),
    "a header of a million brackets": header("(" * 60_000 + "\n"),
    "version 3": header("{'descr': '|b1', 'fortran_order': False, 'shape': (1, 88, 2), }\n", version=(3, 0)),
    "version 9": header("{'descr': '|b1', 'fortran_order': False, 'shape': (1, 88, 2), }\n", version=(9, 9)),
    "a structure": shaped([("a", "|b1"), ("b", "<i8")], (4,)) + bytes(99),
    "floats": shaped("<f8", (1, 88, 2)) + bytes(88 * 2 * 8),
    "columns first": header("{'descr': '|b1', 'fortran_order': True, 'shape': (1, 88, 2), }\n") + bytes(176),
    "bits of seven": shaped("|b1", (1, 88, 2)) + b"\x07" * 176,
    "strings of a gigabyte": shaped("<U1000000000", (1,)),
    "something after it": WHOLE["rolls"] + b"more",
    "another corpus after it": WHOLE["rolls"] * 2,
    "text that is deep": with_text(b"[" * 100_000),
    "text that is no JSON": with_text(b"{'format': 1}"),
    "text of numbers": with_text(json.dumps([1, 2, 3]).encode()),
    "a million songs": with_text(of_songs("{}," * 1_000_000 + "{}")),
    "a song of lists beside many offsets": with_text(
        of_songs('{"a": [' + "[]," * 900_000 + "[]]}" + ",{}" * 99_999), 100_000
    ),
    "a song that ends nowhere": with_text(of_songs("{}," + '{"name": "' + "{}," * 300_000)),
    "a comma too many": with_text(of_songs("{},{},")),
    "a comma too few": with_text(of_songs("{}{}")),
    "a song in a song in a song": with_text(of_songs('{},{"a": {"b": {}}}')),
    "a text of lists": with_text(b"[" + b"[]," * 300_000 + b"[]]"),
    "a text of lists beside many offsets": with_text(b"[" + b"[]," * 900_000 + b"[]]", 2000),
    "a text of other letters": with_text(b"\xff\xfe{"),
}  # fmt: skip


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_corpora_are_refused(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refuse():
        assert not use(CRAFTED[what])
        assert not use(CRAFTED[what], tmp_path / "it.npy")

    assert growth(refuse) < (64 << 20) + len(CRAFTED[what])
    assert not (tmp_path / "ran").exists()
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("said", ["{}", '{"name": "%x"}'])
def test_many_songs_take_little_more_than_their_place(said, tmp_path):
    songs = 300_000
    data = with_text(of_songs(",".join(said % i if "%" in said else said for i in range(songs))), songs)
    assert growth(lambda: use(data, tmp_path / "many.npy")) < (64 << 20) + len(data)
    with (tmp_path / "many.npy").open("rb") as file:
        many = corpus.load(file)
    assert len(many) == len(many.songs) == songs
    assert many.songs[-1].name == ("493df" if "%" in said else "untitled")


@pytest.mark.slow
@pytest.mark.parametrize("line", ["show many.npy", "cat many.npy -q -o all.npy"])
def test_commands_take_little_more_than_the_place_of_many_songs(line, tmp_path, monkeypatch):
    songs = 200_000
    data = with_text(of_songs(",".join(["{}"] * songs)), songs)
    (tmp_path / "many.npy").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["musicgen", *line.split()])

    def work():
        with contextlib.suppress(SystemExit):
            main()

    assert growth(work) < (64 << 20) + len(data)
