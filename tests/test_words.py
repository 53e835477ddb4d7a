from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import midi, representations, words
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import MAX_STEPS, PITCH, Score, quantise
from tests.strategies import NAMES, quantised

SHARED = Path(__file__).parents[2] / "shared"
CORPORA = ["chorales", "keyboard", "lieder"]
FLATS = {"D#": "E-", "A#": "B-"}  # what music21 has for these

# A rest, a chord, a melody over a held note that is cut, the same key again, octaves, a rest at the end.
TUNE = Score(
    [[2, 4, 63], [2, 4, 67], [2, 3, 70], [4, 8, 48], [4, 5, 72], [5, 6, 74], [7, 8, 74], [8, 9, 61], [8, 9, 73]], 4, 12
)
WORDS = "R:2 E-4.G4.B-4:2 C3.C5:1 D5:1 R:1 D5:1 C#4.C#5:1 R:3"
PLAIN = "3.7.10 0 D5 D5 1"

VALID = [
    "R:1", "R:3", "R", "A0:1", "C8", "C4", "C#4:2", "C4.E4.G4:4", "B-2.B-3:1", "C4.C4",
    "0", "11", "0:2", "0.4.7", "7.8.9.2", "7.4.0", "0.6:3",
]  # fmt: skip
songs = st.lists(st.sampled_from(VALID), max_size=12)


def spelt(pitch: int) -> str:
    name = NAMES[pitch % 12]
    return f"{FLATS.get(name, name)}{pitch // 12 - 1}"


def slowly(score: Score) -> list[str]:
    """The words of a quantised score, chord by chord."""
    chords = [(start, list(chord)) for start, chord in groupby(score.notes.tolist(), key=itemgetter(0))]
    nexts = [start for start, _ in chords[1:]] + [score.length]
    line, now = [], 0
    for (start, chord), following in zip(chords, nexts):
        line += [f"R:{start - now}"] if start > now else []
        now = min(max(end for _, end, _ in chord), following)
        line.append(f"{'.'.join(spelt(pitch) for _, _, pitch in chord)}:{now - start}")
    return line + ([f"R:{score.length - now}"] if score.length > now else [])


def slowly_plain(score: Score) -> list[str]:
    line = []
    for _, chord in groupby(score.notes.tolist(), key=itemgetter(0)):
        pitches = [pitch for _, _, pitch in chord]
        classes = words.normal_order(sum(1 << c for c in {pitch % 12 for pitch in pitches}))
        line.append(spelt(pitches[0]) if len(pitches) == 1 else ".".join(str(c) for c in classes))
    return line


def transposed(score: Score, shift: int) -> Score:
    return Score(score.notes + np.array([0, 0, shift]), score.ticks_per_quarter, score.length)


def onsets(score: Score) -> list[list[int]]:
    return score.notes[:, [0, 2]].tolist()


# --- what words look like ---


def test_a_tune_is_written_as_a_musician_would_spell_it():
    assert " ".join(words.encode(TUNE)) == WORDS


def test_the_plain_form_has_a_word_for_each_onset_and_no_time():
    assert " ".join(words.encode(TUNE, plain=True)) == PLAIN


def test_words_are_read_as_a_musician_would_read_them():
    assert words.decode(WORDS.split(), 4).notes.tolist() == [
        [2, 4, 63], [2, 4, 67], [2, 4, 70],
        [4, 5, 48], [4, 5, 72],
        [5, 6, 74], [7, 8, 74],
        [8, 9, 61], [8, 9, 73],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "steps", "pitches"),
    [
        ("R:3", 3, []),
        ("R", 1, []),
        ("C4", 1, [60]),
        ("A0:2", 2, [21]),
        ("C8:131072", 131072, [108]),
        ("E-4.G4.B-4:2", 2, [63, 67, 70]),
        ("G4.C4.G4:2", 2, [60, 67]),
        ("0.4.7", 1, [60, 64, 67]),
        ("7.11.2", 1, [62, 67, 71]),
        ("0.4.7:5", 5, [60, 64, 67]),
        ("0", 1, [60, 72]),
        ("11.11", 1, [71, 83]),
    ],
)
def test_each_word_has_one_reading(word, steps, pitches):
    assert words.decode([word], 4) == Score([[0, steps, pitch] for pitch in pitches], 4, steps)
    assert (words.lengths([word]).tolist(), words.notes([word]).tolist()) == ([steps], [len(pitches)])


