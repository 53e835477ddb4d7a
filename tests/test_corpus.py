import io
import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import roll, words
from musicgen_cli.corpus import CHUNK, MAX_TEXT, Corpus, Song, Writer, gather, load, save
from musicgen_cli.errors import MusicgenError
from musicgen_cli.representations import encode
from musicgen_cli.score import PITCH, Score
from musicgen_cli.split import split
from tests.strategies import arrays, drawn, metres, quantised, rolls, tempos
from tests.tunes import tune

FIRST = drawn("G4 #-#-\nC4 #---")
SECOND = drawn("A4 ..#---\nF4 ##....")
SONGS = [
    Song("bwv003-06", 72.5, (3, 4), "a chorale"),
    Song("Kärlek på 日本語 🎵", 120.0, (12, 8)),
]
FORMS = {
    "two bits": lambda music: music,
    "one bit": lambda music: music.any(2),
    "packed": roll.pack,
}


def saved(corpus: Corpus) -> bytes:
    file = io.BytesIO()
    save(corpus, file)
    return file.getvalue()


ABOUT = {"format": "musicgen-corpus", "version": 1, "representation": "roll", "steps_per_quarter": 4}


def with_about(**fields: object) -> bytes:
    """A corpus of two songs whose JSON says these things."""
    text = json.dumps(ABOUT | {"songs": [{}, {}]} | fields)
    return arrays(np.concatenate([FIRST, SECOND]), np.array([0, 4, 10]), np.array(text))


