import numpy as np
import pytest
import torch

from musicgen_cli import two_sample
from musicgen_cli.two_sample import Result, tell_apart


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    monkeypatch.setattr("musicgen_cli.two_sample.STEPS", 60)


def songs(count, seed, bars=6, density=0.03):
    rng = np.random.default_rng(seed)
    return [rng.random((16 * bars, 88, 2)) < density for _ in range(count)]


def test_music_of_one_source_cannot_be_told_apart():
    low, high = tell_apart(songs(12, 0), songs(12, 1), 16).interval
    assert low < 0.5 < high


@pytest.mark.parametrize("made", [songs(8, 1, density=0.0), songs(8, 1, density=0.2)], ids=["silence", "noise"])
def test_what_is_different_is_told(made):
    assert tell_apart(songs(12, 0), made, 16).accuracy > 0.95


def test_the_same_seed_says_the_same_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (tell_apart(songs(6, 0), songs(6, 1), 16, seed=3) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)


def test_as_many_real_bars_as_made_ones_are_judged_and_no_song_is_in_both_halves():
    many, few = songs(9, 0), songs(4, 1)
    assert tell_apart(many, few, 16).of == 2 * 2 * 6  # two of four songs, of six bars each
    for i, song in enumerate(many):  # each song is known by its density
        song[:] = np.arange(88)[:, None] < i + 1
    halves = two_sample._halves(many, 16, np.random.default_rng(0))
    found = [{int(bar[0, :, 0].sum()) for bar in half} for half in halves]
    assert not found[0] & found[1]
    assert found[0] | found[1] == set(range(1, 10))


def test_sounding_keys_are_judged_too():
    one, other = ([song[:, :, 0] for song in songs(6, seed)] for seed in (0, 1))
    assert tell_apart(one, other, 16) is not None


@pytest.mark.parametrize("made", [[], songs(1, 1), songs(3, 1, bars=0)], ids=["none", "one song", "no whole bar"])
def test_too_little_music_is_undefined(made):
    assert tell_apart(songs(6, 0), made, 16) is None


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)],  # Wilson's interval, worked by hand
)
def test_the_interval_is_wilsons(right, of, low, high):
    assert Result(right, of).interval == pytest.approx((low, high), abs=5e-4)
