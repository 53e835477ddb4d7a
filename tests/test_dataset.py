import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import corpus, dataset, roll, words
from musicgen_cli.corpus import Song
from musicgen_cli.hearing import transpose
from musicgen_cli.roll import unflat
from musicgen_cli.vocabulary import START, UNKNOWN, count
from tests.tunes import tune

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
    moved = unflat(transpose(steps, torch.tensor([shift]))[0].numpy())
    original = unflat(steps[0].numpy())
    expected = np.zeros_like(original)
    for key in range(88):
        if 0 <= key + shift < 88:
            expected[:, key + shift] = original[:, key]
    assert (moved == expected).all()


@pytest.mark.parametrize("form", [1, 2])
def test_steps_and_rolls_are_each_others_inverse(form):
    music = a_corpus([9], form).music
    assert (unflat(dataset.to_steps(music).numpy()) == music).all()


def test_rates_are_means_over_steps():
    music = a_corpus([5, 8, 3])
    chosen = np.concatenate([music[0], music[2]]).reshape(8, 176)
    np.testing.assert_allclose(dataset.rates(music, [0, 2]), chosen.mean(0))


# --- ids ---


def a_corpus_of_ids(lengths):
    """Songs in which every step has an id of its own, from 2 up."""
    ids = np.arange(sum(lengths), dtype=np.int32) + 2
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    return corpus.gather([(Song(str(i)), part) for i, part in enumerate(parts)])


def test_words_become_ids_song_by_song():
    music = corpus.gather([(Song("a", 90.0), np.array(["C4:1", "R:2", "C4:1"])), (Song("b"), np.array(["D4:4"]))], 12)
    ids = dataset.in_ids(music, count([music[0]]))
    assert (ids.music.dtype, [ids[0].tolist(), ids[1].tolist()]) == (np.int32, [[2, 3, 2], [UNKNOWN]])
    assert (ids.songs, ids.offsets.tolist(), ids.steps_per_quarter) == (music.songs, [0, 3, 4], 12)
    assert music[1].tolist() == ["D4:4"]


def test_ids_are_read_as_they_are_and_bits_as_numbers():
    ids = dataset.to_steps(np.array([[2, 3], [0, 1]], np.int32))
    assert (ids.dtype, ids.tolist()) == (torch.int64, [[2, 3], [0, 1]])
    assert dataset.as_input(ids) is ids
    bits = dataset.to_steps(a_corpus([3]).music)
    assert (bits.dtype, dataset.as_input(bits).dtype) == (torch.uint8, torch.float32)
    assert (dataset.as_input(bits).numpy() == a_corpus([3]).music.reshape(3, 176)).all()


@pytest.mark.parametrize("kind", ["inside", "cover"])
@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    source=st.integers(1, 9),
    target=st.integers(1, 9),
    hop=st.integers(1, 9),
)
def test_windows_of_ids_hold_the_song_and_start_beyond_its_ends(kind, lengths, source, target, hop):  # DESIGN 8.7
    music = a_corpus_of_ids(lengths)
    songs = range(len(lengths))
    windows = (
        dataset.inside(music, songs, source, target, hop)
        if kind == "inside"
        else dataset.cover(music, songs, source, target)
    )
    heard, written, real = windows.batch(np.arange(len(windows)), CPU)
    assert (heard.dtype, written.dtype) == (torch.int64, torch.int64)
    for window, (song, at) in enumerate(zip(windows.song, windows.at - music.offsets[windows.song])):
        there = dict(enumerate(music[song].tolist()))
        assert heard[window].tolist() == [there.get(i, START) for i in range(at - source, at)]
        longest = written.shape[1]  # of these windows, in steps within their songs
        assert written[window].tolist() == [there.get(i, START) for i in range(at, at + longest)]
        assert real[window].tolist() == [i in there for i in range(at, at + longest)]
        assert not set(range(at + longest, at + target)) & set(there)
    if kind == "cover":
        assert written[real].tolist() == music.music.tolist()  # every step of every song, once


@settings(max_examples=30)
@given(st.integers(0, 7), st.data())
def test_a_table_moves_ids_as_words_are_moved(furthest, data):
    known = count([words.encode(tune(3)), np.array(["A0:1", "C8:1", "0.4.7", "R"])], min_count=1)
    move = dataset.mover(known.transposed(furthest))
    shifts = data.draw(st.lists(st.integers(-furthest, furthest), min_size=1, max_size=3))
    picked = st.lists(st.integers(0, len(known) - 1), min_size=5, max_size=5)
    steps = data.draw(st.lists(picked, min_size=len(shifts), max_size=len(shifts)))
    moved = move(torch.tensor(steps), torch.tensor(shifts))
    assert (moved.dtype, moved.shape) == (torch.int64, (len(shifts), 5))
    for shift, before, after in zip(shifts, steps, moved.tolist()):
        for old, new in zip(before, after):
            if old in (START, UNKNOWN):
                assert new == old
            else:
                assert [new] == known.ids(words.transpose(known.words[[old]], shift)).tolist()


