"""What a model hears beside a step moves with the music, and is the same in training and in sampling."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import corpus
from musicgen_cli.corpus import Song
from musicgen_cli.dataset import cover, recalled, to_steps
from musicgen_cli.hearing import Hearing, Listener, transpose
from musicgen_cli.tonality import CLASSES

CPU = torch.device("cpu")
ALL = Hearing(176, memory=True, tonality=True, shifts=6)


def a_song(seed=0, length=30):
    """A loop of random notes far from the ends of the keyboard."""
    rng = np.random.default_rng(seed)
    music = np.zeros((length, 88, 2), bool)
    music[:, 20:68] = (rng.random((6, 48, 2)) < 0.1)[np.arange(length) % 6]
    return music


def heard(hearing, music):
    """Every step of a song as it is heard, (T, width)."""
    songs = corpus.gather([(Song(), music)])
    windows = cover(songs, [0], 0, 1, hearing=hearing, recalled=recalled(songs, [0], hearing))
    return windows.batch(np.array([0]), CPU)[1][0]


@settings(max_examples=20)
@given(st.integers(-6, 6), st.integers(0, 100))
def test_moved_music_is_heard_as_music_that_was_moved(shift, seed):
    music = a_song(seed)
    moved = ALL.move(heard(ALL, music)[None], torch.tensor([shift]))[0]
    expected = heard(ALL, np.roll(music, shift, axis=1))
    told = 2 * ALL.shifts + 1
    torch.testing.assert_close(moved[:, :-told], expected[:, :-told])
    assert (moved[:, -told:].argmax(1) == ALL.shifts + shift).all()
    assert (expected[:, -told:].argmax(1) == ALL.shifts).all()


def test_a_listener_hears_what_a_window_holds():
    one, other = a_song(1), a_song(2)
    listener = Listener(ALL, 2)
    steps = torch.stack([to_steps(music).float() for music in (one, other)])
    said = torch.stack([listener.hear(step) for step in steps.unbind(1)], 1)
    assert torch.equal(said[0], heard(ALL, one))
    assert torch.equal(said[1], heard(ALL, other))


def test_ids_are_heard_as_they_are():
    ids = torch.tensor([3, 4])
    assert Listener(Hearing(0), 2).hear(ids) is ids
    assert Hearing(0).bits(ids) is ids


def test_before_the_beginning_nothing_is_recalled_and_nothing_moved():
    silence = ALL.silence(2, 1, device=CPU)
    assert silence.shape == (2, 1, ALL.width)
    assert silence.sum(-1).tolist() == [[1.0], [1.0]]
    assert int(silence[0, 0].argmax()) == ALL.width - 1 - ALL.shifts


def test_tonality_is_how_much_of_each_pitch_class_sounded_lately():
    steps = to_steps(a_song(3)).numpy()
    level = np.zeros((2, CLASSES))
    for step, told in zip(steps, Hearing(176, tonality=True).recall(steps)):
        for row, share in zip(level, (1 / 8, 1 / 64)):
            for pitch_class in range(CLASSES):
                sounds = any(step[2 * key] or step[2 * key + 1] for key in range(pitch_class, 88, CLASSES))
                row[pitch_class] += share * (sounds - row[pitch_class])
        np.testing.assert_allclose(told, level.ravel(), rtol=1e-5)


def test_what_leaves_the_keyboard_is_gone():
    top = torch.zeros(1, 1, 88)
    top[0, 0, 87] = 1
    assert not transpose(top, torch.tensor([1])).any()
