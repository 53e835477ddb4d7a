"""What a sample says of itself: the line that makes it again."""

import shlex

import numpy as np
import pytest

from musicgen_cli import corpus
from musicgen_cli.cli import run
from musicgen_cli.corpus import Corpus, Song
from tests.test_cli import wrong
from tests.tunes import write_song, write_songs

SMALL = "--hidden 8 --dense 8 --layers 1 --epochs 1 --source 16 --target 16 --transpose 0 --batch-size 4 -q"
MODELS = {
    "chord": "rolls.npy --loss chord --hidden 8 --dense 8 --epochs 1 --batch-size 4 --transpose 0 -q",
    "bits": f"rolls.npy --model poly --loss focal {SMALL}",
    "words": f"words.npy --model text {SMALL}",
}
FROM_NOTHING = ("--start zeros --length 20", "--start random --length 20", "--temperature 0.5 --count 2 --bars 1")
AFTER = ("--song 2 --length 20", "--song tune-03 --prime-steps 20 --include-prime --length 8", "--length 8")
BESIDE = (
    "--melody tune.mid --length 9",
    "--melody tune.mid --temperature 0",
    "--keep piece.mid --particles 1 --length 20",
    "--keep rolls.npy --song tune-02 --particles 3 --length 8",
)
NAMED = (  # the name of a song, --song as it is typed, and as it is noted
    ("same", "same", "same"), ("same", "002", "002"), ("2", "2", "2"), ("02", "02", "02"), ("", "5", "5"),
    ("two\nlines", "6", "6"), ("\ud800", "7", "7"), ("a\0b", "8", "8"), ("x" * 16_200, "9", "9"), ("-q", "10", "-q"),
    ("it's", "it's", "it's"), ("1", "1", "1"),
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with songs as rolls.npy and as words.npy, two MIDI files, and a small model of each of MODELS."""
    folder = tmp_path_factory.mktemp("home")
    write_songs(folder / "songs", 8, bars=4)
    write_song(folder / "tune.mid", 30, voices=1, bars=2)
    write_song(folder / "piece.mid", 31, voices=4, bars=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in ("encode songs -o rolls.npy -q", "encode songs --as words -o words.npy -q"):
            assert run(line.split()) == 0
        for name, line in MODELS.items():
            assert run(["train", *line.split(), "-o", f"{name}.pt"]) == 0
    return folder


@pytest.fixture
def sample(home, monkeypatch):
    """Runs `musicgen sample` in that folder: the songs that it made."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def sample(*arguments: str) -> Corpus:
        assert run(["sample", *arguments, "-q", "-o", "made.npy"]) == 0
        return load(home / "made.npy")

    return sample


def load(path):
    with path.open("rb") as file:
        return corpus.load(file)


def save(path, songs):
    with path.open("wb") as file:
        corpus.save(corpus.gather(songs), file)


def again(sample, song: Song) -> Corpus:
    command, said, *line = shlex.split(song.text.rpartition("; ")[0])
    assert (command, said) == ("musicgen", "sample")
    return sample(*line)


@pytest.mark.parametrize(
    ("model", "how"),
    [(model, how) for model in MODELS for how in FROM_NOTHING]
    + [(model, f"--prime {'words' if model == 'words' else 'rolls'}.npy {how}") for model in MODELS for how in AFTER]
    + [(model, "--prime tune.mid --prime-steps 9 --include-prime --length 8") for model in MODELS]
    + [(model, how) for model in ("chord", "bits") for how in BESIDE],
)
def test_the_line_in_a_sample_makes_it_again_however_it_begins(sample, model, how):
    made = sample(f"{model}.pt", *how.split())
    for i, song in enumerate(made.songs):
        found = again(sample, song)
        assert np.array_equal(found[0], made[i])
        assert found.songs[0].text == song.text


def test_a_line_says_what_was_typed_and_not_what_could_not_be(sample):
    cold, *_ = sample("bits.pt", "--melody", "tune.mid", "--temperature", "0").songs
    alone, *_ = sample("bits.pt", "--melody", "tune.mid", "--particles", "1", "--device", "cpu").songs
    assert "--particles" not in cold.text
    assert "--particles 1;" in alone.text
    assert "--device cpu" in alone.text
    assert "--device" not in cold.text


def test_a_song_is_called_by_its_number_where_its_name_does_not_find_it(sample, home):
    roll = load(home / "rolls.npy")[0]
    save(home / "named.npy", [(Song(name), roll[: 20 + i]) for i, (name, _, _) in enumerate(NAMED)])
    for i, (_, typed, noted) in enumerate(NAMED):
        made = sample("bits.pt", "--prime", "named.npy", "--song", typed, "--include-prime", "--length", "3")
        assert np.array_equal(made[0][:-3], roll[: 20 + i])
        assert f" --song {shlex.quote(noted)} " in made.songs[0].text
        assert np.array_equal(again(sample, made.songs[0])[0], made[0])


def test_song_1_is_taken_whatever_song_is_named_1(sample, home):
    music = load(home / "rolls.npy")
    save(home / "numbers.npy", [(Song(name), music[i]) for i, name in enumerate("21")])
    made = sample("bits.pt", "--prime", "numbers.npy", "--include-prime", "--length", "3")
    assert np.array_equal(made[0][:-3], music[0])


def test_a_model_whose_name_begins_with_a_dash_is_no_option(sample, home):
    (home / "-m.pt").write_bytes((home / "bits.pt").read_bytes())
    made = sample("./-m.pt", "--length", "8")
    assert np.array_equal(again(sample, made.songs[0])[0], made[0])


def test_no_song_is_longer_than_can_be_said_again(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    save(home / "slow.npy", [(Song(time_signature=(12, 4)), load(home / "rolls.npy")[0])])
    assert wrong(capsys, "sample bits.pt --prime slow.npy --bars 65536").startswith(
        "a song lasts 1048576 steps at most"
    )