def header(text: str, body: bytes = b"\0" * 176) -> bytes:
    """A .npy file with this header, whatever it says."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


def shaped(shape: str, dtype: str = "|b1") -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"


def same(one: Corpus, other: Corpus) -> bool:
    return (
        one.music.dtype == other.music.dtype
        and np.array_equal(one.music, other.music)
        and np.array_equal(one.offsets, other.offsets)
        and (one.songs, one.steps_per_quarter) == (other.songs, other.steps_per_quarter)
    )


@pytest.fixture(params=FORMS)
def corpus(request: pytest.FixtureRequest) -> Corpus:
    form = FORMS[request.param]
    return gather([(SONGS[0], form(FIRST)), (SONGS[1], form(SECOND))], steps_per_quarter=12)


songs = st.builds(Song, st.text(max_size=8), tempos, metres, st.text(max_size=8))


@settings(max_examples=50)
@given(st.lists(st.tuples(songs, rolls()), min_size=1, max_size=3), st.sampled_from(list(FORMS)), st.integers(1, 240))
def test_load_undoes_save(parts, form, grid):
    corpus = gather([(song, FORMS[form](music)) for song, music in parts], grid)
    assert same(load(io.BytesIO(saved(corpus))), corpus)


def test_a_file_on_disk_is_memory_mapped_and_the_same(corpus, tmp_path):
    path = tmp_path / "rolls.npy"
    path.write_bytes(saved(corpus))
    with path.open("rb") as file:
        loaded = load(file)
        assert isinstance(loaded.music, np.memmap)
        assert same(loaded, corpus)


def test_a_song_of_no_steps_survives_on_disk(tmp_path):
    path = tmp_path / "rolls.npy"
    path.write_bytes(saved(gather([(Song("rest"), FIRST[:0])])))
    with path.open("rb") as file:
        assert load(file).lengths.tolist() == [0]


def test_writing_song_by_song_is_writing_them_at_once(corpus):
    file = io.BytesIO()
    writer = Writer(file, 12)
    for i in range(2):
        writer.add(SONGS[i], corpus[i])
    writer.finish()
    assert file.getvalue() == saved(corpus)


def test_the_header_has_room_for_songs_that_are_yet_to_come():
    many = gather([(Song(), np.zeros((1, 88, 2), bool)), (Song(), np.zeros((123_456, 88, 2), bool))])
    assert load(io.BytesIO(saved(many))).lengths.tolist() == [1, 123_456]


@pytest.mark.parametrize(
    ("song", "music", "cause"),
    [
        (Song(text="é" * 3000), FIRST, "has 18,0.. bytes of text, and 16,382 are the most"),
        (Song(tempo=0.0), FIRST, "has a tempo or a time signature that no MIDI file could say"),
        (Song(time_signature=(300, 4)), FIRST, "has a tempo or a time signature that no MIDI file could say"),
        (Song(), np.array([".".join(["C4"] * 180)]), "has words of 539 letters, and 512 are the most"),
    ],
)
def test_a_song_that_would_not_be_loaded_is_not_written(song, music, cause):  # it was, and the whole corpus lost
    with pytest.raises(MusicgenError, match=f"^song 'untitled' {cause}: it is not written$"):
        saved(gather([(song, music)]))


def test_as_much_as_may_be_said_of_a_song_is_written_and_loaded():
    left = MAX_TEXT - 2 - len(json.dumps(Song()._asdict()))
    songs = [(Song(text="x" * left), FIRST)] * 3
    assert [len(song.text) for song in load(io.BytesIO(saved(gather(songs)))).songs] == [left] * 3
    with pytest.raises(MusicgenError, match="16,383 bytes"):
        saved(gather([(Song(text="x" * (left + 1)), FIRST)]))


def test_a_corpus_of_no_songs_is_not_written():
    with pytest.raises(MusicgenError, match="no songs to write"):
        Writer(io.BytesIO(), 4).finish()


# --- DESIGN 3: the contract with whoever has only NumPy ---


def test_numpy_loads_the_three_arrays_one_after_the_other(corpus):
    file = io.BytesIO(saved(corpus))
    music, offsets, about = np.load(file), np.load(file), json.loads(np.load(file).item())
    assert np.array_equal(music, corpus.music)
    assert (offsets.dtype, offsets.tolist()) == (np.int64, [0, 4, 10])
    assert {key: about[key] for key in ["format", "version", "representation", "steps_per_quarter"]} == {
        "format": "musicgen-corpus",
        "version": 1,
        "representation": "roll",
        "steps_per_quarter": 12,
    }
    assert about["songs"][1]["name"] == "Kärlek på 日本語 🎵"
    assert (about["songs"][0]["tempo"], about["songs"][0]["time_signature"]) == (72.5, [3, 4])
    assert not file.read()


@pytest.mark.parametrize("mode", [None, "r"])
def test_numpy_loads_the_music_alone_memory_mapped_too(corpus, tmp_path, mode):
    path = tmp_path / "rolls.npy"
    path.write_bytes(saved(corpus))
    assert np.array_equal(np.load(path, mmap_mode=mode), corpus.music)


def test_three_np_saves_make_a_corpus():
    loaded = load(io.BytesIO(with_about(songs=[{"name": "a", "tempo": 90}, {"time_signature": [6, 8]}])))
    assert loaded.songs == [Song("a", 90.0), Song(time_signature=(6, 8))]
    assert loaded.lengths.tolist() == [4, 6]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_songs_are_read_however_they_are_written(indent, ascii_only):
    names = ["", "a", '}, {"', "\\", '\\"', "é 日本 🎵", "]}"]
    known = [{"name": name, "by": {"name": "{[", "born": 1685}, "[": [[], 1e3]} for name in names]
    whole = ABOUT | {"songs": known, "steps_per_quarter": 12, "made": {"by": "hand", "song": {}}}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
    for said in (np.array(text), np.array(text.encode())):
        file = io.BytesIO()
        for array in (np.zeros((7, 88, 2), bool), np.arange(8), said):
            np.save(file, array)
        loaded = load(file)
        assert loaded.songs == [Song(name) for name in names]
        assert (loaded.songs[-1].name, loaded.find("a"), loaded.steps_per_quarter) == ("]}", 1, 12)


@pytest.mark.parametrize("form", FORMS)
def test_a_bare_array_is_a_corpus_of_one_song(form, tmp_path):
    path = tmp_path / "own.npy"
    np.save(path, FORMS[form](FIRST))
    with path.open("rb") as file:
        loaded = load(file)
    assert same(loaded, gather([(Song(), FORMS[form](FIRST))], steps_per_quarter=4))
    assert (loaded.songs[0].tempo, loaded.bits, loaded.packed) == (120, 1 if form == "one bit" else 2, form == "packed")


# --- songs in a corpus ---


def test_a_song_is_a_score_with_its_own_tempo_and_metre():
    corpus = gather([(SONGS[0], FIRST), (SONGS[1], SECOND)], 4)
    assert corpus.score(0) == Score([[0, 4, 60], [0, 2, 67], [2, 4, 67]], 4, 4, 72.5, (3, 4))
    assert corpus.score(1) == Score([[0, 1, 65], [1, 2, 65], [2, 6, 69]], 4, 6, 120.0, (12, 8))


def test_packed_songs_are_the_same_scores():
    packed = gather([(SONGS[0], roll.pack(FIRST)), (SONGS[1], roll.pack(SECOND))])
    assert np.array_equal(packed.roll(1), SECOND)
    assert packed.score(1) == gather([(SONGS[0], FIRST), (SONGS[1], SECOND)]).score(1)


def test_a_song_is_found_by_name_before_number():
    corpus = gather([(Song("2"), FIRST), (Song("b"), SECOND), (Song("c"), FIRST)])
    assert [corpus.find(song) for song in ["2", "b", "1", "3"]] == [0, 1, 0, 2]


@pytest.mark.parametrize("song", ["0", "4", "-1", "a", "", "²", "9" * 5000, "0" * 5000 + "4"])
def test_a_song_that_is_not_there_is_named(song):
    corpus = gather([(Song("x"), FIRST), (Song("b"), SECOND), (Song("c"), FIRST)])
    with pytest.raises(MusicgenError, match=r"no song .* among 3"):
        corpus.find(song)


def test_a_digest_tells_music_not_place_name_or_form():
    plain = gather([(Song("a"), FIRST), (Song("b"), SECOND)])
    packed = gather([(Song("c"), roll.pack(SECOND)), (Song("d"), roll.pack(FIRST))])
    assert plain.digest(0) == packed.digest(1)
    assert plain.digest(0) != plain.digest(1)


# --- whatever else a file may be ---

WRONG = {
    "nothing": (b"", "is empty"),
    "text": (b"hello, world\n" * 9, "no .npy file"),
    "zeros": (bytes(1000), "no .npy file"),
    "a zip": (b"PK\x03\x04" + bytes(99), "no .npy file"),
    "magic alone": (b"\x93NUMPY", "no .npy file"),
    "numbers": (arrays(np.zeros((4, 88, 2))), "which is no roll"),
    "bytes": (arrays(np.zeros((4, 88, 2), np.uint8)), "which is no roll"),
    "too few keys": (arrays(np.zeros((4, 87, 2), bool)), "which is no roll"),
    "one step": (arrays(np.zeros(88, bool)), "which is no roll"),
    "one bit": (arrays(np.array(True)), "which is no roll"),
    "a batch of rolls": (arrays(np.zeros((2, 4, 88, 2), bool)), "which is no roll"),
    "words without letters": (header(shaped("(4,)", dtype="<U0")), "which is no roll"),
    "words in rows": (arrays(np.array([["E-5", "0.4.7"]])), "which is no roll"),
    "a letter that is none": (arrays(np.array(["E-5"]))[:-1] + b"\x11", "a letter of its words"),
    "Fortran order": (arrays(np.asfortranarray(FIRST)), "another kind"),
    "a pickle": (arrays(np.array([{"a": 1}], object)), "another kind"),
    "a byte 2 for a bit": (arrays(FIRST)[:-1] + b"\2", "neither 0 nor 1"),
    "songs beyond the music": (arrays(FIRST, np.array([0, 5]), np.array("{}")), "no musicgen corpus"),
    "music and offsets only": (arrays(FIRST, np.array([0, 4])), "no .npy file"),
    "no JSON": (arrays(FIRST, np.array([0, 4]), np.array("{")), "no musicgen corpus"),
    "JSON of another kind": (arrays(FIRST, np.array([0, 4]), np.array('["musicgen-corpus"]')), "no musicgen corpus"),
    "JSON without end": (arrays(FIRST, np.array([0, 4]), np.array("[" * 100_000)), "no musicgen corpus"),
    "bytes that are no text": (arrays(FIRST, np.array([0, 4]), np.array(b"\xff\xfe")), "no musicgen corpus"),
    "two texts": (arrays(FIRST, np.array([0, 4]), np.array(["{}", "{}"])), "no musicgen corpus"),
    "a number for text": (arrays(FIRST, np.array([0, 4]), np.array(7)), "no musicgen corpus"),
    "another format": (with_about(format="midi"), "no musicgen corpus"),
    "a newer version": (with_about(version=2), "upgrade"),
    "a newer version of other songs": (with_about(version=2, songs=["a"]), "upgrade"),
    "words in the JSON": (with_about(representation="words"), "it says 'words'"),
    "no grid": (with_about(steps_per_quarter=0), "encode it again"),
    "a grid without end": (with_about(steps_per_quarter=float("inf")), "no musicgen corpus"),
    "one song too few": (with_about(songs=[{}]), "do not add up"),
    "one song too many": (with_about(songs=[{}, {}, {}]), "do not add up"),
    "songs that are numbers": (with_about(songs=[1, 2]), "no musicgen corpus"),
    "tempo of zero": (with_about(songs=[{"tempo": 0}, {}]), "no musicgen corpus"),
    "tempo that is none": (with_about(songs=[{"tempo": float("nan")}, {}]), "no musicgen corpus"),
    "tempo beyond numbers": (with_about(songs=[{"tempo": 10**400}, {}]), "no musicgen corpus"),
    "metre of one number": (with_about(songs=[{"time_signature": [4]}, {}]), "no musicgen corpus"),
    "metre in thirds": (with_about(songs=[{"time_signature": [4, 3]}, {}]), "no musicgen corpus"),
    "metre without end": (with_about(songs=[{"time_signature": [float("inf"), 4]}, {}]), "no musicgen corpus"),
    "header cut off": (header("{'descr': '|b1', 'fortran_order': False"), r"no \.npy file"),
    "header with no dtype": (header(shaped("(1, 88, 2)", dtype=",")), r"no \.npy file"),
    "header without end": (header(shaped("(1, 88, 2)") + " " * 9000), r"no \.npy file"),
    "shape below zero": (header(shaped("(-1, 88, 2)")), r"no \.npy file"),
    "shape of bits": (header(shaped("(True, 88, 2)")), r"no \.npy file|which is no roll"),
    "shape beyond the file": (header(shaped(f"({10**30}, 88, 2)")), "cut short"),
    "offsets without size": (arrays(FIRST) + header(shaped("(3,)", dtype="<U0")), "^is "),
    "offsets beyond NumPy": (arrays(FIRST) + header(shaped(f"(0, {10**30})", dtype="<i8")), "^is "),
}  # fmt: skip


@pytest.mark.parametrize(("data", "why"), WRONG.values(), ids=WRONG)
def test_another_file_is_refused_in_a_sentence(data, why):
    with pytest.raises(MusicgenError, match=why):
        load(io.BytesIO(data))


@pytest.mark.parametrize(("data", "why"), WRONG.values(), ids=WRONG)
def test_another_file_on_disk_is_refused_alike(data, why, tmp_path):
    path = tmp_path / "other.npy"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(MusicgenError, match=why):
        load(file)


@pytest.mark.parametrize(
    "offsets",
    [
        np.array([0, 4, 9]),
        np.array([1, 4, 10]),
        np.array([0, 11, 10]),
        np.array([0, -1, 10]),
        np.array([0, 10]),
        np.array([], np.int64),
        np.array([[0, 4, 10]]),
        np.array([0, 4, 10], np.int32),
        np.array([0.0, 4.0, 10.0]),
    ],
    ids=str,
)
def test_offsets_that_do_not_add_up_are_refused(offsets):
    music = np.concatenate([FIRST, SECOND])
    about = np.load(io.BytesIO(with_about()[len(arrays(music, np.array([0, 4, 10]))) :]))
    with pytest.raises(MusicgenError, match="do not add up"):
        load(io.BytesIO(arrays(music, offsets, about)))


def test_offsets_cannot_descend_by_overflowing():
    about = with_about(songs=[{}, {}, {}])
    music = np.concatenate([FIRST, SECOND])
    about = about[len(arrays(music, np.array([0, 4, 10]))) :]
    with pytest.raises(MusicgenError, match="do not add up"):
        load(io.BytesIO(arrays(music, np.array([0, (1 << 63) - 1, -(1 << 62), 10])) + about))


def test_no_song_may_say_what_a_midi_file_cannot():
    with pytest.raises(MusicgenError):  # MIDI counts beats in one byte
        load(io.BytesIO(with_about(songs=[{"time_signature": [300, 4]}, {}])))


def test_a_corpus_cut_short_anywhere_is_refused(corpus):
    data = saved(corpus)
    whole = len(arrays(corpus.music))  # cut here it is a bare array, whole in itself
    for cut in [*range(0, len(data), 7), *range(whole - 3, whole), *range(whole + 1, whole + 12), len(data) - 1]:
        if cut != whole:
            with pytest.raises(MusicgenError, match=r"cut short|is empty|no \.npy file"):
                load(io.BytesIO(data[:cut]))


def test_a_corpus_cut_short_on_disk_is_refused(corpus, tmp_path):
    path: Path = tmp_path / "cut.npy"
    for cut in [100, 128, 300, len(saved(corpus)) - 1]:
        path.write_bytes(saved(corpus)[:cut])
        with path.open("rb") as file, pytest.raises(MusicgenError):
            load(file)


def test_damaged_headers_and_texts_load_or_are_refused_and_nothing_else():
    data = saved(gather([(SONGS[0], FIRST), (SONGS[1], SECOND)]))
    music = len(arrays(np.concatenate([FIRST, SECOND])))
    dice, refused = random.Random(88), 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(dice.choice([1, 1, 3])):
            place = dice.choice([dice.randrange(128), dice.randrange(music, len(data))])
            damaged[place] = dice.choice([dice.randrange(256), *b"()[]{}',:0123456789- "])
        try:
            load(io.BytesIO(bytes(damaged)))
        except MusicgenError:
            refused += 1
    assert refused > 500


# --- words ---


def test_text_that_is_no_music_is_refused_by_the_word(tmp_path):
    path = tmp_path / "own.npy"
    for text in (["C4:1", "hello"], ["C4:1", ""], ["<unknown>"]):
        np.save(path, np.array(text))
        with path.open("rb") as file, pytest.raises(MusicgenError, match=f"^{text[-1]!r} is no word"):
            load(file)


CHORALE = np.array(["E-4.G4.B-4:2", "R:1", "C4:12"])
ECHO = np.array(["C4:1", "R:2"])
spelt = st.sampled_from(["0", "C4", "R:1", "0.4.7", "C4.E4:16", "E-4.G4.B-4:2", "A0.C8.B-7:131072"])
lines = st.lists(spelt, max_size=6).map(lambda line: np.array(line, np.str_))


def of_tunes(form: str, numbers: range = range(1, 25)) -> Corpus:
    """Tunes, and the first of them once more, higher."""
    scores = [tune(number) for number in numbers]
    higher = Score(scores[0].notes + np.eye(3, dtype=int)[PITCH] * 3, 4, scores[0].length)
    music = [encode(score, form.replace("packed", "rolls"), 4) for score in [*scores, higher]]
    return gather([(Song(str(i)), roll.pack(song) if form == "packed" else song) for i, song in enumerate(music)])


@settings(max_examples=50)
@given(st.lists(st.tuples(songs, lines), min_size=1, max_size=4), st.integers(1, 240))
def test_load_undoes_save_of_words_in_memory_and_on_disk(parts, grid):
    corpus = gather(parts, grid)
    assert same(load(io.BytesIO(saved(corpus))), corpus)
    with tempfile.TemporaryFile() as file:
        save(corpus, file)
        loaded = load(file)
        assert isinstance(loaded.music, np.memmap) == (len(corpus.music) > 0)
        assert same(loaded, corpus)


@settings(max_examples=50)
@given(st.lists(st.tuples(songs, lines), min_size=1, max_size=5), st.sampled_from([1, 2, 3, CHUNK]))
def test_words_that_get_wider_song_by_song_are_written_as_at_once(parts, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("musicgen_cli.corpus.CHUNK", chunk)
        file = io.BytesIO()
        writer = Writer(file, 4)
        for song, line in parts:
            writer.add(song, line)
        writer.finish()
        assert file.getvalue() == saved(gather(parts))
        assert same(load(file), gather(parts))


@pytest.mark.parametrize("chunk", [1, 4, CHUNK])
def test_words_get_wider_again_and_again(chunk, monkeypatch):
    monkeypatch.setattr("musicgen_cli.corpus.CHUNK", chunk)
    parts = [np.array(["0", "C4", ".".join(["E-4"] * width), "R:1"]) for width in range(1, 9)]
    with tempfile.TemporaryFile() as file:
        writer = Writer(file, 4)
        for line in parts:
            writer.add(Song(), line)
        writer.finish()
        assert load(file).music.tolist() == np.concatenate(parts).tolist()


def test_about_says_words_whatever_their_form():
    for form in ("words", "plain words"):
        file = io.BytesIO(saved(gather([(SONGS[0], encode(tune(1), form, 4))], 4)))
        music, offsets, about = np.load(file), np.load(file), json.loads(np.load(file).item())
        assert (music.dtype.kind, offsets.tolist()) == ("U", [0, len(music)])
        assert about["representation"] == "words"
        assert load(file).form == form


def test_numpy_loads_the_words_alone_memory_mapped_too(tmp_path):
    path = tmp_path / "words.npy"
    path.write_bytes(saved(gather([(SONGS[0], CHORALE), (SONGS[1], ECHO)])))
    for mode in (None, "r"):
        assert np.load(path, mmap_mode=mode).tolist() == [*CHORALE, *ECHO]


@pytest.mark.parametrize(
    ("line", "form"), [(CHORALE, "words"), (np.array(["C4", "0.4.7"]), "plain words"), (CHORALE[:0], "words")]
)
def test_a_bare_line_of_words_is_a_corpus_of_one_song(line, form, tmp_path):
    path = tmp_path / "own.npy"
    np.save(path, line)
    with path.open("rb") as file:
        loaded = load(file)
    assert same(loaded, gather([(Song(), line)], steps_per_quarter=4))
    assert (loaded.form, loaded.bits, loaded.packed, len(loaded)) == (form, 0, False, 1)


def test_the_form_of_a_corpus_is_that_of_its_music():
    assert {form: of_tunes(form, range(1, 3)).form for form in ("rolls", "sounding keys", "words", "plain words")} == {
        form: form for form in ("rolls", "sounding keys", "words", "plain words")
    }
    assert of_tunes("packed", range(1, 3)).form == "rolls"
    assert gather([(Song(), np.array(["C4", "D4"])), (Song(), ECHO)]).form == "words"  # one length is enough


def test_a_song_of_words_is_a_score_with_its_own_tempo_and_metre():
    corpus = gather([(SONGS[0], CHORALE), (SONGS[1], ECHO)], 12)
    assert corpus.score(0) == Score([[0, 2, 63], [0, 2, 67], [0, 2, 70], [3, 15, 60]], 12, 15, 72.5, (3, 4))
    assert corpus.score(1) == Score([[0, 1, 60]], 12, 3, 120.0, (12, 8))
    assert np.array_equal(corpus.roll(1), drawn("C4 #.."))
    assert corpus.lengths.tolist() == [3, 2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_words_of_either_byte_order_are_the_same_words(order, tmp_path):
    stored = CHORALE.astype(CHORALE.dtype.newbyteorder(order))
    path = tmp_path / "own.npy"
    np.save(path, stored)
    with path.open("rb") as file:
        on_disk = load(file)
    for loaded in (on_disk, load(io.BytesIO(arrays(stored)))):
        assert loaded.music.dtype == stored.dtype
        assert loaded.form == "words"
        assert loaded.score(0) == gather([(Song(), CHORALE)]).score(0)
        assert same(load(io.BytesIO(saved(loaded))), loaded)


@pytest.mark.parametrize(("first", "second"), [("<", ">"), (">", "<"), (">", ">")])
@pytest.mark.parametrize("parts", [(CHORALE, ECHO), (ECHO, CHORALE)])
def test_words_of_both_byte_orders_are_written_into_one_corpus(first, second, parts):
    file = io.BytesIO()
    writer = Writer(file, 4)
    for order, line in zip((first, second), parts):
        writer.add(Song(), line.astype(line.dtype.newbyteorder(order)))
    writer.finish()
    assert load(file).music.tolist() == np.concatenate(parts).tolist()


@pytest.mark.parametrize("dtype", ["<U0", ">U0"])
@pytest.mark.parametrize("shape", ["(0,)", "(3,)", f"({10**15},)"])
def test_words_without_letters_are_refused_before_anything_is_allocated(dtype, shape, tmp_path):
    path = tmp_path / "own.npy"
    path.write_bytes(header(shaped(shape, dtype)))
    with path.open("rb") as file, pytest.raises(MusicgenError, match="nor words"):
        load(file)
    with pytest.raises(MusicgenError, match="nor words"):
        load(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("chunk", [1, 3, CHUNK])
@pytest.mark.parametrize("place", [0, 11, 3 * 12 + 5, 5 * 12 - 1])
def test_a_letter_that_is_none_is_refused_wherever_it_is(order, chunk, place, monkeypatch, tmp_path):
    monkeypatch.setattr("musicgen_cli.corpus.CHUNK", chunk)
    line = np.concatenate([CHORALE, ECHO])
    assert line.dtype == "<U12"
    data = bytearray(arrays(line.astype({"little": "<U12", "big": ">U12"}[order])))
    begin = len(data) - 4 * 12 * 5 + 4 * place
    data[begin : begin + 4] = (0x10FFFF).to_bytes(4, order)
    with pytest.raises(MusicgenError, match="is no word"):
        load(io.BytesIO(bytes(data)))  # a letter, the last that there is
    data[begin : begin + 4] = (0x110000).to_bytes(4, order)
    path = tmp_path / "own.npy"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(MusicgenError, match="a letter of its words is none"):
        load(file)
    with pytest.raises(MusicgenError, match="a letter of its words is none"):
        load(io.BytesIO(bytes(data)))


def test_words_that_say_they_are_rolls_are_refused():
    data = saved(gather([(Song(), ECHO)])).replace(b'"representation": "words"', b'"representation": "roll" ')
    with pytest.raises(MusicgenError, match="it says 'roll' and holds words"):
        load(io.BytesIO(data))


def test_a_corpus_of_words_cut_short_anywhere_is_refused():
    corpus = gather([(SONGS[0], CHORALE), (SONGS[1], ECHO)])
    data = saved(corpus)
    for cut in set(range(len(data))) - {len(arrays(corpus.music))}:
        with pytest.raises(MusicgenError, match=r"cut short|is empty|no \.npy file"):
            load(io.BytesIO(data[:cut]))


# --- the same song as rolls and as words ---


@pytest.mark.slow
def test_a_song_bears_one_name_as_rolls_packed_rolls_and_words():
    digests = {form: [of_tunes(form).digest(i) for i in range(25)] for form in ("rolls", "packed", "words")}
    assert digests["rolls"] == digests["packed"] == digests["words"]
    assert len(set(digests["words"])) == 25


@given(quantised())
def test_any_song_bears_one_name_as_rolls_and_as_words(score):
    as_rolls, as_words = (gather([(Song(), FORM(score))]) for FORM in (roll.encode, words.encode))
    assert as_rolls.digest(0) == as_words.digest(0)


@pytest.mark.parametrize(
    "other",
    [
        ["C4:2", "E4:2", "R:1", "G4:4"],  # another key
        ["C4:1", "E4:3", "R:1", "C4:4"],  # another onset
        ["C4:4", "R:1", "C4:4"],  # one note less
        ["C4.E4:2", "E4:2", "R:1", "C4:4"],  # one more
        ["C4:2", "E4:2", "R:1", "C4:5"],  # another end
        ["R:1", "C4:2", "E4:2", "R:1", "C4:4"],  # a rest before
    ],
)
def test_another_song_bears_another_name(other):
    song = np.array(["C4:2", "E4:2", "R:1", "C4:4"])
    corpus = gather([(Song(), song), (Song(), np.array(other)), (Song(), np.array(["C4:1", "R:1", "E4:3", "C4:4"]))])
    assert corpus.digest(0) != corpus.digest(1)
    assert corpus.digest(0) == corpus.digest(2)  # notes begin when they did, whatever is held


def test_songs_are_dealt_alike_as_rolls_packed_rolls_and_words():
    sides = split(of_tunes("rolls"))
    assert sides == split(of_tunes("packed")) == split(of_tunes("words"))
    assert {side: len(songs) for side, songs in sides.items()} == {"train": 21, "valid": 2, "test": 2}
    (together,) = [songs for songs in sides.values() if 0 in songs]
    assert 24 in together


def test_the_content_of_songs_tells_what_their_digests_do_not():
    held, cut = drawn("C4 #---#---"), drawn("C4 #-..#---")
    one, other = (gather([(Song(), roll), (Song(), FIRST)]) for roll in (held, cut))
    assert one.digest(0) == other.digest(0)
    assert one.content([0]) != other.content([0])
    assert one.content([1]) == other.content([1])
    assert one.content([0, 1]) != one.content([1, 0])
    packed = gather([(Song(), roll.pack(held))])
    assert packed.content([0]) == one.content([0])