def test_both_forms_may_stand_side_by_side():
    score = words.decode(["C4:2", "0.4.7", "R:1", "G4"], 4)
    assert score.notes.tolist() == [[0, 2, 60], [2, 3, 60], [2, 3, 64], [2, 3, 67], [4, 5, 67]]


@pytest.mark.parametrize("plain", [False, True])
def test_no_music_is_no_words(plain):
    none = words.encode(Score([], 4), plain)
    assert (none.dtype, none.shape) == (np.dtype("<U1"), (0,))
    assert words.decode(none, 4) == Score([], 4)
    assert words.lengths(none).shape == words.notes(none).shape == words.transpose(none, 3).shape == (0,)
    assert not words.is_plain(none)


def test_silence_is_one_rest_or_nothing():
    assert words.encode(Score([], 4, 7)).tolist() == ["R:7"]
    assert words.encode(Score([], 4, 7), plain=True).tolist() == []


def test_tempo_and_time_signature_pass_through_words():
    score = words.decode(WORDS.split(), 7, 72.5, (3, 8))
    assert (score.ticks_per_quarter, score.tempo, score.time_signature) == (7, 72.5, (3, 8))


def test_a_plain_line_has_no_lengths():
    assert words.is_plain(["C4", "0.4.7"])
    assert not words.is_plain(["C4", "C4:1"])
    assert words.is_plain(words.encode(TUNE, plain=True))
    assert not words.is_plain(words.encode(TUNE))


def test_keys_are_those_that_are_struck():
    struck = words.keys(["C4.E4:2", "R:1", "0", "C8"])
    assert (struck.dtype, struck.shape) == (bool, (4, 88))
    assert [np.flatnonzero(row).tolist() for row in struck] == [[39, 43], [], [39, 51], [87]]


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (0, []),
        (1, ["C4:1"]),
        (4, ["C4:4"]),
        (5, ["C4:4", "R:1"]),
        (13, ["C4:4", "R:9"]),
        (14, ["C4:4", "R:10"]),
        (15, ["C4:4", "R:10", "0.4.7"]),
        (99, ["C4:4", "R:10", "0.4.7"]),
    ],
)
def test_a_line_is_cut_where_the_steps_run_out(steps, line):
    assert words.cut(["C4:4", "R:10", "0.4.7"], steps).tolist() == line


# --- what is no word ---

NO_WORDS = [
    "", ":", ":1", ".", "C4.", ".C4", "C4..E4", "C4:", "C4:0", "C4:-1", "C4:01", "C4:1.5", "C4:1:1", "C4:٣", "C4:1٣",
    "C4: 1", "C4:131073", "C4:" + "9" * 5000, "H4", "c4", "C", "C-1", "D-4", "D#4", "E#4", "C4\n", " C4", "G#0", "C#8",
    "B9", "12", "-1", "00", "0.12", "0.C4", "C4.R", "R.R", "r:1", "<start>", "\ud800", "🎵",
]  # fmt: skip


@pytest.mark.parametrize("word", NO_WORDS, ids=lambda word: ascii(word)[:12])
@pytest.mark.parametrize("read", [lambda line: words.decode(line, 4), words.lengths, words.notes])
def test_what_is_no_word_is_named_with_the_way_out(read, word):
    with pytest.raises(MusicgenError) as error:
        read(["C4:1", word, "R:2"])
    assert str(error.value) == f"{repr(word)[:40]} is no word; `musicgen encode --as words` writes them"


