import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import roll
from musicgen_cli.errors import MusicgenError
from musicgen_cli.representations import FORMS, as_roll, decode, encode, first, form_of, is_silent
from musicgen_cli.score import END, MAX_STEPS, PITCH, START, Score, quantise
from tests.strategies import GRIDS, drawn, scores
from tests.tunes import tune

ROLL = drawn("G4 #-#-\nC4 #---")
# A sixteenth, a triplet and an eighth after the first note, at 24 ticks a quarter note: all three round to an eighth.
RUN = Score([[0, 6, 60], [6, 8, 62], [8, 12, 64], [12, 24, 65]], 24)


def onsets(score: Score) -> list[tuple[int, int]]:
    return [tuple(note) for note in score.notes[:, [START, PITCH]].tolist()]


def fresh_onsets(score: Score) -> list[tuple[int, int]]:
    """Onsets on keys that did not sound just before: all that one bit can tell."""
    ends = {tuple(note) for note in score.notes[:, [END, PITCH]].tolist()}
    return [onset for onset in onsets(score) if onset not in ends]


def chords(score: Score) -> list[set[int]]:
    """What is struck, one after the other, as pitch classes."""
    return [{pitch % 12 for start, pitch in onsets(score) if start == now} for now in np.unique(score.notes[:, START])]


KEPT = {"rolls": onsets, "sounding keys": fresh_onsets, "words": onsets, "plain words": chords}


def finest(form: str, grid: int) -> int:
    """Steps per quarter note that onsets are told apart on: sixteenths and triplets, at least, for plain words."""
    return int(np.lcm(grid, 12)) if form == "plain words" else grid


# --- there and back ---


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(score=scores(), grid=st.sampled_from(GRIDS))
def test_onsets_survive_in_every_form(form, score, grid):
    music = encode(score, form, grid)
    again = decode(music, grid, score.tempo, score.time_signature)
    assert KEPT[form](again) == KEPT[form](quantise(score, finest(form, grid)))
    assert (again.ticks_per_quarter, again.tempo, again.time_signature) == (grid, score.tempo, score.time_signature)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(score=scores(), grid=st.sampled_from(GRIDS))
def test_what_was_encoded_is_encoded_the_same_again(form, score, grid):
    music = encode(score, form, grid)
    again = encode(decode(music, grid, score.tempo, score.time_signature), form, grid)
    assert again.dtype.kind == music.dtype.kind
    assert np.array_equal(again, music)


def test_each_form_writes_what_its_name_says():
    score = Score([[0, 2, 60], [2, 4, 60], [0, 4, 67]], 4)
    assert np.array_equal(encode(score, "rolls", 4), drawn("G4 #---\nC4 #-#-"))
    assert np.array_equal(encode(score, "sounding keys", 4), drawn("G4 #---\nC4 #-#-").any(2))
    assert encode(score, "words", 4).tolist() == ["C4.G4:2", "C4:2"]
    assert encode(score, "plain words", 4).tolist() == ["7.0", "C4"]


# --- which form an array has ---


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_known_by_its_array(form, tmp_path):
    music = encode(tune(1), form, 4)
    assert form_of(music) == form
    assert form_of(music[:1]) == form
    np.save(tmp_path / "music.npy", music)
    assert form_of(np.load(tmp_path / "music.npy", mmap_mode="r")) == form


