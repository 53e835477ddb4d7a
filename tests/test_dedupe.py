"""Copies of songs, exact and near, in any key: found as by comparing each with each, dropped, never on two sides."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from musicgen_cli import corpus as corpora
from musicgen_cli import roll, words
from musicgen_cli.corpus import Corpus, Song, gather
from musicgen_cli.likeness import ALIKE, Copy, copies, grams, likeness, pairs
from musicgen_cli.roll import struck
from musicgen_cli.score import quantise
from musicgen_cli.split import split
from tests.strategies import rolls
from tests.tunes import complaint, shell, talk, tune


def song(number: int, up: int = 0) -> np.ndarray:
    return np.roll(roll.encode(quantise(tune(number, bars=12), 4)), up, 1)


def changed(music: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Some of its notes begin a key higher."""
    chosen = struck(music) & (np.random.default_rng(seed).random(music.shape[:2]) < share)
    music = music & ~chosen[..., None]
    music[:, 1:, 0] |= chosen[:, :-1]
    return music


def corpus_of(*songs: np.ndarray) -> Corpus:
    return gather([(Song(f"song {i}"), music) for i, music in enumerate(songs)])


def plain_grams(music: np.ndarray) -> set[tuple[object, ...]]:
    """The grams of a song by the plainest reading."""
    strikes, before = [], None
    for step, keys in enumerate(struck(music)):
        if keys.any():
            place = (int(np.flatnonzero(keys)[0]), step)
            moved = (place[0] - before[0], place[1] - before[1]) if before else (0, 0)
            strikes.append((tuple((np.flatnonzero(keys) - place[0]).tolist()), *moved))
            before = place
    return {tuple(strikes[i : i + 3]) for i in range(max(len(strikes) - 2, min(len(strikes), 1)))}


@given(rolls(), rolls())
def test_likeness_is_of_grams_by_their_plainest_reading(one: np.ndarray, other: np.ndarray) -> None:
    a, b = plain_grams(one), plain_grams(other)
    assert (len(grams(one)), len(grams(other))) == (len(a), len(b))
    assert likeness(grams(one), grams(other)) == (len(a & b) / len(a | b) if a | b else 1)


@given(st.integers(0, 20), st.integers(-20, 7), st.integers(0, 9))
def test_the_key_a_pause_before_it_and_how_it_is_stored_change_nothing(number: int, up: int, pause: int) -> None:
    assume(tune(number, bars=12).notes[:, 2].min() + up >= 21)
    music, silence = song(number), np.zeros((pause, 88, 2), bool)
    moved = np.concatenate([silence, song(number, up)])
    assert (grams(moved) == grams(music)).all()
    assert (grams(roll.unpack(roll.pack(music))) == grams(music)).all()


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_are_found_that_comparing_each_with_each_finds(seed: int) -> None:
    dice = np.random.default_rng(seed)
    songs = [song(number) for number in range(10)]
    songs += [changed(np.roll(songs[i], 1, 1), share, i) for i, share in itertools.product(range(8), (0, 0.02, 0.05))]
    songs += [np.concatenate([songs[0], songs[1]]), songs[2][: len(songs[2]) // 2], songs[3][:1], songs[4][:1]]
    songs = [songs[i] for i in dice.permutation(len(songs))]
    each = [(i, j, likeness(grams(songs[i]), grams(songs[j]))) for i in range(len(songs)) for j in range(i)]
    found = set(pairs(corpus_of(*songs)))
    assert found == {Copy(i, j, like) for i, j, like in each if like >= ALIKE}
    assert len(found) > 20


def test_the_first_of_copies_is_kept_and_music_that_goes_on_is_none() -> None:
    first, second = song(1), song(2)
    both = np.concatenate([first, second, song(3)])
    music = corpus_of(first, second, np.roll(first, 3, 1), both, changed(second, 0.02), both[:-16])
    assert [(copy.song, copy.of) for copy in copies(music)] == [(2, 0), (4, 1), (5, 3)]
    exact, near, cut = (copy.like for copy in copies(music))
    assert exact == 1 > max(near, cut) >= min(near, cut) > ALIKE
    assert [(copy.song, copy.of) for copy in copies(music, 1)] == [(2, 0)]


def test_what_is_like_a_copy_alone_is_kept() -> None:
    chain = [changed(song(5), share) for share in (0, 0.045, 0.09)]
    ends, near = likeness(grams(chain[0]), grams(chain[2])), likeness(grams(chain[1]), grams(chain[2]))
    least = (ends + near) / 2
    assert ends < least < near
    assert [(copy.song, copy.of) for copy in copies(corpus_of(*chain), least)] == [(1, 0)]


def test_silence_is_like_nothing_and_a_note_like_a_note() -> None:
    silence, note = np.zeros((9, 88, 2), bool), song(1)[:1]
    assert [copy.song for copy in copies(corpus_of(silence, silence, note, np.roll(note, 5, 1), silence[:0]))] == [3]


def test_very_many_copies_of_one_song_are_found() -> None:
    many = corpus_of(*[song(1, up) for up in [*range(8)] * 20])
    assert [(copy.song, copy.of) for copy in copies(many)] == [(i, 0) for i in range(1, 160)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3), st.sampled_from([0, 0.02, 0.05])), max_size=24))