def test_what_is_no_word_cannot_be_moved():
    with pytest.raises(MusicgenError, match="'H4' is no word"):
        words.transpose(["C4:1", "H4"], 1)


def test_longer_than_a_score_may_be_is_an_error_before_it_is_memory():
    assert words.decode([f"R:{MAX_STEPS - 1}", "C4"], 4).length == MAX_STEPS
    with pytest.raises(MusicgenError, match=f"^lasts {MAX_STEPS + 1} steps, more than {MAX_STEPS}$"):
        words.decode([f"R:{MAX_STEPS}", "C4"], 4)
    with pytest.raises(MusicgenError, match="lasts 131072000000 steps"):
        words.decode(np.full(1_000_000, f"C4:{MAX_STEPS}"), 4)


# --- laws ---


@given(quantised())
def test_notes_that_words_change_are_counted(score):
    played = words.decode(words.encode(score), score.ticks_per_quarter).notes
    assert words.changed(score) == (played != score.notes).any(1).sum()


@given(quantised())
def test_words_say_what_the_plainest_reading_says(score):
    assert words.encode(score).tolist() == slowly(score)
    assert words.encode(score, plain=True).tolist() == slowly_plain(score)


@given(quantised(), st.booleans())
def test_words_survive_being_played(score, plain):
    line = words.encode(score, plain)
    assert line.dtype.kind == "U"
    assert words.encode(words.decode(line, score.ticks_per_quarter), plain).tolist() == line.tolist()


@given(quantised())
def test_every_onset_is_kept_and_so_is_the_length(score):
    again = words.decode(words.encode(score), score.ticks_per_quarter, score.tempo, score.time_signature)
    assert onsets(again) == onsets(score)
    assert (again.length, again.tempo, again.time_signature) == (score.length, score.tempo, score.time_signature)


@given(quantised())
def test_lengths_add_up_and_notes_are_all_there(score):
    line = words.encode(score)
    assert words.lengths(line).sum() == score.length
    assert words.notes(line).sum() == len(score.notes)
    assert words.lengths(line).dtype == words.notes(line).dtype == np.int64


@given(songs)
def test_any_words_decode_to_a_score_that_is_on_the_grid(line):
    score = words.decode(line, 4)
    assert quantise(score, 4) == score
    assert score.length == words.lengths(line).sum()
    assert len(score.notes) == words.notes(line).sum()
    assert words.decode(words.encode(score), 4) == score


# --- up and down the keyboard ---


def test_words_move_by_keys_and_pitch_classes_go_round():
    line = ["C4", "E-4.G4:2", "R:3", "R", "0.4.7", "0", "7.8.9.2:2", ""]
    assert words.transpose(line, 2).tolist() == ["D4", "F4.A4:2", "R:3", "R", "2.6.9", "2", "9.10.11.4:2", ""]
    assert words.transpose(line, -1).tolist() == ["B3", "D4.F#4:2", "R:3", "R", "11.3.6", "11", "6.7.8.1:2", ""]
    assert words.transpose(["0.6", "6.8"], 6).tolist() == ["0.6", "0.2"]  # in normal order again


def test_what_leaves_the_keyboard_is_empty():
    assert words.transpose(["C8", "B7", "C4.C8:1"], 1).tolist() == ["", "C8", ""]
    assert words.transpose(["A0", "B-0", "A0.C4:1"], -1).tolist() == ["", "A0", ""]
    assert words.transpose(["C4", "R:1", "0.4.7"], 1000).tolist() == ["", "R:1", "4.8.11"]


@given(quantised(), st.booleans(), st.integers(-30, 30))
def test_moved_there_and_back_words_are_as_they_were(score, plain, shift):
    line = words.encode(score, plain)
    there = words.transpose(line, shift)
    back = words.transpose(there, -shift)
    assert back.tolist() == ["" if away == "" else word for word, away in zip(line.tolist(), there.tolist())]


