"""Corpora joined on disk by `cat`, and in memory without moving anything: the same songs either way."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import corpus as corpora
from musicgen_cli.corpus import Corpus, Song, Writer, gather, join
from musicgen_cli.roll import pack
from tests.strategies import rolls
from tests.tunes import complaint, shell, talk, write_song, write_songs

FORMS = {
    "packed": "--packed",
    "sounding": "--bits 1",
    "words": "--as words",
}
TINY = "--hidden 8 --dense 8 --layers 1 --epochs 2 --seed 3 -q"


def load(path: Path) -> Corpus:
    with path.open("rb") as file:
        return corpora.load(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """songs/ with nine tunes, three of them each in a/, b/ and c/, which are of different lengths."""
    for name, path in zip("aaabbbccc", write_songs(tmp_path / "songs", 9)):
        (tmp_path / name).mkdir(exist_ok=True)
        write_song(tmp_path / name / path.name, int(path.stem[-2:]))
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
def test_corpora_joined_are_the_corpus_of_all_songs_byte_for_byte(folder: Path, form: str) -> None:
    talk(shell(f"for part in a b c; do musicgen encode $part {FORMS[form]} -o $part.npy -q; done", folder))
    talk(
        shell(f"musicgen encode a b c {FORMS[form]} -o whole.npy -q; musicgen cat a.npy b.npy c.npy -o all.npy", folder)
    )
    assert (folder / "all.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def test_a_folder_stands_for_its_corpora_in_the_order_of_their_numbers(folder: Path) -> None:
    (folder / "shards").mkdir()
    for name, part in (("2.npy", "a"), ("10.npy", "b"), ("é.npy", "c")):
        talk(shell(f"musicgen encode {part} -o shards/{name} -q", folder))
    (folder / "shards" / ".musicgen-3.npy").write_bytes(b"unfinished")
    (folder / "shards" / "notes.txt").write_bytes(b"no corpus")
    piped = shell("musicgen cat shards - -o - < shards/2.npy", folder)
    assert talk(piped) == ["joined 12 songs of 4 files; 3 names of songs met before"]
    named = shell("musicgen cat shards/2.npy shards/10.npy shards/é.npy shards/2.npy", folder)
    assert piped.stdout == named.stdout


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("--packed", "packed rolls at 4 steps per quarter note, a.npy rolls at 4 steps"),
        ("--steps-per-quarter 12", "rolls at 12 steps per quarter note, a.npy rolls at 4 steps"),
        ("--as words", "words at 4 steps per quarter note, a.npy rolls at 4 steps"),
    ],
)
def test_corpora_that_are_not_alike_are_refused(folder: Path, other: str, told: str) -> None:
    talk(shell(f"musicgen encode a -o a.npy -q; musicgen encode b {other} -o b.npy -q", folder))
    said = complaint(shell("musicgen cat a.npy b.npy -o all.npy", folder))
    assert said == f"b.npy: holds {told} per quarter note; encode them alike"
    assert not (folder / "all.npy").exists()
    assert told in complaint(shell("musicgen train a.npy b.npy", folder))


def test_what_cannot_be_joined_is_told_in_a_line(folder: Path) -> None:
    def cat(arguments: str) -> str:
        return complaint(shell(f"musicgen cat {arguments} < /dev/null", folder))

    talk(shell("musicgen encode a -o a.npy", folder))
    assert "no .npy in this folder" in cat("a -o x.npy")
    assert "no such file" in cat("a.npy b.npy")
    assert "no .npy file" in cat("a.npy a/tune-01.mid")
    assert "read by this very command" in cat("a.npy -o a.npy")
    assert "once only" in cat("- -")
    twice = talk(shell("musicgen cat a.npy a.npy -o x.npy", folder))
    assert twice == ["joined 6 songs of 2 files; 3 names of songs met before"]


@given(st.lists(st.lists(rolls(), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_joined_in_memory_is_one_array(songs: list[list[np.ndarray]], data: st.DataObject) -> None:
    parts = [gather([(Song(), roll) for roll in some]) for some in songs]
    whole, one = gather([(Song(), roll) for some in songs for roll in some]), join(parts)
    assert one.offsets.tolist() == whole.offsets.tolist()
    assert all((one[i] == whole[i]).all() for i in range(len(whole)))
    assert (len(one.music), one.music.dtype, one.form) == (len(whole.music), whole.music.dtype, whole.form)
    if len(whole.music):
        row = st.integers(0, len(whole.music) - 1)
        rows = np.array(data.draw(st.lists(st.lists(row, min_size=2, max_size=2), max_size=5)), np.int64).reshape(-1, 2)
        assert (one.music[rows] == whole.music[rows]).all()


@given(st.lists(st.lists(st.sampled_from(["C4:1", "E-4.G4:12", "R:100"]), max_size=4), min_size=1, max_size=5))
def test_words_joined_are_as_long_as_the_longest(lines: list[list[str]]) -> None:
    parts = [gather([(Song(), np.array(line, np.str_))]) for line in lines]
    one, file = join(parts), io.BytesIO()
    assert [word for i in range(len(one)) for word in one[i].tolist()] == [word for line in lines for word in line]
    corpora.save(one, file)
    assert corpora.load(file).music.tolist() == [word for line in lines for word in line]


def test_a_song_of_no_steps_between_files_is_of_no_steps() -> None:
    parts = [gather([(Song(), pack(np.zeros((steps, 88, 2), bool)))]) for steps in (2, 0, 3, 0)]
    assert [len(join(parts)[i]) for i in range(4)] == [2, 0, 3, 0]


def history(path: Path) -> tuple[list[dict[str, float]], dict[str, torch.Tensor], object]:
    """What a training came to, but for how long it took."""
    point = torch.load(path, weights_only=True)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in point["history"]]
    return rows, point["state_dict"], {name: point[name] for name in ("content", "split", "rates", "words")}


@pytest.mark.parametrize(
    ("form", "model"),
    [("words", "--model text --source 8"), pytest.param("packed", "--loss chord --memory", marks=pytest.mark.slow)],
)
def test_training_on_shards_is_training_on_them_joined_bit_for_bit(folder: Path, form: str, model: str) -> None:
    (folder / "shards").mkdir()
    for part in "abc":
        talk(shell(f"musicgen encode {part} {FORMS[form]} -o shards/{part}.npy -q", folder))
    talk(shell(f"musicgen cat shards -o all.npy -q && musicgen train all.npy {model} {TINY} -o all.pt", folder))
    talk(shell(f"musicgen train shards {model} {TINY} -o shards.pt", folder))
    (rows, weights, facts), other = history(folder / "all.pt"), history(folder / "shards.pt")
    assert (rows, facts) == (other[0], other[2])
    assert all(torch.equal(other[1][name], value) for name, value in weights.items())


def test_several_corpora_named_are_trained_on_and_a_folder_is_scored(folder: Path) -> None:
    for part in "abc":
        talk(shell(f"musicgen encode {part} --packed -o {part}/{part}.npy -q", folder))
    talk(shell(f"musicgen train a b/b.npy c --loss cross-entropy {TINY} --source 8 --target 8", folder))
    scored = shell("musicgen eval model.pt a --json --split all -q --prime-steps 8 --length 8", folder)
    assert json.loads(scored.stdout)["songs"] == 3
    told = complaint(shell("musicgen train a b --loss bce --target 500", folder))
    assert told == "a and 1 more: no training song is as long as a window of 500 steps; try a smaller --target"


def test_very_many_songs_are_read_as_they_were_written(tmp_path: Path) -> None:
    many = [Song(f"song {i}", 60.0 + i % 100, (3 + i % 2, 4)) for i in range(20_000)]
    with (tmp_path / "many.npy").open("w+b") as file:
        writer = Writer(file, 4)
        for song in many:
            writer.add(song, np.zeros((1, 22), np.uint8))
        writer.finish()
    assert load(tmp_path / "many.npy").songs == many


def test_more_corpora_than_files_are_usually_open_at_once(folder: Path) -> None:
    talk(shell("musicgen encode a -o a.npy -q; mkdir many; for i in $(seq 100); do cp a.npy many/$i.npy; done", folder))
    done = talk(shell("ulimit -Sn 64; musicgen cat many -o all.npy", folder))
    assert done[0].startswith("joined 300 songs of 100 files")


def test_words_with_room_for_more_than_any_word_are_refused() -> None:  # they would make all others as wide
    np.save(file := io.BytesIO(), np.array(["C4:1"], "U600"))
    with pytest.raises(corpora.MusicgenError, match="room for words of 600 letters"):
        corpora.load(file)
