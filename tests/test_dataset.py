import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import corpus, dataset, roll
from musicgen_cli.corpus import Song

CPU = torch.device("cpu")


def a_corpus(lengths, form=2):
    rng = np.random.default_rng(0)
    shape = (88, 2) if form != 1 else (88,)
    songs = [rng.random((length, *shape)) < 0.3 for length in lengths]
    return corpus.gather(
        [(Song(str(i)), roll.pack(song) if form == "packed" else song) for i, song in enumerate(songs)]
    )


@pytest.mark.parametrize("form", [1, 2, "packed"])
def test_windows_hold_the_song_and_zeros_beyond_its_ends(form):
    music = a_corpus([7, 5], form)
    windows = dataset.cover(music, [0, 1], source=3, target=4)
    source, target, real = windows.batch(np.arange(len(windows)), CPU)
    for song, (begin, end) in enumerate([(0, 2), (2, 4)]):
        whole = music.roll(song).reshape(music.lengths[song], -1)
        written = torch.cat(list(target[begin:end]))[torch.cat(list(real[begin:end]))]
        assert (written.numpy() == whole).all()
        assert not source[begin].any()  # before the beginning
        assert (source[begin + 1].numpy() == whole[1:4]).all()
        assert not target[~real].any()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_no_window_crosses_songs(lengths, source, target, hop):  # DESIGN 8.7
    music = a_corpus(lengths)
    windows = dataset.inside(music, range(len(lengths)), source, target, hop)
    assert (windows.at >= music.offsets[windows.song]).all()
    assert (windows.at + target <= music.offsets[windows.song + 1]).all()
    for song, length in enumerate(lengths):
        places = (windows.at - music.offsets[song])[windows.song == song]
        assert len(places) == 0 if length < target else places[-1] == length - target
    if len(windows):
        heard, _, real = windows.batch(np.arange(len(windows)), CPU)
        before = windows.at - music.offsets[windows.song]
        for window, known in enumerate(before):
            assert not heard[window, : max(source - known, 0)].any()
        assert real.all()


@given(st.integers(-30, 30))
def test_transposing_moves_keys_and_loses_what_leaves_the_keyboard(shift):
    steps = dataset.to_steps(a_corpus([6]).music)[None].float()
    moved = dataset.from_steps(dataset.transpose(steps, torch.tensor([shift]))[0])
    original = dataset.from_steps(steps[0])
    expected = np.zeros_like(original)
    for key in range(88):
        if 0 <= key + shift < 88:
            expected[:, key + shift] = original[:, key]
    assert (moved == expected).all()


@pytest.mark.parametrize("form", [1, 2])
def test_steps_and_rolls_are_each_others_inverse(form):
    music = a_corpus([9], form).music
    assert (dataset.from_steps(dataset.to_steps(music)) == music).all()


def test_a_prime_is_cut_or_padded_to_the_source():
    music = a_corpus([5]).music
    assert (dataset.from_steps(dataset.pad(music, 3)) == music[-3:]).all()
    padded = dataset.from_steps(dataset.pad(music, 8))
    assert (padded[3:] == music).all()
    assert not padded[:3].any()


def test_rates_are_means_over_steps():
    music = a_corpus([5, 8, 3])
    chosen = np.concatenate([music[0], music[2]]).reshape(8, 176)
    np.testing.assert_allclose(dataset.rates(music, [0, 2]), chosen.mean(0))
