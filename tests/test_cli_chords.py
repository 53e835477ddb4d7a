"""Chords, memory, several models and given melodies on the command line, as their users type them."""

import io
import json

import numpy as np
import pytest

from musicgen_cli import corpus, harmony, roll
from tests.test_cli import wrong
from tests.tunes import shell, talk, write_song, write_songs

pytestmark = pytest.mark.slow
SMALL = "--loss chord --hidden 8 --dense 8 --epochs 2 --batch-size 2 --transpose 2 -q"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs shell scripts in a folder that holds rolls and three small models of them."""
    home = tmp_path_factory.mktemp("chords")

    def run(script):
        return shell(script, home)

    run.home = home
    write_songs(home / "songs", 12, bars=4)
    write_song(home / "tune.mid", 30, voices=1, bars=2)
    write_song(home / "piece.mid", 31, voices=4, bars=4)
    talk(run("musicgen encode songs -o rolls.npy && musicgen encode songs --bits 1 -o one.npy"))
    np.save(home / "silence.npy", np.zeros((9, 88, 2), bool))
    for name, more in {"a": "", "b": "--seed 1", "m": "--memory --model poly"}.items():
        assert talk(run(f"musicgen train rolls.npy {SMALL} {more} -o {name}.pt")) == []
    return run


def music(data):
    return corpus.load(io.BytesIO(data))


def test_chords_need_no_more_than_their_name(run):
    told = json.loads(run("musicgen show a.pt --json").stdout)
    assert (told["model"], told["loss"]["name"]) == ("next", "chord")
    talk(run(f"musicgen train one.npy {SMALL} -o one.pt && musicgen sample one.pt --bars 2 -o one-made.npy"))
    assert music((run.home / "one-made.npy").read_bytes()).bits == 1


@pytest.mark.parametrize("model", ["a", "m"])
def test_the_same_seed_draws_the_same_song_alone_or_in_company(run, model):
    alone = music(run(f"musicgen sample {model}.pt --seed 5 --length 40").stdout)
    among = music(run(f"musicgen sample {model}.pt --seed 4 --count 3 --length 40").stdout)
    assert (alone[0] == among[1]).all()
    assert (among[0] != among[1]).any()
    cold = run(f"musicgen sample {model}.pt --temperature 0 --length 9").stdout
    assert (music(cold).music == music(run(f"musicgen sample {model}.pt --top-k 1 --length 9").stdout).music).all()


def test_a_prime_comes_first_and_is_heard(run):
    one, other = (
        music(run(f"musicgen sample m.pt --prime rolls.npy --song {song} --seed 3 --length 24 --include-prime").stdout)
        for song in (1, 2)
    )
    first = music((run.home / "rolls.npy").read_bytes())[0]
    assert (one.music[: len(first)] == first).all()
    assert len(one.music) == len(first) + 24
    assert (one.music[-24:] != other.music[-24:]).any()


def test_several_models_are_averaged_and_stand_beside_each_of_them(run):
    told = json.loads(run("musicgen eval a.pt b.pt m.pt rolls.npy --split valid --json").stdout)
    average, *each, one_rate, rates = told["one_step"]
    assert [row["name"] for row in (average, *each)] == ["average of 3", "a.pt", "b.pt", "m.pt"]
    assert (one_rate["name"], rates["name"]) == ("one rate for all bits", "a rate for each bit")
    nats = [row["nats_per_step"] for row in each]
    assert average["nats_per_step"] <= sum(nats) / 3  # a mean of probabilities is no less likely (Jensen)
    alone = json.loads(run("musicgen eval b.pt rolls.npy --split valid --json").stdout)["one_step"][0]
    assert alone["nats_per_step"] == pytest.approx(nats[1], rel=1e-6)
    assert "average of 3" in run("musicgen eval a.pt b.pt m.pt rolls.npy").stdout.decode()


def test_a_melody_comes_out_as_the_top_line_of_its_harmonisation(run):
    made = music(run("musicgen sample a.pt --melody tune.mid --seed 1 --count 2").stdout)
    tune = music(run("musicgen encode tune.mid").stdout)
    assert (made.songs[0].tempo, made.songs[0].time_signature) == (tune.songs[0].tempo, tune.songs[0].time_signature)
    for song in (made[0], made[1]):
        assert (harmony.top_line(song) == tune[0]).all()
        assert (song & ~tune[0]).any()
    longer = music(run("musicgen sample a.pt --melody tune.mid --particles 4 --length 50").stdout)
    assert len(longer.music) == 50
    said = talk(run("musicgen sample a.pt --melody tune.mid --particles 4 --length 20 -o short.npy"))
    assert "only 20 of its" in said[0]


def test_a_harmonisation_is_the_same_alone_or_in_company_whatever_the_tries(run):
    for tries in (1, 5):
        sample = f"musicgen sample m.pt --melody tune.mid --particles {tries}"
        alone, among = (music(run(f"{sample} {more}").stdout) for more in ("--seed 5", "--seed 4 --count 2"))
        assert (alone[0] == among[1]).all()
        assert f"--particles {tries}" in alone.songs[0].text


def test_what_is_undefined_is_null_in_json(run):
    np.save(run.home / "step.npy", np.eye(88, dtype=bool)[:1].repeat(2).reshape(1, 88, 2))
    told = json.loads(run("musicgen eval a.pt step.npy --json").stdout, parse_constant=lambda name: 1 / 0)
    assert told["one_step"][0]["nats_without_first"] is None
    assert (told["memory"], json.loads(run("musicgen eval m.pt rolls.npy --json").stdout)["memory"]) == (False, True)


def test_the_notes_that_are_kept_stay_and_others_join_them(run):
    kept = music(run("musicgen encode piece.mid").stdout)[0]
    made = music(run("musicgen sample a.pt --keep piece.mid --particles 8 --seed 1").stdout)[0]
    notes = [{tuple(note) for note in roll.decode(each, 4).notes.tolist()} for each in (kept, made)]
    assert notes[0] < notes[1]


def test_training_with_memory_resumes_bit_for_bit(run):
    train = f"musicgen train rolls.npy {SMALL} --memory --model poly -o part.pt --minutes 0.0001"
    talk(run(f"{train} && {train} --resume && musicgen train rolls.npy -o part.pt --resume -q"))
    ends = [run(f"musicgen sample {name}.pt --seed 1 --length 30").stdout for name in ("m", "part")]
    assert np.array_equal(*(music(end).music for end in ends))


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        ("train rolls.npy --model poly --loss bce --memory --teacher-forcing 0.5", 1, "full --teacher-forcing"),
        ("train rolls.npy --model next --loss bce --memory --forcing-decay linear", 1, "full --teacher-forcing"),
        ("train rolls.npy --loss chord --teacher-forcing 0.5", 1, "full --teacher-forcing"),
        ("sample a.pt --melody silence.npy", 1, "has no notes to keep"),
        ("eval rolls.npy --against rolls.npy --split valid", 2, "--split are for models"),
        ("eval --against rolls.npy", 2, "a corpus of samples: name it"),
        ("eval a.pt a.pt rolls.npy", 2, "named twice"),
        ("eval a.pt b.pt rolls.npy --length 5", 2, "no --length"),
        ("sample a.pt --melody tune.mid --prime tune.mid", 2, "leave one out"),
        ("sample a.pt --particles 2", 2, "goes with --melody or --keep"),
        ("sample a.pt --song 2", 2, "--song goes with"),
        ("sample a.pt --threshold 0.4", 1, "--threshold is for bce and focal"),
        ("eval rolls.npy", 2, "--against REAL or --copied-from TRAINED"),
        ("eval a.pt rolls.npy one.npy", 2, "name one"),
        ("eval a.pt b.pt rolls.npy --temperature 1", 2, "several models"),
        ("eval a.pt one.npy", 1, "one.npy: holds sounding keys"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(run, monkeypatch, capsys, script, code, told):
    monkeypatch.chdir(run.home)
    assert told in wrong(capsys, script, code)