@pytest.mark.parametrize(
    ("music", "form"),
    [
        (roll.pack(ROLL), "rolls"),
        (ROLL[:0], "rolls"),
        (ROLL[:0, :, 0], "sounding keys"),
        (np.zeros((0, 22), np.uint8), "rolls"),
        (np.array([], np.str_), "words"),
        (np.array(["R:7"]), "words"),
        (np.array(["C4", "C4:1"]), "words"),
        (np.array(["C4", "0.4.7"]), "plain words"),
        (np.array(["C4", "0.4.7"], ">U9"), "plain words"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype}{value.shape}",
)
def test_a_form_is_known_of_any_array_of_music(music, form):
    assert form_of(music) == form


NO_MUSIC = [
    np.zeros((4, 88, 2)), np.zeros((4, 88, 2), np.uint8), np.zeros((4, 88), np.uint8), np.zeros((4, 87), bool),
    np.zeros((4, 22), bool), np.zeros((4, 22), np.int8), np.zeros((4, 88, 3), bool), np.zeros((2, 4, 88, 2), bool),
    np.zeros(88, bool), np.zeros(22, np.uint8), np.zeros(4, np.int32), np.array(True), np.array("C4:1"),
    np.array([["C4:1"]]), np.array(["C4:1"], "S"), np.array(["C4:1"], object), np.zeros((4, 0), bool),
]  # fmt: skip


@pytest.mark.parametrize("array", NO_MUSIC, ids=lambda array: f"{array.dtype}{array.shape}")
def test_what_is_no_music_has_no_form(array):
    assert form_of(array) == ""


def test_bits_are_those_of_a_key():
    assert {name: form.bits for name, form in FORMS.items()} == {
        "rolls": 2, "sounding keys": 1, "words": 0, "plain words": 0
    }  # fmt: skip
    assert {form.name for form in FORMS.values()} == {"roll", "words"}


# --- plain words, and the grid that they are told apart on ---


def test_plain_words_tell_sixteenths_and_triplets_apart_though_steps_are_eighths():
    assert encode(RUN, "plain words", 2).tolist() == ["C4", "D4", "E4", "F4"]
    assert encode(RUN, "words", 2).tolist() == ["C4:1", "D4.E4.F4:1"]


def test_notes_less_than_that_apart_are_one_chord():
    rolled = Score([[0, 480, 60], [15, 480, 64], [19, 480, 67]], 480)  # all within a 48th note
    assert encode(rolled, "plain words", 2).tolist() == ["0.4.7"]


def test_a_corpus_on_a_finer_grid_or_another_keeps_its_own():
    close = Score([[0, 4, 60], [4, 10, 62]], 120)  # less than a 24th of a quarter note, and more than half of one
    assert encode(close, "plain words", 12).tolist() == ["0.2"]
    assert encode(close, "plain words", 24).tolist() == ["C4", "D4"]
    fifth = Score([[24, 60, 60], [25, 60, 62]], 60)  # two fifths, and five twelfths
    assert encode(fifth, "plain words", 2).tolist() == ["0.2"]
    assert encode(fifth, "plain words", 5).tolist() == ["C4", "D4"]


@pytest.mark.parametrize("form", FORMS)
def test_max_steps_are_steps_of_the_corpus_in_every_form(form):
    score = Score([[0, 4, 60], [4, 16, 62]], 2)
    assert len(encode(score, form, 2, max_steps=16))
    with pytest.raises(MusicgenError):
        encode(score, form, 2, max_steps=15)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_too_long_is_said_in_steps_of_the_corpus(form):
    with pytest.raises(MusicgenError, match=r"^lasts 16 steps, more than 15 \(`encode --max-steps 16` takes it\)$"):
        encode(Score([[0, 16, 60]], 2), form, 2, max_steps=15)


@pytest.mark.parametrize("form", FORMS)
def test_a_song_that_rounds_to_max_steps_is_taken_in_every_form(form):
    assert len(encode(Score([[0, 164, 60]], 20), form, 2, max_steps=16))  # 16.4 steps


# --- whatever the form ---

SHORT = {
    "rolls": ROLL,
    "packed": roll.pack(ROLL),
    "sounding keys": ROLL.any(2),
    "words": np.array(["C4.G4:2", "R:1", "G4:3"]),
    "plain words": np.array(["7.0", "G4", "C4", "0.4.7"]),
}
LENGTHS = {"rolls": 4, "packed": 4, "sounding keys": 4, "words": 6, "plain words": 4}


@pytest.mark.parametrize("music", SHORT.values(), ids=SHORT)
@pytest.mark.parametrize("steps", range(8))
def test_the_first_steps_sound_as_they_do_in_the_song(music, steps):
    assert np.array_equal(as_roll(first(music, steps)), as_roll(music)[:steps])
    assert first(music, steps).dtype.kind == music.dtype.kind


def test_the_last_word_of_the_first_steps_is_cut():
    assert first(np.array(["C4:4", "E4.G4:8", "R:1"]), 7).tolist() == ["C4:4", "E4.G4:3"]
    assert first(np.array(["C4:4", "E4.G4:8", "R:1"]), 12).tolist() == ["C4:4", "E4.G4:8"]


@pytest.mark.parametrize("form", SHORT)
def test_a_roll_has_a_row_for_each_step_of_any_form(form):
    wanted = (LENGTHS[form], 88) if form == "sounding keys" else (LENGTHS[form], 88, 2)
    assert (as_roll(SHORT[form]).shape, as_roll(SHORT[form]).dtype) == (wanted, bool)
    assert as_roll(SHORT[form][:0]).shape == (0, *wanted[1:])


@given(scores(), st.sampled_from(GRIDS))
def test_words_are_as_long_as_rolls_and_strike_the_same_keys(score, grid):
    drawn_words, drawn_roll = (as_roll(encode(score, form, grid)) for form in ("words", "rolls"))
    assert drawn_words.shape == drawn_roll.shape
    assert np.array_equal(roll.struck(drawn_words), roll.struck(drawn_roll))


def test_a_word_is_drawn_as_a_start_that_is_held():
    assert np.array_equal(as_roll(np.array(["C4.G4:2", "C4:1", "R:1", "G4:2"])), drawn("G4 #-..#-\nC4 #-#..."))


def test_packed_rolls_are_drawn_as_they_were():
    assert np.array_equal(as_roll(roll.pack(ROLL)), ROLL)


def test_words_longer_than_a_score_may_be_are_not_drawn():
    with pytest.raises(MusicgenError, match="more than"):
        as_roll(np.array([f"R:{MAX_STEPS}", "C4:1"]))


@pytest.mark.parametrize("form", SHORT)
def test_silence_is_told_from_music(form):
    assert not is_silent(SHORT[form])
    assert is_silent(SHORT[form][:0])


@pytest.mark.parametrize(
    "music",
    [np.array(["R:3", "R", "R:1"]), np.zeros((4, 88, 2), bool), np.zeros((4, 88), bool), np.zeros((4, 22), np.uint8)],
    ids=lambda music: f"{music.dtype}{music.shape}",
)
def test_rests_are_silent(music):
    assert is_silent(music)


@pytest.mark.parametrize("bit", [0, 87, 175])
def test_one_note_anywhere_is_no_silence(bit):
    music = np.zeros((3, 176), bool)
    music[1, bit] = True
    assert not is_silent(music.reshape(3, 88, 2))
    assert not is_silent(np.packbits(music, axis=1))
    assert not is_silent(np.array(["R:1", "A0:1", "R:1"]))


@pytest.mark.parametrize(
    "ask", [as_roll, is_silent, lambda music: first(music, 1), lambda music: decode(music, 4, 120, (4, 4))]
)
def test_what_is_no_word_is_named(ask):
    with pytest.raises(MusicgenError, match="'H4' is no word"):
        ask(np.array(["H4"]))
