"""Words through the commands, and the models that make one choice a step, as a stranger would use them."""

import io
import json
import shutil
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musicgen_cli import corpus as corpora
from musicgen_cli import words
from musicgen_cli.commands.train import train
from musicgen_cli.corpus import Corpus
from musicgen_cli.losses import LOSSES
from musicgen_cli.models import MODELS
from musicgen_cli.training import OPTIMIZERS
from tests.tunes import complaint, musicgen, shell, talk, write_song, write_songs

TINY = "--hidden 8 --dense 8 --layers 1 --epochs 1 --source 16 --target 16 --threads 1"


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs/, words.npy, plain.npy, rolls.npy, and text.pt and next.pt that were trained on them."""
    folder = tmp_path_factory.mktemp("taught")
    write_songs(folder / "songs", 12, bars=17)
    for line in (
        "musicgen encode songs --as words -o words.npy",
        "musicgen encode songs --as words --plain -o plain.npy",
        "musicgen encode songs -o rolls.npy",
        f"musicgen train --model text {TINY} -o text.pt",
        f"musicgen train --model next {TINY} -o next.pt",
    ):
        talk(shell(line, folder))
    return folder


@pytest.fixture
def desk(tmp_path: Path, taught: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(taught, tmp_path / "desk")


def load(data: bytes | Path) -> Corpus:
    return corpora.load(io.BytesIO(data if isinstance(data, bytes) else data.read_bytes()))


# -- encode and decode


def test_words_are_text_that_numpy_reads(taught: Path) -> None:
    music = np.load(taught / "words.npy")
    assert music.dtype.kind == "U"
    about = json.loads(musicgen("show", "--json", "words.npy", cwd=taught).stdout)
    assert (about["kind"], about["words"], about["songs"]) == ("corpus of words", len(music), 12)
    assert (
        "notes cut or drawn out" in shell("musicgen encode songs --as words | cat > /dev/null", taught).stderr.decode()
    )


@pytest.mark.parametrize("form", ["--as words", "--as words --plain", "", "--bits 1"])
def test_what_decode_makes_of_a_corpus_encode_reads_as_the_same(taught: Path, tmp_path: Path, form: str) -> None:
    shutil.copytree(taught / "songs", tmp_path / "songs")
    for line in (f"encode songs {form} -o a.npy", "decode a.npy -o midi/", f"encode midi {form} -o b.npy"):
        talk(shell(f"musicgen {line}", tmp_path))
    before, after = load(tmp_path / "a.npy"), load(tmp_path / "b.npy")
    assert np.array_equal(before.music, after.music)
    assert np.array_equal(before.offsets, after.offsets)
    assert [song.tempo for song in before.songs] == pytest.approx([song.tempo for song in after.songs], rel=1e-5)


def test_one_song_of_words_goes_through_a_pipe_and_back(taught: Path) -> None:
    line = "musicgen encode songs/tune-01.mid --as words | musicgen decode | musicgen encode - --as words"
    assert np.array_equal(load(shell(line, taught).stdout)[0], load(taught / "words.npy")[0])


def test_words_written_by_hand_are_played(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.array(["C4.E4.G4:4", "R:2", "0.4.7", "B-3"]))
    again = load(shell("musicgen decode own.npy | musicgen encode - --as words", tmp_path).stdout)
    assert again.music.tolist() == ["C4.E4.G4:4", "R:2", "C4.E4.G4:1", "B-3:1"]


@pytest.mark.parametrize("word", ["H4:2", "C4:0", "C4:-1", "C4:999999", "", "C9:1", "<unknown>"])
def test_a_word_that_is_none_is_named(tmp_path: Path, word: str) -> None:
    np.save(tmp_path / "own.npy", np.array(["C4:1", word]))
    assert complaint(musicgen("decode", "own.npy", "-o", "out.mid", cwd=tmp_path)).startswith("own.npy: ")
    assert not (tmp_path / "out.mid").exists()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("--plain", "--plain is a form of words"),
        ("--as words --packed", "of rolls"),
        ("--as words --bits 1", "of rolls"),
        ("--as words --max-steps 200000", "131072 steps at most"),
    ],
)
def test_options_of_another_form_are_refused(taught: Path, options: str, wrong: str) -> None:
    assert wrong in complaint(shell(f"musicgen encode songs {options} -o new.npy", taught), 2)


# -- vocab


def test_a_vocabulary_is_two_arrays_commonest_first(taught: Path) -> None:
    file = io.BytesIO(shell("musicgen vocab words.npy | cat", taught).stdout)
    listed, counts = np.load(file), np.load(file)
    distinct, times = np.unique(np.load(taught / "words.npy"), return_counts=True)
    assert listed[:2].tolist() == ["<start>", "<unknown>"]
    assert dict(zip(listed[2:].tolist(), counts[2:].tolist())) == dict(zip(distinct.tolist(), times.tolist()))
    assert counts[2:].tolist() == sorted(times.tolist(), reverse=True)


def test_vocab_says_what_it_counted_and_keeps_what_it_is_asked_to(taught: Path) -> None:
    told = json.loads(shell("musicgen vocab words.npy words.npy --size 5 --json", taught).stdout)
    music = np.load(taught / "words.npy")
    most = sorted(np.unique(music, return_counts=True)[1])[-5:]
    assert (told["words"], told["met"]) == (5, 2 * len(music))
    assert told["coverage"] == pytest.approx(sum(most) / len(music))
    text = shell("musicgen vocab words.npy --min-count 2 --stats", taught).stdout.decode()
    assert "met once: 0" in text
    assert "unigram perplexity: " in text


def test_vocab_counts_words_alone_and_of_one_form(taught: Path) -> None:
    assert complaint(shell("musicgen vocab rolls.npy --stats", taught)).startswith("rolls.npy: holds rolls, not words")
    assert complaint(shell("musicgen vocab words.npy plain.npy --stats", taught)).startswith(
        "plain.npy: holds plain words, not words"
    )


def test_show_tells_a_vocabulary_from_a_corpus(taught: Path) -> None:
    facts = json.loads(shell("musicgen vocab words.npy | musicgen show --json", taught).stdout)
    assert (facts["kind"], facts["the words"][0]["word"]) == ("vocabulary", "<start>")


# -- train


def test_the_choices_of_train_are_the_registries() -> None:
    hints = typing.get_type_hints(train)
    assert typing.get_args(hints["model"]) == tuple(MODELS)
    losses = [name for kind in typing.get_args(hints["loss"]) for name in typing.get_args(kind)]
    assert set(losses) == {name for by_name in LOSSES.values() for name in by_name}
    assert typing.get_args(hints["optimizer"]) == tuple(OPTIMIZERS)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("rolls.npy --model text", "rolls.npy: holds rolls, and --model text reads words: take --model next or "),
        ("words.npy --model poly --loss focal", "words.npy: holds words, and --loss focal does not fit: take cross-"),
        ("rolls.npy --vocab vocab.npy", "rolls.npy: holds rolls: --vocab is for words"),
        ("plain.npy --model text --vocab vocab.npy", "plain.npy: none of its words is in the vocabulary"),
        ("words.npy --model text --vocab words.npy", "words.npy: is no vocabulary"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_does(desk: Path, options: str, wrong: str) -> None:
    talk(shell("musicgen vocab words.npy -o vocab.npy", desk))
    assert complaint(shell(f"musicgen train {TINY} {options} -o new.pt", desk)).startswith(wrong)
    assert not (desk / "new.pt").exists()


def test_unknown_words_are_counted_heard_as_one_and_never_sampled(desk: Path) -> None:
    talk(shell("musicgen vocab words.npy --size 4 -o vocab.npy", desk))
    said = talk(shell(f"musicgen train words.npy --model seq2seq --vocab vocab.npy {TINY} -o few.pt", desk))
    few = np.load(desk / "vocab.npy")[2:]
    kept = torch.load(desk / "few.pt", weights_only=True)
    assert kept["words"][2:] == few.tolist()
    unknown = int(said[0].split()[0])
    trained_on = [i for i in range(12) if load(desk / "words.npy").digest(i) in kept["split"]["train"]]
    assert unknown == sum(int((~np.isin(load(desk / "words.npy")[i], few)).sum()) for i in trained_on) > 100
    made = load(shell("musicgen sample few.pt --count 3 --bars 8 --temperature 5 --seed 1", desk).stdout)
    assert set(made.music.tolist()) - {word for word in made.music.tolist() if word in few} <= {
        made[i][-1]
        for i in range(3)  # the last word of a song may be cut
    }
    primed = shell("musicgen sample few.pt --prime words.npy --song 1 --bars 1", desk)
    assert "not in the model's vocabulary: heard as one unknown word" in primed.stderr.decode()


def test_a_training_of_words_goes_on_as_if_it_had_not_stopped(desk: Path) -> None:
    options = f"{TINY.replace('--epochs 1', '--epochs 3')} words.npy --model text"
    talk(shell(f"musicgen train {options} -o whole.pt", desk))
    talk(shell(f"musicgen train {options} -o part.pt --minutes 0.0001", desk))
    talk(shell(f"musicgen train {options} -o part.pt --resume", desk))
    whole, part = (torch.load(desk / name, weights_only=True) for name in ("whole.pt", "part.pt"))
    assert all(torch.equal(whole["state_dict"][name], part["state_dict"][name]) for name in whole["state_dict"])
    assert [row["train_loss"] for row in whole["history"]] == [row["train_loss"] for row in part["history"]]


# -- sample


def test_words_last_as_many_bars_as_asked_and_each_song_has_its_own_seed(taught: Path) -> None:
    made = load(shell("musicgen sample text.pt --count 3 --bars 5 --seed 7", taught).stdout)
    assert [words.lengths(made[i]).sum() for i in range(3)] == [80, 80, 80]
    alone = load(shell("musicgen sample text.pt --bars 5 --seed 9", taught).stdout)
    assert np.array_equal(alone.music, made[2])
    again = load(shell(made.songs[1].text.partition(";")[0], taught).stdout)
    assert np.array_equal(again.music, made[1])


def test_words_go_on_from_words_and_from_a_midi_file(desk: Path) -> None:
    write_song(desk / "prime.mid", 1, bars=17)
    options = "--prime-steps 30 --include-prime --length 20 --seed 3"
    from_words = load(shell(f"musicgen sample text.pt --prime words.npy --song 1 {options}", desk).stdout)
    from_midi = load(shell(f"musicgen sample text.pt --prime prime.mid {options}", desk).stdout)
    assert np.array_equal(from_words.music, from_midi.music)
    assert words.lengths(from_words.music).sum() == 50
    assert np.array_equal(words.cut(from_words.music, 30), words.cut(load(desk / "words.npy")[0], 30))


def test_one_key_a_step_is_what_next_plays(taught: Path) -> None:
    made = load(shell("musicgen sample next.pt --bars 4 --seed 2 --top-k 20 --top-p 0.9", taught).stdout)
    assert made.roll(0).any(2).sum(1).max() == 1
    assert "--top-k 20 --top-p 0.9" in made.songs[0].text


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("text.pt --prime rolls.npy", "rolls.npy: holds rolls at 4 steps per quarter note, the model reads words at 4"),
        (
            "text.pt --prime plain.npy",
            "plain.npy: holds plain words at 2 steps per quarter note, the model reads words",
        ),
        ("next.pt --prime words.npy", "words.npy: holds words at 4 steps per quarter note, the model reads rolls at 4"),
        ("text.pt --threshold 0.5", "text.pt: makes one choice a step"),
    ],
)
def test_what_a_model_cannot_do_is_refused(taught: Path, options: str, wrong: str) -> None:
    assert complaint(shell(f"musicgen sample {options}", taught)).startswith(wrong)


# -- eval


def test_eval_of_words_adds_up(taught: Path) -> None:
    told: dict[str, Any] = json.loads(shell("musicgen eval text.pt --json --split all", taught).stdout)
    assert [row["name"] for row in told["one_step"]] == ["model", "unigram", "copy the last word"]
    assert [row["name"] for row in told["free_running"]][:3] == ["model", "model, drawn", "silence"]
    assert told["words"] == len(np.load(taught / "words.npy"))
    assert told["quarters"] == words.lengths(np.load(taught / "words.npy")).sum() / 4
    for row in told["one_step"][:2]:
        total = row["nats_per_word"] * told["words"]
        assert total == pytest.approx(row["nats_per_quarter"] * told["quarters"])
        assert total == pytest.approx(row["nats_per_note"] * told["notes"])
        assert row["perplexity"] == pytest.approx(np.exp(row["nats_per_word"]))
        assert 0 <= row["accuracy"] <= 1
    assert told["trained"]["epochs"] == 1


def test_eval_of_words_is_a_table(taught: Path) -> None:
    table = shell("musicgen eval text.pt words.npy", taught).stdout.decode()
    assert "One word ahead: 1 test song" in table
    assert all(name in table for name in ("nats/word", "/quarter", "perplexity", "unigram", "Running free: 128 steps"))
    assert "…" not in table
    wrong = complaint(shell("musicgen eval text.pt rolls.npy", taught))
    assert wrong == (
        "rolls.npy: holds rolls at 4 steps per quarter note, the model reads words at 4: encode it with --as words "
        "--steps-per-quarter 4"
    )


# -- plot


@pytest.mark.parametrize("file", ["words.npy", "rolls.npy", "songs/tune-01.mid", "text.pt", "next.pt"])
def test_plot_draws_each_kind_of_file(taught: Path, tmp_path: Path, file: str) -> None:
    talk(musicgen("plot", taught / file, "-o", "out.svg", cwd=tmp_path))
    assert (tmp_path / "out.svg").read_text().startswith("<svg")


def test_plot_refuses_other_names_and_draws_into_a_pipe(taught: Path) -> None:
    assert "a picture is a .svg or a .png" in complaint(musicgen("plot", "rolls.npy", "-o", "x.jpg", cwd=taught))
    assert shell("musicgen plot rolls.npy | head -c 4", taught).stdout == b"<svg"
