"""Words through the commands, and the models that make one choice a step, as a stranger would use them."""

import io
import json
import re
import shutil
import typing
from pathlib import Path

import numpy as np
import pytest

from musicgen_cli import corpus as corpora
from musicgen_cli import words
from musicgen_cli.commands.train import train
from musicgen_cli.corpus import Corpus
from musicgen_cli.losses import LOSSES
from musicgen_cli.models import MODELS
from musicgen_cli.training import OPTIMIZERS
from tests.tunes import complaint, musicgen, shell, talk, write_song, write_songs

TINY = "--hidden 8 --dense 8 --layers 1 --epochs 1 --source 16 --target 16 --transpose 0 --threads 1"
LONGER = f"{TINY.replace('--epochs 1', '--epochs 2')} words.npy --model text"


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs/, words.npy, plain.npy, rolls.npy, and text.pt and next.pt that were trained on them."""
    folder = tmp_path_factory.mktemp("taught")
    write_songs(folder / "songs", 12)
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


@pytest.fixture
def begun(desk: Path) -> Path:
    """The folder with part.pt, a training of words that was stopped."""
    talk(shell(f"musicgen train {LONGER} -o part.pt --minutes 0.0001", desk))
    return desk


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


def test_vocab_counts_words_alone_and_of_one_form(taught: Path) -> None:
    assert complaint(shell("musicgen vocab rolls.npy --stats", taught)).startswith("rolls.npy: holds rolls, not words")
    assert complaint(shell("musicgen vocab words.npy plain.npy --stats", taught)).startswith(
        "plain.npy: holds plain words at 2 steps per quarter note, words.npy words at 4"
    )


def test_vocab_takes_a_folder_as_train_does(taught: Path, tmp_path: Path) -> None:  # it was said to be no file
    shards = tmp_path / "shards"
    shards.mkdir()
    for k in (1, 2, 10):
        shutil.copy(taught / "words.npy", shards / f"{k}.npy")
    line = "musicgen vocab {} -q -o " + str(tmp_path / "{}.npy")
    talk(shell(line.format(shards, "folder"), taught))
    talk(shell(line.format("words.npy words.npy words.npy", "named"), taught))
    assert (tmp_path / "folder.npy").read_bytes() == (tmp_path / "named.npy").read_bytes()
    onto = shell(f"musicgen vocab {shards} -o {shards}/10.npy", taught)
    assert complaint(onto) == f"{shards}/10.npy: is read by this very command; name another output"
    (tmp_path / "empty").mkdir()
    assert "no .npy in this folder" in complaint(shell(f"musicgen vocab {tmp_path}/empty --stats", taught))


# -- train


def test_the_choices_of_train_are_the_registries() -> None:
    hints = typing.get_type_hints(train)
    models, losses = (
        [name for kind in typing.get_args(hints[option]) for name in typing.get_args(kind)]
        for option in ("model", "loss")
    )
    assert models == list(MODELS)
    assert set(losses) == {name for by_name in LOSSES.values() for name in by_name}
    assert typing.get_args(hints["optimizer"]) == tuple(OPTIMIZERS)


# -- sample


def test_words_go_on_from_words_and_from_a_midi_file(desk: Path) -> None:
    write_song(desk / "prime.mid", 1)
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
        ("text.pt --threshold 0.5", "text.pt: chooses words or notes"),
    ],
)
def test_what_a_model_cannot_do_is_refused(taught: Path, options: str, wrong: str) -> None:
    assert complaint(shell(f"musicgen sample {options}", taught)).startswith(wrong)


# -- eval


# -- plot


def test_plot_refuses_other_names_and_draws_into_a_pipe(taught: Path) -> None:
    assert "a picture is a .svg or a .png" in complaint(musicgen("plot", "rolls.npy", "-o", "x.jpg", cwd=taught))
    assert shell("musicgen plot rolls.npy | head -c 4", taught).stdout == b"<svg"


# -- going on with a training


def test_a_training_goes_on_with_the_same_music_of_the_same_form_alone(begun: Path) -> None:
    wrong = complaint(shell("musicgen train rolls.npy -o part.pt --resume", begun))
    assert wrong.startswith("rolls.npy: holds rolls at 4 steps per quarter note, the model reads words at 4")
    shorter = load(begun / "words.npy")  # the same onsets, so the same digests, but other music
    with (begun / "words.npy").open("wb") as file:
        corpora.save(corpora.gather([(song, clipped(shorter[i])) for i, song in enumerate(shorter.songs)]), file)
    wrong = complaint(shell("musicgen train -o part.pt --resume", begun))
    assert re.fullmatch(r"words.npy: holds other music \(\w{8}\) than the training began with \(\w{8}\)", wrong)


def clipped(song: np.ndarray) -> np.ndarray:
    """A song whose last long chord ends a step earlier."""
    i = max(i for i, steps in enumerate(words.lengths(song)) if steps > 1 and not song[i].startswith("R"))
    chord, _, steps = str(song[i]).partition(":")
    return np.array([*song[:i], f"{chord}:{int(steps) - 1}", "R:1", *song[i + 1 :]])
