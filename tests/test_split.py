import json
from collections import Counter

import numpy as np
import pytest

from musicgen_cli.corpus import Corpus, Song, gather
from musicgen_cli.errors import MusicgenError
from musicgen_cli.roll import pack
from musicgen_cli.split import families, read_split, split


def song(keys: list[int], length: int = 1) -> np.ndarray:
    """A melody of these keys, each held for `length` steps."""
    roll = np.zeros((len(keys) * length, 88, 2), bool)
    for i, key in enumerate(keys):
        roll[i * length, key, 0] = True
        roll[i * length + 1 : (i + 1) * length, key, 1] = True
    return roll


def melody(seed: int, notes: int = 48) -> list[int]:
    """A tune of its own: the same seed, the same tune."""
    return np.random.default_rng(seed).integers(30, 60, notes).tolist()


def corpus_of(*rolls: np.ndarray) -> Corpus:
    return gather([(Song(f"song {i}"), roll) for i, roll in enumerate(rolls)])


def side_of(corpus: Corpus) -> dict[str, str]:
    """Which side each song is on, by its digest."""
    return {corpus.digest(i): side for side, songs in split(corpus).items() for i in songs}


TUNES = [song(melody(seed)) for seed in range(40)]
SILENCE = np.zeros((16, 88, 2), bool)


def test_eight_songs_of_ten_teach_one_tells_when_to_stop_and_one_judges():
    sizes = {side: len(songs) for side, songs in split(corpus_of(*TUNES)).items()}
    assert sizes == {"train": 32, "valid": 4, "test": 4}


def test_every_song_is_on_one_side():
    sides = split(corpus_of(*TUNES))
    assert sorted(i for songs in sides.values() for i in songs) == list(range(40))


@pytest.mark.parametrize(("songs", "sizes"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_the_first_songs_teach_before_others_judge(songs, sizes):
    sides = split(corpus_of(*TUNES[:songs]))
    assert tuple(len(sides[side]) for side in ("train", "valid", "test")) == sizes


def test_the_same_corpus_is_split_the_same():
    assert split(corpus_of(*TUNES)) == split(corpus_of(*TUNES))


def test_the_split_does_not_hang_on_order_or_names():
    shuffled = [TUNES[i] for i in np.random.default_rng(0).permutation(40)]
    renamed = gather([(Song("x", 60.0, (3, 4), "text"), roll) for roll in shuffled])
    assert side_of(renamed) == side_of(corpus_of(*TUNES))


def test_the_split_does_not_hang_on_how_music_is_stored():
    assert split(corpus_of(*map(pack, TUNES))) == split(corpus_of(*TUNES))


def test_a_corpus_of_one_tune_teaches_it_all():
    one = corpus_of(*[song([key + up for key in melody(1)]) for up in range(10)])
    assert split(one) == {"train": list(range(10)), "valid": [], "test": []}


@pytest.mark.parametrize("shape", [(16, 88, 2), (16, 88), (0, 88, 2)])
def test_silence_is_split_too(shape):
    sides = split(corpus_of(*[np.zeros(shape, bool)] * 10))
    assert {side: len(songs) for side, songs in sides.items()} == {"train": 8, "valid": 1, "test": 1}


# How a tune may come twice.
COPIES = {
    "unchanged": song(melody(0)),
    "a fifth higher": song([key + 7 for key in melody(0)]),
    "an octave lower": song([key - 12 for key in melody(0)]),
    "with other notes at the end": song(melody(0)[:40] + melody(99, 8)),
    "with a wrong note": song([*melody(0)[:20], 33, *melody(0)[21:]]),
    "without its beginning": song(melody(0)[10:]),
    "after a rest": np.concatenate([SILENCE, song(melody(0))]),
    "over a bass": song(melody(0)) | song([3] * 48),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_of_a_tune_is_on_its_side(copy):
    corpus = corpus_of(TUNES[0], *TUNES[1:20], copy)
    assert families(corpus) == [[0, 20], *[[i] for i in range(1, 20)]]
    (together,) = [songs for songs in split(corpus).values() if 0 in songs]
    assert 20 in together


def test_tunes_that_share_a_phrase_are_two_tunes():
    phrase = melody(7, 20)
    assert families(corpus_of(song(phrase + melody(8)), song(phrase + melody(9)))) == [[0], [1]]


def test_the_same_keys_in_another_rhythm_are_another_tune():
    assert families(corpus_of(song(melody(0)), song(melody(0), length=2))) == [[0], [1]]


def test_short_tunes_have_copies_too():
    assert families(corpus_of(song([40, 42, 44]), song([50, 52, 54]), song([40, 44, 42]))) == [[0, 1], [2]]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 3, 1, 2], [1, 2, 0, 3]])
def test_medleys_do_not_come_between_a_tune_and_its_copy(order):
    tune = melody(0)
    songs = [
        song(tune),
        song(tune[:26] + melody(1, 100)),
        song(melody(2, 100) + tune[-26:]),
        song([key + 3 for key in tune]),
    ]
    found = families(corpus_of(*[songs[i] for i in order]))
    assert sorted([order.index(0), order.index(3)]) in [sorted(family) for family in found]


def test_the_same_chord_twice_is_one_tune():
    chord = song([40]) | song([44])
    assert families(corpus_of(chord, chord)) == [[0, 1]]


# --- a split that somebody laid down ---

NAMED = gather([(Song(name), TUNES[i]) for i, name in enumerate(["a", "b", "c.d", "the.middle", "e"])])


def laid_down(**sides: list[str]) -> bytes:
    return json.dumps(sides).encode()


def test_a_split_names_songs_with_and_without_mid():
    sides, missing = read_split(laid_down(train=["a.mid", "c.d"], valid=["b"], test=["e.mid", "the.middle"]), NAMED)
    assert sides == {"train": [0, 2], "valid": [1], "test": [3, 4]}
    assert missing == Counter()


def test_what_is_missing_on_either_hand_is_counted():
    sides, missing = read_split(laid_down(train=["a", "x", "y.mid"], test=["b"]), NAMED)
    assert sides == {"train": [0], "valid": [], "test": [1]}
    assert missing == {"songs that the split does not name": 3, "names in the split without a song": 2}


def test_songs_of_one_name_are_on_one_side():
    twins = gather([(Song("a"), TUNES[0]), (Song("a"), TUNES[1])])
    assert read_split(laid_down(valid=["a"]), twins)[0]["valid"] == [0, 1]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"3", b'"train"', b"\xff\xfe\x00", b'{"train": [1]}', b'{"train": 1}', b'{"train": null}',
     b'{"train": [["a"]]}', b"[" * 100_000],
    ids=lambda text: text.decode("latin1")[:20],
)  # fmt: skip
def test_what_is_no_split_is_refused(text):
    with pytest.raises(MusicgenError, match="is no split: JSON"):
        read_split(text, NAMED)
