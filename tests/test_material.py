import numpy as np
import pytest
import torch

from musicgen_cli import dataset, material, roll, words
from musicgen_cli.corpus import Corpus, Song, gather
from musicgen_cli.errors import MusicgenError
from musicgen_cli.vocabulary import START, UNKNOWN, count
from tests.strategies import drawn
from tests.tunes import tune

# Three bits, silence, one bit, silence; then two bits and one.
SONG = drawn("G4 #...\nE4 #.-.\nC4 #...")
OTHER = drawn("C5 #-\nC4 #.")
FORMS = {"two bits": lambda music: music, "one bit": lambda music: music.any(2), "packed": roll.pack}


def of(*songs: np.ndarray) -> Corpus:
    return gather([(Song(str(i)), music) for i, music in enumerate(songs)])


# --- rolls ---


@pytest.mark.parametrize("form", FORMS)
def test_together_is_how_many_bits_a_step_that_is_not_silent_has(form):
    music = of(*map(FORMS[form], [SONG, OTHER]))
    assert material.of_rolls(music, [0]).loss == {"together": pytest.approx(4 / 2)}
    assert material.of_rolls(music, [1]).loss == {"together": pytest.approx(3 / 2)}
    assert material.of_rolls(music, [0, 1]).loss == {"together": pytest.approx(7 / 4)}


@pytest.mark.parametrize(("form", "size"), [("two bits", 176), ("one bit", 88), ("packed", 176)])
def test_rolls_are_steps_as_they_are(form, size):
    music = of(*map(FORMS[form], [SONG, OTHER]))
    found = material.of_rolls(music, [0])
    assert found.steps is music
    assert (found.size, found.vocabulary, found.unknown) == (size, None, 0)
    bits = SONG.any(2) if form == "one bit" else SONG.reshape(4, 176)
    np.testing.assert_allclose(found.rates, bits.mean(0))


def test_silence_teaches_no_notes_together():
    found = material.of_rolls(of(np.zeros((5, 88, 2), bool)), [0])
    assert found.loss == {"together": 0.0}
    assert not found.rates.any()


@pytest.mark.parametrize("form", FORMS)
def test_a_song_of_no_steps_changes_nothing(form):
    music = of(*map(FORMS[form], [SONG, SONG[:0]]))
    found = material.of_rolls(music, [0, 1])
    assert found.loss == {"together": pytest.approx(4 / 2)}


# --- words ---

LINES = [np.array(line) for line in (["C4:1", "C4:1", "D4:1"], ["C4:1", "E4:1"], ["F4:1", "E4:1"])]
MUSIC = of(*LINES)


def test_words_that_teach_are_counted_and_no_others():
    found = material.of_words(MUSIC, [0, 1], furthest=0)
    assert found.vocabulary is not None
    assert found.vocabulary.words.tolist() == ["<start>", "<unknown>", "C4:1", "D4:1", "E4:1"]
    assert [found.steps[i].tolist() for i in range(3)] == [[2, 2, 3], [2, 4], [UNKNOWN, 4]]
    assert (found.size, found.unknown) == (5, 0)


def test_words_that_teach_are_counted_moved_too():
    found = material.of_words(MUSIC, [0], furthest=1)
    assert found.vocabulary is not None
    assert set(found.vocabulary.words[2:].tolist()) == {"B3:1", "C4:1", "C#4:1", "D4:1", "E-4:1"}
    assert found.unknown == 0
    up, down = (found.move(torch.from_numpy(found.steps[0][None]).long(), torch.tensor([by])) for by in (1, -1))
    assert found.vocabulary.words[up[0]].tolist() == ["C#4:1", "C#4:1", "E-4:1"]
    assert found.vocabulary.words[down[0]].tolist() == ["B3:1", "B3:1", "C#4:1"]


def test_rates_are_of_the_words_that_teach():
    own = np.array([0, 0, 3, 1, 1])
    found = material.of_words(MUSIC, [0, 1], furthest=0)
    np.testing.assert_allclose(found.rates, (own + 3 * (own + 1) / 10) / 8)


def test_a_list_counted_here_is_as_often_too_short_as_a_song_has_words_of_its_own():
    assert material.of_words(MUSIC, [0, 1], furthest=0).loss == {"unseen": pytest.approx((2 + 1) / (5 + 2))}
    assert material.of_words(MUSIC, [0], furthest=0).loss == {"unseen": 0.5}


def test_a_list_that_was_given_is_as_often_too_short_as_it_was():
    whole = count(LINES)
    found = material.of_words(MUSIC, [0, 1], 0, whole)
    assert (found.loss, found.unknown) == ({"unseen": pytest.approx((0 + 1) / (5 + 2))}, 0)
    assert found.vocabulary is whole
    assert found.size == len(whole) == 6

    short = count(LINES[:1])
    found = material.of_words(MUSIC, [0, 1], 0, short)
    assert (found.loss, found.unknown) == ({"unseen": pytest.approx((1 + 1) / (5 + 2))}, 1 / 5)
    assert found.steps[1].tolist() == [2, UNKNOWN]
    assert material.of_words(MUSIC, [0, 1, 2], 0, short).unknown == 3 / 7


def test_a_list_that_was_given_is_moved_as_far_as_is_asked():
    known = count([np.array(["C4:1", "C4:1", "D4:1"])])
    found = material.of_words(MUSIC, [0], 2, known)
    moved = found.move(torch.tensor([[START, 2, 3]] * 2), torch.tensor([2, -2]))
    assert moved.tolist() == [[START, 3, UNKNOWN], [START, UNKNOWN, 2]]
    table = known.transposed(2)
    np.testing.assert_allclose(found.rates, dataset.word_rates(known.ids(LINES[0]), table))


def test_a_list_of_another_form_is_refused():
    plain = count([words.encode(tune(1), plain=True)])
    with pytest.raises(MusicgenError, match="none of its words is in the vocabulary; is that one of another form"):
        material.of_words(of(words.encode(tune(1))), [0], 0, plain)


def test_a_list_of_which_only_songs_that_do_not_teach_have_words_is_refused():
    only_last = count([np.array(["F4:1"])])
    assert material.of_words(MUSIC, [0, 2], 0, only_last).unknown == 4 / 5
    with pytest.raises(MusicgenError, match="none of its words"):
        material.of_words(MUSIC, [0, 1], 0, only_last)


def test_real_tunes_are_material_in_either_form():
    for plain in (False, True):
        music = of(*(words.encode(tune(number), plain) for number in range(1, 9)))
        found = material.of_words(music, range(6), furthest=2)
        assert found.rates.shape == (found.size,)
        assert found.rates.sum() == pytest.approx(1)
        assert 0 < found.loss["unseen"] <= 0.5
        assert found.unknown == 0
        assert (np.concatenate([found.steps[i] for i in range(6)]) > UNKNOWN).all()