@given(quantised(), st.booleans(), st.integers(-12, 12))
def test_words_of_moved_music_are_moved_words(score, plain, shift):
    pitch = score.notes[:, PITCH] + shift
    score = Score(score.notes[(pitch >= 21) & (pitch <= 108)], score.ticks_per_quarter, score.length)
    moved = words.transpose(words.encode(score, plain), shift)
    assert moved.tolist() == words.encode(transposed(score, shift), plain).tolist()


# --- names and orders that others have, too ---


ORDERS = [
    (), (0,), (0, 6), (0, 4, 7), (10, 2, 5), (1, 5, 9), (11, 2, 3, 7), (7, 8, 9, 2),
    (5, 6, 8, 0, 1),  # not 0 1 5 6 8, which would be packed to the right
    (7, 8, 9, 0, 2, 4),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_pitch_classes_are_ordered_as_closely_as_they_can_be(order):
    assert words.normal_order(sum(1 << c for c in order)) == order


def test_every_plain_word_survives_being_played():
    chords = [".".join(map(str, words.normal_order(classes))) for classes in range(1, 1 << 12)]
    line = [*chords, *map(spelt, range(21, 109))]
    assert len(set(line)) == 4095 + 88
    assert words.encode(words.decode(line, 4), plain=True).tolist() == line


@pytest.mark.slow
def test_all_normal_orders_agree_with_music21():
    from music21.chord import Chord

    for classes in range(1, 1 << 12):
        chord = Chord([c for c in range(12) if classes >> c & 1])
        assert list(words.normal_order(classes)) == chord.normalOrder


@pytest.mark.slow
def test_all_names_agree_with_music21():
    from music21.pitch import Pitch

    for pitch in range(21, 109):
        assert words.encode(Score([[0, 1, pitch]], 4), plain=True).tolist() == [str(Pitch(pitch))]


# --- real music ---


@pytest.mark.slow
@pytest.mark.parametrize("corpus", CORPORA)
def test_words_of_all_real_music_survive_being_midi_files(corpus):
    files = sorted(path for path in (SHARED / "corpora" / corpus).rglob("*.mid") if path.is_file())
    if not files:
        pytest.skip(f"no shared/corpora/{corpus} beside the repository")
    for path in files:
        survives(path)


def survives(path):
    score, _ = midi.read(path.read_bytes())
    for form, grid in (("words", 4), ("words", 12), ("plain words", 2), ("rolls", 4)):
        line = representations.encode(score, form, grid)
        assert len(line) > 20, path.name
        played = representations.decode(line, grid, score.tempo, score.time_signature)
        again, _ = midi.read(midi.write(played))
        assert np.array_equal(representations.encode(again, form, grid), line), (path.name, form)


# --- DESIGN 8.10: what the reference got wrong ---


def test_chords_keep_their_octaves():  # DESIGN 8.10: the reference kept pitch classes alone
    low, high = ([[0, 4, pitch + up] for pitch in (48, 52, 55)] for up in (0, 24))
    assert words.encode(Score(low, 4)).tolist() == ["C3.E3.G3:4"]
    assert words.encode(Score(high, 4)).tolist() == ["C5.E5.G5:4"]


def test_two_hands_that_strike_together_are_one_chord():  # DESIGN 8.10: the reference read one hand after the other
    right, left = [[0, 4, 76], [4, 8, 77]], [[0, 4, 48], [4, 8, 53]]
    assert words.encode(Score(right + left, 4)).tolist() == ["C3.E5:4", "F3.F5:4"]


def test_words_have_a_length():  # DESIGN 8.10: in the reference all lasted the same
    assert words.encode(Score([[0, 6, 60], [6, 8, 62], [12, 16, 64]], 4)).tolist() == ["C4:6", "D4:2", "R:4", "E4:4"]
