import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import midi, two_sample
from musicgen_cli.roll import decode, encode, sounding
from musicgen_cli.score import quantise
from musicgen_cli.two_sample import Result, tell_apart
from tests.tunes import BAR, tune

pytestmark = pytest.mark.slow
NORMAL = 1.959964  # standard deviations on each side of 95 %
CHORALES = Path(__file__).parents[2] / "shared" / "corpora" / "chorales"


@pytest.fixture(autouse=True)
def hardly_any_training(monkeypatch):
    monkeypatch.setattr(two_sample, "STEPS", 2)


@pytest.fixture
def training(hardly_any_training, monkeypatch):
    monkeypatch.setattr(two_sample, "STEPS", 25)
    monkeypatch.setattr(two_sample, "BATCH", 32)


def noise(count, seed, bars=6, density=0.05):
    """Songs of notes at random on two octaves."""
    rng = np.random.default_rng(seed)
    songs = rng.random((count, BAR * bars, 88, 2)) < density
    songs[:, :, :30] = songs[:, :, 54:] = False
    return list(songs)


@cache
def tunes(first, count):
    return [encode(tune(number, voices=3)) for number in range(first, first + count)]


@cache
def chorales(side):
    if not CHORALES.exists():
        pytest.skip("no shared/corpora/chorales beside the repository")
    names = json.loads((CHORALES / "split.json").read_text())[side][:20]
    return [encode(quantise(midi.read((CHORALES / name).read_bytes())[0], 4)) for name in names]


# --- what it says ---


@pytest.mark.usefixtures("training")
def test_music_of_one_source_cannot_be_told_apart():
    found = tell_apart(noise(12, 0), noise(12, 1), BAR)
    assert found.interval[0] < 0.5 < found.interval[1]
    assert found.by_song[0] < 0.5 < found.by_song[1]


@pytest.mark.usefixtures("training")
@pytest.mark.parametrize("made", [noise(8, 1, density=0.0), noise(8, 1)], ids=["silence", "noise"])
def test_what_is_different_is_told(made):
    found = tell_apart(tunes(0, 12), made, BAR)
    assert found.accuracy > 0.95
    assert found.interval[0] > 0.85


@pytest.mark.usefixtures("training")
def test_chorales_cannot_be_told_from_other_chorales_but_from_notes_drawn_one_by_one():
    known, other = chorales("train"), chorales("valid")
    low, high = tell_apart(known, other, BAR).by_song
    assert low < 0.5 < high
    rng = np.random.default_rng(0)
    drawn = [rng.random(song.shape) < song.mean(0) for song in other]  # each bit as often as in the song
    assert tell_apart(known, drawn, BAR).accuracy > 0.9


@pytest.mark.usefixtures("training")
def test_what_is_heard_alike_is_judged_alike():
    """Bits that change no note would give a model away that nobody could hear."""
    made = tunes(12, 8)
    odd = [song.copy() for song in made]
    for song in odd:
        song[:, :, 1] |= song[:, :, 0]  # a start that continues is a start
        song[1:, :, 0] &= sounding(song)[:-1]  # a continue with nothing to continue is one, too
    assert all(decode(one, 4) == decode(other, 4) for one, other in zip(made, odd))
    assert tell_apart(tunes(0, 8), made, BAR) == tell_apart(tunes(0, 8), odd, BAR)


@pytest.mark.usefixtures("training")
def test_sounding_keys_are_judged_too():
    real, made = ([sounding(song) for song in songs] for songs in (tunes(0, 12), noise(12, 1)))
    assert tell_apart(real, made, BAR).accuracy > 0.95


# --- who is judged ---


def test_as_many_real_bars_as_made_ones_are_judged():
    found = tell_apart(noise(9, 0), noise(4, 1), BAR)
    assert (found.of, found.made) == (2 * 2 * 6, 2)  # two of four songs, of six bars each
    assert found.real <= 5


def test_no_more_bars_are_judged_than_it_says(monkeypatch):
    monkeypatch.setattr(two_sample, "MOST", 7)
    assert tell_apart(noise(4, 0), noise(4, 1), BAR).of == 2 * 7


@given(st.integers(0, 20), st.integers(0, 1000))
def test_no_song_is_in_both_halves(count, seed):
    one, other = two_sample._halves([np.full((1, 88), i) for i in range(count)], np.random.default_rng(seed))
    assert sorted(int(song[0, 0]) for song in [*one, *other]) == list(range(count))
    assert len(other) - len(one) in (0, 1)


@pytest.mark.usefixtures("training")
def test_a_song_is_not_known_by_its_other_bars():
    """Each song says one bar of its own again and again: whoever learned from some of them knows the others."""
    songs = [np.tile(bar[:BAR], (6, 1, 1)) for bar in noise(32, 0, bars=1)]
    assert abs(tell_apart(songs[:16], songs[16:], BAR).accuracy - 0.5) < 0.3


@pytest.mark.parametrize("made", [[], noise(1, 1), noise(3, 1, bars=0)], ids=["none", "one song", "no whole bar"])
def test_too_little_music_is_undefined(made):
    assert tell_apart(noise(6, 0), made, BAR) is None
    assert tell_apart(made, noise(6, 0), BAR) is None


def test_two_songs_on_a_side_are_enough_for_bars_and_too_few_for_an_interval_by_song():
    found = tell_apart(noise(2, 0), noise(2, 1), BAR)
    assert (found.of, found.real, found.made, found.by_song) == (2 * 6, 1, 1, None)


@pytest.mark.usefixtures("training")
def test_the_same_seed_says_the_same_and_leaves_the_global_generators_alone():
    torch.manual_seed(5)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, other = (tell_apart(noise(8, 0), noise(8, 1, 4), BAR, seed=3) for _ in range(2))
    assert one == other
    assert one != tell_apart(noise(8, 0), noise(8, 1, 4), BAR, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002


# --- how sure it is ---


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)],  # Wilson's interval, worked by hand
)
def test_the_interval_is_wilsons(right, of, low, high):
    assert Result(right, of, 1, 1, None).interval == pytest.approx((low, high), abs=5e-4)


@given(st.integers(1, 2000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_ends_of_the_interval_are_just_within_reach_of_the_share(counts):
    """Wilson: the shares from which the one that was found lies so many standard deviations away."""
    found = Result(*counts, 1, 1, None)
    for end in found.interval:
        deviation = math.sqrt(max(end * (1 - end), 0) / found.of)
        assert abs(found.accuracy - end) == pytest.approx(NORMAL * deviation, abs=1e-6)


def test_songs_that_are_told_as_a_whole_make_the_interval_by_song_wider():
    bars = two_sample._Bars(np.zeros((160, 1, 2, 88), bool), np.repeat(np.arange(8), 20))
    whole = np.repeat(np.arange(8) % 2 == 0, 20)  # all bars of a song right, or none
    mixed = np.tile([True, False], 80)
    wide, narrow = (two_sample._by_song([right] * 2, [bars] * 2, np.random.default_rng(0)) for right in (whole, mixed))
    assert narrow == (0.5, 0.5)  # every song is told by halves
    # The standard deviation of the mean of 16 songs of 0 and 1 is 1/8.
    assert wide == pytest.approx((0.5 - 1.96 / 8, 0.5 + 1.96 / 8), abs=0.04)