def test_each_song_is_moved_by_its_own_number_of_keys():
    known = count([np.array(["C4:1", "C4:1", "C4:1", "C#4:1", "C#4:1", "D4:1"])])
    move = dataset.mover(known.transposed(2))
    steps = torch.tensor([[START, 2, 3, 4]] * 5)
    assert move(steps, torch.tensor([-2, -1, 0, 1, 2])).tolist() == [
        [START, UNKNOWN, UNKNOWN, 2],
        [START, UNKNOWN, 2, 3],
        [START, 2, 3, 4],
        [START, 3, 4, UNKNOWN],
        [START, 4, UNKNOWN, UNKNOWN],
    ]


# --- how often words come, and how often others will ---

STAY = np.array([[0, 1, 2, 3, 4]], np.int32)
MOVE = np.array([[0, 1, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 3, 4, 1]], np.int32)  # 2, 3, 4 are neighbouring keys
IDS = np.array([2, 2, 3], np.int32)


def test_word_rates_are_those_of_witten_and_bell():
    # Two different words in three, so of five parts three are theirs, two the guess for all, each counted once more.
    guess = np.array([1, 1, 3, 2, 1]) / 8
    np.testing.assert_allclose(dataset.word_rates(IDS, STAY), (np.array([0, 0, 2, 1, 0]) + 2 * guess) / 5)


def test_rare_words_are_judged_by_how_often_they_come_when_songs_are_moved():
    # Moved down, as they are and moved up: unknown 2, 2 one and two, 3 one and two, 4 one; and each once more.
    guess = np.array([1, 3, 4, 4, 2]) / 14
    np.testing.assert_allclose(dataset.word_rates(IDS, MOVE), (np.array([0, 0, 2, 1, 0]) + 2 * guess) / 5)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.sampled_from([STAY, MOVE]))
def test_word_rates_agree_with_the_plain_way_rule_nothing_out_and_sum_to_one(ids, table):
    often = dataset.word_rates(np.array(ids, np.int32), table)
    moved = [row[i] for row in table.tolist() for i in ids]
    guess = [(moved.count(word) + 1) / (len(moved) + 5) for word in range(5)]
    kinds = len(set(ids))
    plainly = [(ids.count(word) + kinds * guess[word]) / (len(ids) + kinds) for word in range(5)]
    np.testing.assert_allclose(often, plainly)
    assert (often.dtype, often.shape) == (np.float64, (5,))
    assert (often > 0).all()
    assert often.sum() == pytest.approx(1)


def test_word_rates_of_real_tunes_rule_nothing_out_either():
    music = corpus.gather([(Song(), words.encode(tune(number))) for number in range(1, 6)])
    known = count([music.music], furthest=3)
    often = dataset.word_rates(known.ids(music.music), known.transposed(3))
    assert (often > 0).all()
    assert often.sum() == pytest.approx(1)


def of_songs(*songs):
    return corpus.gather([(Song(), np.array(ids, np.int32)) for ids in songs])


@pytest.mark.parametrize(
    ("songs", "table", "rate"),
    [
        (([2, 2, 3, 2], [2, 2, 2, 4, 2]), STAY, 3 / 11),  # 3 and 4 are each of one song
        (([2, 2, 3, 2], [2, 2, 2, 4, 2]), MOVE, 1 / 11),  # 2 and 3, moved up, are 3 and 4; 4, moved down, is 3
        (([2, 2, 3, 3], [2, 2, 3, 3]), STAY, 1 / 10),
        (([2, 2, 3, 3, 3], [2, 2, 4]), STAY, 1 / 2),  # 4 of 8
        (([2, 2, 3, 3, 3, 3], [2, 2, 4]), STAY, 1 / 2),  # 5 of 9, but no more than a half
        (([2, 2, 2, 2, 2],), STAY, 1 / 2),  # one song: nothing is known of others
        (([2, 2, 2, 1], [2, 2, 1, 2]), STAY, 3 / 10),  # what has no id may be any word
        (([2, 2, 2, 2], [2, 2], [2, 3]), STAY, 2 / 10),
    ],
)
def test_a_word_is_new_as_often_as_a_song_has_words_of_its_own(songs, table, rate):
    assert dataset.unseen_rate(of_songs(*songs), range(len(songs)), table) == pytest.approx(rate)


def test_only_the_songs_that_teach_are_asked_for_new_words():
    music = of_songs([2, 2, 3, 2], [3, 3, 4, 4], [2, 2, 2, 4, 2])
    assert dataset.unseen_rate(music, [0, 2], STAY) == pytest.approx(3 / 11)
    assert dataset.unseen_rate(music, [2, 0], STAY) == pytest.approx(3 / 11)
    assert dataset.unseen_rate(music, [0, 1, 2], STAY) == pytest.approx(1 / 15)


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=8), min_size=1, max_size=4), st.sampled_from([STAY, MOVE])
)
def test_new_words_are_counted_as_the_plain_way_counts_them(songs, table):
    met = [{row[i] for row in table.tolist() for i in song} for song in songs]
    alone = sum(
        i == UNKNOWN or not any(i in other for j, other in enumerate(met) if j != own)
        for own, song in enumerate(songs)
        for i in song
    )
    rate = min(1 / 2, (alone + 1) / (sum(map(len, songs)) + 2))
    assert dataset.unseen_rate(of_songs(*songs), range(len(songs)), table) == pytest.approx(rate)
