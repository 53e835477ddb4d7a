"""Which samples are ordinary: held-out tunes before ruined ones, by a count that anyone can repeat."""

import math

import numpy as np
import pytest

from musicgen_cli.comparison import sides
from musicgen_cli.corpus import Song, gather
from musicgen_cli.errors import MusicgenError
from musicgen_cli.ranking import UNUSUAL, places
from musicgen_cli.roll import encode
from tests.tunes import tune

BARS = 8


def tunes(first, count):
    return [encode(tune(number, voices=4, bars=BARS)) for number in range(first, first + count)]


def corpus(rolls):
    return gather([(Song(f"song {i}"), roll) for i, roll in enumerate(rolls)])


def ruined():
    silence = np.zeros((16 * BARS, 88, 2), bool)
    one_note = silence.copy()
    one_note[::4, 40, 0] = True
    noise = np.random.default_rng(0).random(silence.shape) < 0.03
    return [silence, one_note, noise]


@pytest.fixture(scope="module")
def real():
    return corpus(tunes(0, 24))


def test_ruined_songs_come_last_and_it_is_said_what_is_unusual(real):
    found = places(corpus([*ruined(), *tunes(100, 5)]), real)
    assert {*list(found)[-3:]} == {0, 1, 2}
    assert list(found) == sorted(found, key=lambda song: -found[song].ordinary)
    assert all(found[song].ordinary > 0.4 for song in range(3, 8))
    assert "empty_beat_rate high" in found[0].unusual
    assert "pitch_entropy undefined" in found[0].unusual
    assert "polyphony low" in found[1].unusual
    assert "semitone_rate high" in found[2].unusual


def test_a_place_is_a_count_of_real_songs(real):
    samples = corpus([*ruined(), *tunes(100, 3)])
    _, made, known = sides(samples, real)
    for song, place in places(samples, real).items():
        shares = {}
        for name, theirs in known.numbers.items():
            value, defined = made.numbers[name][song], sorted(x for x in theirs if not math.isnan(x))
            middle = (defined[(len(defined) - 1) // 2] + defined[len(defined) // 2]) / 2 if defined else 0
            distance = [abs(x - middle) if not math.isnan(x) else math.inf for x in theirs]
            mine = abs(value - middle) if not math.isnan(value) else math.inf
            shares[name] = sum(other >= mine for other in distance) / len(theirs)
        assert place.ordinary == pytest.approx(sum(shares.values()) / len(shares))
        assert {text.split()[0] for text in place.unusual} == {name for name in shares if shares[name] < UNUSUAL}


def test_the_real_songs_themselves_are_ordinary(real):
    assert np.mean([place.ordinary for place in places(real, real).values()]) > 0.5


def test_samples_too_short_have_no_place(real):
    found = places(corpus([tunes(100, 1)[0][:16], *tunes(101, 3)]), real)
    assert set(found) == {1, 2, 3}


def test_too_little_real_music_is_refused():
    with pytest.raises(MusicgenError, match="too few"):
        places(corpus(tunes(100, 2)), corpus(tunes(0, 2)))
