"""Bad corpora are named for what they are; real music that was held out passes."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from musicgen_cli import comparison, copying, midi, words
from musicgen_cli.commands import against
from musicgen_cli.comparison import Row, compare, told
from musicgen_cli.corpus import Corpus, Song, gather
from musicgen_cli.errors import MusicgenError
from musicgen_cli.harmony import top_line
from musicgen_cli.roll import decode, encode, sounding
from musicgen_cli.score import KEYS, Score, quantise, steps_per_bar

CHORALES = Path(__file__).parents[2] / "shared" / "corpora" / "chorales"
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])
FOLLOWS = {0: (1, 3, 4, 5), 1: (4, 6), 2: (3, 5), 3: (0, 1, 4), 4: (0, 0, 5), 5: (1, 3), 6: (0,)}  # degrees of chords
BAR = 16
REAL, MADE = 40, 16  # songs


@pytest.fixture(autouse=True, scope="module")
def _real_music_is_measured_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "_side", cache(comparison._side))
        yield


def piece(number: int) -> Score:
    """Four parts over chords that follow each other by rule, in a key and of a length of its own; cadences are held."""
    dice = np.random.default_rng(number)
    key, bars = 48 + int(dice.integers(12)), int(dice.choice([8, 12, 16]))
    quick = float(dice.uniform(0.2, 0.5))
    notes, chord, top = [], 0, 14
    for beat in range(4 * bars):
        cadence = beat % 16 >= 14
        if beat % 16 == 15:
            continue
        chord = 0 if cadence else int(dice.choice(FOLLOWS[chord]))
        tones = [degree for degree in range(8, 20) if (degree - chord) % 7 in (0, 2, 4)]
        top = int(dice.choice(sorted(tones, key=lambda degree: abs(degree - top))[:3]))
        inner = [degree for degree in range(top - 6, top) if (degree - chord) % 7 in (0, 2, 4)][-2:]
        bass = chord - 7 * int(dice.integers(2))
        for voice, degree in enumerate([bass, *inner, top]):
            split = not cadence and dice.random() < quick / (1 if voice in (0, 3) else 2)
            parts = [(0, 2, degree), (2, 4, degree + int(dice.choice([-1, 1])))] if split else [(0, 4, degree)]
            for start, end, at in parts:
                end = 8 if cadence else end
                notes.append((4 * beat + start, 4 * beat + end, key + SCALE[at % 7] + 12 * (at // 7)))
    return quantise(Score(np.array(notes), 4, bars * BAR), 4)


@cache
def pieces(first: int, count: int) -> Corpus:
    return gather([(Song(f"piece {i}"), encode(piece(i))) for i in range(first, first + count)])


def real() -> Corpus:
    return pieces(0, REAL)


def held_out() -> Corpus:
    return pieces(1000, MADE)


@cache
def chorales() -> dict[str, Corpus]:
    if not CHORALES.exists():
        pytest.skip("no shared/corpora/chorales beside the repository")
    lists = json.loads((CHORALES / "split.json").read_text())
    return {side: gather(map(_chorale, lists[side])) for side in ("train", "valid", "test")}


def _chorale(name: str):
    score = quantise(midi.read((CHORALES / name).read_bytes())[0], 4)
    return Song(name, score.tempo, score.time_signature), encode(score)


# --- ways to spoil music: a roll and its bar to another roll ---


def silence(roll, bar, dice):
    return roll & False


def one_note(roll, bar, dice):
    made = np.zeros_like(roll)
    made[::4, 39, 0] = True
    made[:, 39, 1] = True
    return made


def held_chord(roll, bar, dice):
    made = np.zeros_like(roll)
    chord = sounding(roll)[np.flatnonzero(roll.any((1, 2)))[0]]
    made[0, chord, 0] = made[1:, chord, 1] = True
    return made


def repeated_chord(roll, bar, dice):
    made = held_chord(roll, bar, dice)
    made[::2, :, 0] = sounding(made)[::2]
    return made


def two_bar_loop(roll, bar, dice):
    return np.tile(roll[bar : 3 * bar], (len(roll) // (2 * bar), 1, 1))


def falls_into_a_loop(roll, bar, dice):
    return np.concatenate([roll, np.tile(roll[-2 * bar - bar : -bar], (8, 1, 1))])


def dense_noise(roll, bar, dice):
    return dice.random(roll.shape) < 0.5


def thin_noise(roll, bar, dice):
    return dice.random(roll.shape) < roll.mean()


def shuffled_bars(roll, bar, dice):
    count = len(roll) // bar
    return roll[: count * bar].reshape(count, bar, KEYS, 2)[dice.permutation(count)].reshape(-1, KEYS, 2)


def highest_voice(roll, bar, dice):
    sounds = sounding(roll)
    top = KEYS - 1 - sounds[:, ::-1].argmax(1)
    return roll & (np.arange(KEYS) == top[:, None])[:, :, None]


def octave_up(roll, bar, dice):
    return np.roll(roll, 12, 1)


def all_in_sixteenths(roll, bar, dice):
    return np.stack([sounding(roll), np.zeros_like(sounding(roll))], 2)


def half_as_fast(roll, bar, dice):
    notes = decode(roll, 4).notes
    return encode(Score(notes * [2, 2, 1], 4, 2 * len(roll)))


def held_over(roll, bar, dice):
    return encode(quantise(Score(decode(roll, 4).notes + np.array([0, 4, 0]), 4), 4))


def staccato(roll, bar, dice):
    notes = decode(roll, 4).notes
    return encode(Score(np.stack([notes[:, 0], notes[:, 0] + 1, notes[:, 2]], 1), 4, len(roll)))


def fading(roll, bar, dice):
    notes = decode(roll, 4).notes
    kept = dice.random(len(notes)) > 2 * notes[:, 0] / len(roll) - 1
    return encode(Score(notes[kept], 4, len(roll)))


def chromatic(roll, bar, dice):
    notes = decode(roll, 4).notes
    return encode(quantise(Score(notes + dice.integers(-1, 2, (len(notes), 1)) * [0, 0, 1], 4, len(roll)), 4))


NAMED = {
    silence: {"silence"},
    one_note: {"one note"},
    held_chord: {"a frozen chord"},
    repeated_chord: {"a frozen chord"},
    two_bar_loop: {"a loop"},
    falls_into_a_loop: {"a loop"},
    dense_noise: {"noise"},
    thin_noise: {"noise"},
    shuffled_bars: {"shuffled bars"},
    highest_voice: {"thin"},
    octave_up: {"too high"},
    all_in_sixteenths: {"too fast"},
    half_as_fast: {"too slow"},
    held_over: {"notes held too long"},
    staccato: {"notes cut short"},
    fading: {"fades away"},
    chromatic: {"in no key", "noise"},
}


def spoilt(spoil, good: Corpus, seed: int = 0) -> Corpus:
    dice = np.random.default_rng(seed)
    bars = [steps_per_bar(song.time_signature, 4) for song in good.songs]
    return gather([(song, spoil(good[i], bars[i], dice)) for i, song in enumerate(good.songs)])


def names(samples: Corpus, known: Corpus, seed: int = 0) -> list[str]:
    return [one.name for one in compare(samples, known, seed).diagnoses]


@pytest.mark.parametrize("first", [1000, 2000, 3000])
def test_real_music_that_was_held_out_passes(first):
    found = compare(pieces(first, MADE), real())
    assert not found.diagnoses
    assert len(found.outside) <= len(found.rows) / 4  # of 95 % ranges some are missed by chance


@pytest.mark.parametrize("spoil", NAMED, ids=lambda spoil: spoil.__name__)
def test_a_bad_corpus_is_named_for_what_it_is(spoil):
    found = names(spoilt(spoil, held_out()), real())
    assert found
    assert found[0] in NAMED[spoil]


def test_bars_of_all_pieces_shuffled_are_named():
    bars = np.concatenate([held_out()[i].reshape(-1, BAR, KEYS, 2) for i in range(MADE)])
    order = np.random.default_rng(0).permutation(len(bars))
    mixed = bars[order[: len(bars) // 8 * 8]].reshape(-1, 8 * BAR, KEYS, 2)
    found = names(gather([(Song(), roll) for roll in mixed]), real())
    assert found[:2] == ["shuffled bars", "in no key"]


def test_one_piece_fifty_times_is_named():
    again = gather([(Song(), held_out()[3])] * 50)
    assert names(again, real())[0] == "the same piece again and again"


@pytest.mark.parametrize("shift", [0, 5])
def test_copies_of_songs_are_named(shift):
    copies = gather([(Song(), np.roll(real()[i], shift, 1)) for i in range(MADE)])
    (found,) = copying.compare(copies, real()).diagnoses(["x"] * REAL)
    assert found.name == ("transposed copies" if shift else "copies")
    assert len(found.samples) == MADE


def test_some_samples_of_many_that_collapse_are_named_by_number():
    rolls = [np.array(held_out()[i]) for i in range(MADE)]
    rolls[2], rolls[5] = rolls[2] & False, one_note(rolls[5], BAR, None)
    rolls[7] = two_bar_loop(rolls[7], BAR, None)
    found = {one.name: one.samples for one in compare(gather([(Song(), roll) for roll in rolls]), real()).diagnoses}
    assert found == {"silence": (2,), "one note": (5,), "a loop": (7,)}


def test_a_loop_of_one_note_passes_by_no_metric_alone():
    """Some metrics are as real music has them, an empty-beat rate of 0 is; the verdict is on all of them together."""
    found = compare(spoilt(one_note, held_out()), real())
    inside = {row.name for row in found.rows if row.verdict == "inside"}
    assert "scale_consistency" not in inside or "pitch_entropy" not in inside
    assert len(inside) < len(found.rows) / 4
    assert found.diagnoses[0].samples == tuple(range(MADE))


# --- chorales ---


@pytest.mark.slow
@pytest.mark.parametrize("side", ["valid", "test"])
def test_held_out_chorales_pass(side):
    assert not names(chorales()[side], chorales()["train"])


@pytest.mark.parametrize(
    "spoil", [shuffled_bars, two_bar_loop, thin_noise, fading, held_over], ids=lambda f: f.__name__
)
def test_spoilt_chorales_are_named(spoil):
    assert names(spoilt(spoil, chorales()["test"]), chorales()["train"])[0] in NAMED[spoil]


# --- how the comparison is made ---


def test_the_same_seed_gives_the_same_ranges_and_samples_need_not_be_as_long_as_real_songs():
    long = gather([(Song(), np.concatenate([held_out()[i], held_out()[i + 1]])) for i in range(8)])
    one, other = compare(long, real(), 1), compare(long, real(), 1)
    assert [repr(row) for row in one.rows] == [repr(row) for row in other.rows]
    assert one.steps == 128
    assert one.samples[1] > one.samples[0]


def test_excerpts_begin_at_bar_lines():
    roll = np.arange(100)
    assert [part[0] for part in comparison._cut(roll, 32, 12)] == [0, 36]
    assert [part[0] for part in comparison._cut(roll, 32, 16)] == [0, 32, 64]


def test_songs_too_short_for_an_excerpt_are_counted():
    short = gather([(Song(), held_out()[i][: 20 if i < 2 else None]) for i in range(MADE)])
    assert compare(short, real()).samples[::2] == (MADE - 2, 2)


def test_few_real_songs_are_drawn_by_their_excerpts_and_too_few_are_refused():
    endless = gather([(Song(), np.concatenate([real()[i] for i in range(12)]))])
    found = compare(held_out(), endless)
    assert found.real[0] == found.real[1] >= 12
    with pytest.raises(MusicgenError, match="too few"):
        compare(held_out(), gather([(Song(), real()[0])]))
    with pytest.raises(MusicgenError, match="no song of the samples lasts"):
        compare(gather([(Song(), real()[0][:5])]), real())


def test_a_number_on_one_side_only_is_undefined_and_a_row_says_where_it_lies():
    nan = float("nan")
    assert [Row("x", value, 2, 1, 3).verdict for value in (0, 1, 3, 4, nan)] == [
        "low", "inside", "inside", "high", "undefined"
    ]  # fmt: skip
    assert Row("x", nan, nan, nan, nan).verdict == "inside"
    assert Row("x", 1, nan, nan, nan).verdict == "undefined"
    assert [Row("x", value, 2, 1, 3).far(1) for value in (3, 4, 4.1, nan)] == [False, False, True, False]
    assert (told(nan), told(0.5)) == ("undefined", "0.500")


def test_distances_of_a_corpus_to_itself_are_none():
    found = {row.name: row.value for row in compare(real(), real()).rows}
    assert all(found[name] == pytest.approx(0) for name in comparison.HISTOGRAMS)


@pytest.mark.slow
def test_words_and_rolls_of_one_bit_are_compared_as_well():
    def sung(good):
        return gather([(song, words.encode(good.score(i))) for i, song in enumerate(good.songs)])

    def keys(good):
        return gather([(song, sounding(good[i])) for i, song in enumerate(good.songs)])

    loops = spoilt(two_bar_loop, held_out())
    for form in (sung, keys):
        assert not names(form(held_out()), form(real()))
        assert names(form(loops), form(real())) == ["a loop"]


# --- as `eval` prints it ---


def printed(capsys, samples, known=None, training=None, json_=False) -> str:
    against.compare(samples, known, training, json_=json_, seed=0, quiet=False, two_sample=False)
    return capsys.readouterr().out


def test_the_verdict_is_in_words(capsys):
    text = printed(capsys, spoilt(silence, held_out()), real())
    assert "Wrong: silence in 16 of 16 samples (1, 2, 3," in text
    assert "undefined" in text
    good = printed(capsys, held_out(), real())
    assert "No collapse, and nothing far from real music" in good


def test_what_is_copied_is_named_with_its_song(capsys):
    text = printed(capsys, gather([(Song(), np.roll(real()[4], 3, 1))]), training=real())
    assert "Wrong: transposed copies in 1 of 1 sample (1)" in text
    assert "piece 4" in text
    assert "Nothing is copied" in printed(capsys, held_out(), training=real())
    assert "Wrong: copies in 16 of 16 samples" in printed(capsys, pieces(0, MADE), real())  # the real music itself


def test_json_holds_the_same_and_null_for_undefined(capsys):
    facts = json.loads(printed(capsys, spoilt(silence, held_out()), real(), real(), json_=True))
    assert facts["diagnoses"][0]["name"] == "silence"
    assert facts["diagnoses"][0]["samples"] == list(range(1, MADE + 1))
    rows = {row["name"]: row for row in facts["metrics"]}
    assert rows["polyphony"]["value"] is None
    assert rows["polyphony"]["verdict"] == "undefined"
    assert facts["copying"]["samples"][0]["exact"]["song"] is None


@pytest.mark.slow
def test_a_classifier_is_asked_too(capsys, monkeypatch):
    monkeypatch.setattr("musicgen_cli.two_sample.STEPS", 5)
    against.compare(held_out(), real(), None, json_=False, seed=3, quiet=False)
    text = capsys.readouterr().out
    assert re.search(r"in \d+ of \d+ cases that it never saw, \d+% \(95 % interval over bars \d+% to \d+%; over", text)
    against.compare(gather([(Song(), real()[0])] * 3), real(), None, json_=True, seed=3, quiet=False)
    told = json.loads(capsys.readouterr().out)["two_sample"]
    assert told["low"] < told["accuracy"] < told["high"]
    assert told["by_song"] is None


def test_another_grid_and_other_bits_are_refused():
    finer = gather([(Song(), real()[0])], 12)
    keys = gather([(Song(), sounding(real()[0]))])
    for other, wrong in ((finer, "12"), (keys, "--bits")):
        with pytest.raises(MusicgenError, match=wrong):
            against.compare(held_out(), other, None, json_=False, seed=0, quiet=True, two_sample=False)


def test_voices_of_different_pieces_together_are_not_passed_as_music(capsys):
    """The top line of each chorale over the lower voices of another: the parts are real, their sound is not."""
    sides = chorales()
    songs, mixed = sides["test"], []
    for i, song in enumerate(songs.songs):
        tune, under = songs[i], songs[(i + 1) % len(songs)]
        length = min(len(tune), len(under))
        top = top_line(tune[:length])
        mixed.append((song, top | (under[:length] & ~top_line(under[:length]))))
    against.compare(gather(mixed), sides["train"], None, json_=False, seed=0, quiet=True, two_sample=False)
    text = capsys.readouterr().out
    assert "Wrong: dissonant: semitone_rate" in text
    assert "nothing far" not in text