def test_copies_are_on_one_side_of_the_split(made: list[tuple[int, int, float]]) -> None:
    music = corpus_of(*[changed(song(number, up), share, number) for number, up, share in [(0, 0, 0), *made]])
    side_of = {i: side for side, songs in split(music).items() for i in songs}
    assert all(side_of[copy.song] == side_of[copy.of] for copy in [*pairs(music), *copies(music)])


def test_copies_whose_tune_is_another_are_on_one_side_too() -> None:
    tunes = [song(number) for number in range(20)]
    others = [music.copy() for music in tunes]
    for music in others:
        for step in np.flatnonzero(struck(music).any(1))[::9]:  # a high note now and then, so that no run of 12 is left
            music[step, 87, 0] = True
    music = corpus_of(*tunes, *others)
    assert {(copy.song, copy.of) for copy in pairs(music)} >= {(i + 20, i) for i in range(20)}
    side_of = {i: side for side, songs in split(music).items() for i in songs}
    assert all(side_of[i] == side_of[i + 20] for i in range(20))


def test_words_are_compared_as_the_notes_they_are(tmp_path: Path) -> None:
    lines = [words.encode(quantise(tune(number, bars=12), 4)) for number in (1, 2, 1)]
    assert [(copy.song, copy.of, copy.like) for copy in copies(corpus_of(*lines))] == [(2, 0, 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.npy and b.npy: six songs, of which two are copies."""
    for name, numbers in (("a", (1, 2, 3)), ("b", (2, 4, 1))):
        with (tmp_path / f"{name}.npy").open("w+b") as file:
            songs = [(Song(f"{name}{n}"), roll.pack(song(n, up))) for up, n in enumerate(numbers)]
            corpora.save(gather(songs), file)
    return tmp_path


def test_what_is_dropped_is_told_and_written_down(folder: Path) -> None:
    (folder / "shards").mkdir()
    done = talk(shell("musicgen dedupe a.npy b.npy --report r -o shards/u.npy", folder))
    assert done == [
        "dropped b2, song 4: 100% like a2, song 2",
        "dropped b1, song 6: 100% like a1, song 1",
        "kept 4 songs of 6",
    ]
    assert [json.loads(line) for line in (folder / "r").read_text().splitlines()] == [
        {"song": 4, "name": "b2", "of": 2, "of_name": "a2", "alike": 1.0},
        {"song": 6, "name": "b1", "of": 1, "of_name": "a1", "alike": 1.0},
    ]
    piped = shell("musicgen cat a.npy b.npy -q | musicgen dedupe - -q", folder)
    assert talk(piped) == []
    assert piped.stdout == (folder / "shards" / "u.npy").read_bytes()
    assert talk(shell("musicgen dedupe shards -o x.npy", folder)) == ["kept 4 songs of 4"]


def test_what_cannot_be_done_is_told_in_a_line(folder: Path) -> None:
    def dedupe(arguments: str, code: int = 1) -> str:
        return complaint(shell(f"musicgen dedupe {arguments}", folder), code)

    assert "file of its own" in dedupe("a.npy --report x -o x", 2)
    assert "file of its own" in dedupe('a.npy --report "$PWD/x" -o x', 2)
    assert "0.2" in dedupe("a.npy --alike 0.1 -o x", 2)
    assert "no such file" in dedupe("c.npy -o x.npy")
    assert "read by this very command" in dedupe("a.npy --report a.npy -o x.npy")


def test_exact_copies_are_found_however_many_songs_have_their_grams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicgen_cli.likeness.NEIGHBOURS", 0)  # each gram is that of too many songs
    music = corpus_of(song(1), song(2), song(1, 3), song(2, 5))
    assert [(copy.song, copy.of) for copy in copies(music)] == [(2, 0), (3, 1)]
