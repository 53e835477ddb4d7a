import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import copying, roll
from musicgen_cli.copying import Run, among, between
from musicgen_cli.corpus import Song, gather
from musicgen_cli.roll import encode, sounding, struck
from musicgen_cli.score import KEYS
from tests.strategies import drawn
from tests.test_comparison import chorales, piece

LINE = drawn("E5 ....#-..#-\nD5 ..#-......\nC5 #-....#-..\nC4 #---#-----")


@st.composite
def few_keys(draw: st.DrawFn) -> np.ndarray:
    """Pieces of so few keys and steps that many runs are shared by chance."""
    steps = draw(st.integers(0, 12))
    cells = draw(st.lists(st.integers(0, 5), min_size=steps, max_size=steps))
    made = np.zeros((steps, KEYS, 2), bool)
    for t, cell in enumerate(cells):
        made[t, 40 + cell % 3, cell // 3] = cell != 0
    return made


def events(music, transposed):
    sounds, strikes = sounding(music), struck(music)
    found = []
    for t in range(len(music)):
        if strikes[t].any():
            low = int(sounds[t].argmax())
            origin = low if transposed else 0
            chord = tuple(np.flatnonzero(strikes[t]) - origin), tuple(np.flatnonzero(sounds[t]) - origin)
            found.append((chord, low, t))
    return found


def plain_run(one, other, transposed) -> int:
    """The longest run, by trying every pair of places."""
    a, b = events(one, transposed), events(other, transposed)
    best = 0
    for i in range(len(a)):
        for j in range(len(b)):
            n = 0
            while i + n < len(a) and j + n < len(b) and a[i + n][0] == b[j + n][0]:
                same_time = a[i + n][2] - a[i][2] == b[j + n][2] - b[j][2]
                same_shift = not transposed or a[i + n][1] - a[i][1] == b[j + n][1] - b[j][1]
                if not (same_time and same_shift):
                    break
                n += 1
            best = max(best, n)
    return best


@settings(deadline=None)
@given(st.lists(few_keys(), min_size=1, max_size=3), st.lists(few_keys(), min_size=1, max_size=3), st.booleans())
def test_runs_are_those_of_a_search_of_every_place(samples, songs, transposed):
    found = [run.strikes for run in between(samples, songs, transposed)]
    assert found == [max(plain_run(one, other, transposed) for other in songs) for one in samples]


@settings(deadline=None)
@given(st.lists(few_keys(), min_size=2, max_size=4), st.booleans())
def test_real_pieces_are_compared_with_all_others_but_themselves(songs, transposed):
    found = [run.strikes for run in among(songs, transposed)]
    expected = [
        max(plain_run(one, x, transposed) for j, x in enumerate(songs) if j != i) for i, one in enumerate(songs)
    ]
    assert found == expected


@settings(deadline=None)
@given(st.lists(few_keys(), min_size=1, max_size=3), st.lists(few_keys(), min_size=1, max_size=3))
def test_a_run_stands_where_it_says(samples, songs):
    for one, run in zip(samples, between(samples, songs, transposed=True)):
        if run.strikes:
            a = [event for event in events(one, True) if event[2] >= run.at][: run.strikes]
            b = [event for event in events(songs[run.song], True) if event[2] >= run.there][: run.strikes]
            assert [chord for chord, _, _ in a] == [chord for chord, _, _ in b]
            assert {low - other for (_, low, _), (_, other, _) in zip(a, b)} == {run.shift}
            assert run.of == len(events(one, True))


def test_a_copy_is_found_where_it_is_and_transposed_as_well():
    song = np.concatenate([drawn("A3 #-#-#-#-"), LINE])
    sample = np.concatenate([np.zeros((3, KEYS, 2), bool), LINE])
    assert between([sample], [LINE[:2], song], transposed=False) == [Run(5, 5, 1, 3, 8, 0)]
    higher = np.roll(sample, 5, 1)
    assert between([higher], [song], transposed=True) == [Run(5, 5, 0, 3, 8, 5)]
    assert between([higher], [song], transposed=False)[0].strikes < 2


def test_what_is_held_or_silent_is_no_long_run():
    held = drawn("E4 #---------------\nC4 #---------------")
    assert [run.strikes for run in between([held], [held], transposed=True)] == [1]
    assert between([held & False], [held & False], transposed=True) == [Run(0, 0)]
    assert between([held], [], transposed=True) == [Run(0, 1)]


def test_another_rhythm_is_no_copy():
    slow = LINE.repeat(2, axis=0)
    slow[1::2, :, 0], slow[1::2, :, 1] = False, sounding(LINE)
    assert between([slow], [LINE], transposed=False)[0].strikes == 1


def corpus(*music):
    return gather([(Song(f"song {i}"), one) for i, one in enumerate(music, 1)])


def test_copies_are_named_and_new_pieces_are_not():
    songs = corpus(*(encode(piece(number)) for number in range(12)))
    copied = corpus(songs[4], np.roll(songs[7], 2, 1), encode(piece(100)), encode(piece(101)))
    found = copying.compare(copied, songs)
    diagnoses = found.diagnoses([song.name for song in songs.songs])
    assert [(one.name, one.samples) for one in diagnoses] == [("copies", (0,)), ("transposed copies", (1,))]
    assert "song 5" in diagnoses[0].why
    assert "song 8" in diagnoses[1].why
    assert found.transposed[1].shift == 2
    assert all(moved.strikes >= exact.strikes for moved, exact in zip(found.transposed, found.exact))


def test_near_copies_among_the_songs_do_not_excuse_copying():
    songs = [encode(piece(number)) for number in range(10)]
    twins = copying.compare(corpus(songs[0]), corpus(*songs, np.roll(songs[3], 1, 1)))
    assert twins.near_copies == 2
    assert twins.usual[1] < 20
    assert twins.diagnoses(["a"] * 11)[0].name == "copies"


def test_with_one_song_the_limit_is_a_fixed_one():
    song = encode(piece(1))
    alone = copying.compare(corpus(song, encode(piece(2))), corpus(song))
    assert np.isnan(alone.usual).all()
    assert [one.samples for one in alone.diagnoses(["it"])] == [(0,)]


def test_words_and_packed_rolls_are_compared_as_rolls():
    songs = [encode(piece(number)) for number in range(4)]
    packed = gather([(Song(), roll.pack(song)) for song in songs])
    assert copying.compare(packed, corpus(*songs)) == copying.compare(corpus(*songs), corpus(*songs))


def test_chorales_share_what_the_issue_says():
    """Four strikes in the median and eight at the 95th percentile: the test side against the training side."""
    sides = chorales()
    test, train = ([side.roll(i) for i in range(len(side))] for side in (sides["test"], sides["train"]))
    held_out = np.percentile([run.strikes for run in between(test, train, transposed=True)], [50, 95])
    assert held_out == pytest.approx([4, 8], abs=0.5)
    found = copying.compare(sides["test"], sides["train"])
    assert found.usual[:2].tolist() == [4, 8]
    assert not found.diagnoses([song.name for song in sides["train"].songs])
