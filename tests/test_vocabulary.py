import io
import math
import random
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import vocabulary, words
from musicgen_cli.errors import MusicgenError
from musicgen_cli.vocabulary import LETTERS, SPECIALS, START, UNKNOWN, Vocabulary, count, spelling
from tests.strategies import arrays
from tests.tunes import tune

# Three of one word, two each of three others, one of the last.
LINE = np.array(["C4:1", "D4:1", "R:2", "C4:1", "D4:1", "E-4.G4:2", "E-4.G4:2", "R:2", "C4:1", "B-3:4"])
VALID = ["R:1", "R:3", "A0:1", "C8", "C4", "C#4:2", "C4.E4.G4:4", "B7.C8:1", "0", "0:2", "0.4.7", "0.6:3", ""]
lines = st.lists(st.sampled_from(VALID), max_size=12).map(lambda line: np.array(line, np.str_))


def saved(known: Vocabulary) -> bytes:
    file = io.BytesIO()
    vocabulary.save(known, file)
    return file.getvalue()


def load(data: bytes) -> Vocabulary:
    return vocabulary.load(io.BytesIO(data))


def same(one: Vocabulary, other: Vocabulary) -> bool:
    return np.array_equal(one.words, other.words) and np.array_equal(one.counts, other.counts)


def as_dict(known: Vocabulary) -> dict[str, int]:
    return dict(zip(known.words.tolist(), known.counts.tolist()))


def slowly(music: list[str], min_count: int, size: int | None, furthest: int) -> list[tuple[str, int]]:
    """The list and its counts, word by word."""
    met = Counter[str]()
    for shift in range(-furthest, furthest + 1):
        met.update(moved for word in music if (moved := words.transpose([word], shift)[0]))
    common = sorted((word for word in met if met[word] >= min_count), key=lambda word: (-met[word], word))[:size]
    unknown = sum(met[word] for word in met if word not in common)
    return [("<start>", 0), ("<unknown>", unknown), *((word, met[word]) for word in common)]


# --- which words have an id ---


def test_words_stand_by_falling_count_after_the_specials_ties_in_the_order_of_the_alphabet():
    assert as_dict(count([LINE])) == {
        "<start>": 0, "<unknown>": 0, "C4:1": 3, "D4:1": 2, "E-4.G4:2": 2, "R:2": 2, "B-3:4": 1
    }  # fmt: skip
    known = count([LINE])
    assert known.words.tolist() == ["<start>", "<unknown>", "C4:1", "D4:1", "E-4.G4:2", "R:2", "B-3:4"]
    assert (known.words.dtype.kind, known.counts.dtype, len(known)) == ("U", np.int64, 7)


def test_the_specials_have_the_first_ids():
    assert SPECIALS[START] == "<start>"
    assert SPECIALS[UNKNOWN] == "<unknown>"
    assert (START, UNKNOWN) == (0, 1)  # what pads windows, as silence pads those of rolls; on disk in checkpoints


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ({"min_count": 2}, "<start> <unknown> C4:1 D4:1 E-4.G4:2 R:2"),
        ({"min_count": 3}, "<start> <unknown> C4:1"),
        ({"min_count": 4}, "<start> <unknown>"),
        ({"size": 3}, "<start> <unknown> C4:1 D4:1 E-4.G4:2"),
        ({"size": 99}, "<start> <unknown> C4:1 D4:1 E-4.G4:2 R:2 B-3:4"),
        ({"min_count": 2, "size": 1}, "<start> <unknown> C4:1"),
    ],
)
def test_what_is_left_out_is_counted_as_unknown(kept, left):
    known = count([LINE], **kept)
    assert known.words.tolist() == left.split()
    assert known.counts[UNKNOWN] == len(LINE) - known.counts[2:].sum()
    assert known.counts.sum() == len(LINE)


def test_words_are_counted_where_transposing_takes_them_too():
    assert as_dict(count([np.array(["C4:1", "C4:1", "D4:1", "R:1"])], furthest=1)) == {
        "<start>": 0, "<unknown>": 0, "C#4:1": 3, "R:1": 3, "B3:1": 2, "C4:1": 2, "D4:1": 1, "E-4:1": 1
    }  # fmt: skip


def test_what_transposing_takes_off_the_keyboard_is_no_word_and_not_counted():
    assert as_dict(count([np.array(["C8:1"])], furthest=1)) == {"<start>": 0, "<unknown>": 0, "B7:1": 1, "C8:1": 1}


@settings(max_examples=60)
@given(st.lists(lines, max_size=3), st.integers(1, 3), st.none() | st.integers(0, 4), st.integers(0, 2))
def test_corpora_are_counted_as_the_plain_way_counts_all_their_words(corpora, min_count, size, furthest):
    known = count(corpora, min_count, size, furthest)
    together = [word for line in corpora for word in line.tolist()]
    assert list(zip(known.words.tolist(), known.counts.tolist())) == slowly(together, min_count, size, furthest)
    if corpora:
        assert same(known, count([np.concatenate(corpora)], min_count, size, furthest))


def test_no_music_makes_a_list_of_specials():
    for none in ([], [np.array([], np.str_)]):
        known = count(none)
        assert known.words.tolist() == list(SPECIALS)
        assert known.counts.tolist() == [0, 0]


# --- ids ---


def test_the_word_in_place_i_has_id_i_and_any_other_is_unknown():
    known = count([LINE])
    ids = known.ids(np.array(["B-3:4", "C4:1", "C4:2", "H4", "", "R:2"]))
    assert (ids.dtype, ids.tolist()) == (np.int32, [6, 2, UNKNOWN, UNKNOWN, UNKNOWN, 5])
    assert known.ids(known.words[2:]).tolist() == [2, 3, 4, 5, 6]
    assert known.ids(LINE[:0]).shape == (0,)


def test_ids_do_not_hang_on_how_an_array_is_stored():
    known = count([LINE])
    for music in (LINE.astype(">U20"), LINE.astype("<U60"), np.repeat(LINE, 2)[::2]):
        assert known.ids(music).tolist() == known.ids(LINE).tolist()
        assert same(count([music]), known)


def test_what_spells_like_a_special_is_unknown_never_a_special():
    music = np.array(["<start>", "<unknown>", "C4:1", "<unknown>", "<unknown>"])
    known = count([music])
    assert as_dict(known) == {"<start>": 0, "<unknown>": 4, "C4:1": 1}
    assert known.ids(music).tolist() == [UNKNOWN, UNKNOWN, 2, UNKNOWN, UNKNOWN]


# --- up and down the keyboard ---


def test_a_table_says_what_each_word_becomes():
    known = count([np.array(["C4:1", "C#4:1", "C#4:1", "R:1", "R:1", "R:1", "C8:1", "0.4.7"])])
    assert known.words.tolist() == ["<start>", "<unknown>", "R:1", "C#4:1", "0.4.7", "C4:1", "C8:1"]
    table = known.transposed(1)
    assert table.dtype == np.int32
    assert table.tolist() == [
        [START, UNKNOWN, 2, 5, UNKNOWN, UNKNOWN, UNKNOWN],  # down: C#4 is C4; B3, B7 and 11.3.6 are none of these
        [START, UNKNOWN, 2, 3, 4, 5, 6],
        [START, UNKNOWN, 2, UNKNOWN, UNKNOWN, 3, UNKNOWN],  # up: C4 is C#4; C#8 is none at all
    ]


@settings(max_examples=40)
@given(lines.filter(len), st.integers(0, 14))
def test_the_table_is_transposition_word_by_word(line, furthest):
    known = count([line], furthest=1)
    table = known.transposed(furthest)
    assert table.shape == (2 * furthest + 1, len(known))
    ids = {word: i for i, word in enumerate(known.words.tolist())}
    for shift, row in zip(range(-furthest, furthest + 1), table.tolist()):
        moved = [words.transpose([word], shift)[0] for word in known.words[2:]]
        assert row == [START, UNKNOWN, *(ids.get(word, UNKNOWN) for word in moved)]


# --- what is told of a vocabulary ---


def test_facts_of_a_whole_list():
    assert count([np.array(["C4:1", "C4:1", "D4:1", "E4:1"])]).facts() == {
        "words": 3,
        "met": 4,
        "met once": 2,
        "coverage": 1.0,
        "unigram perplexity": pytest.approx(2**1.5),  # a half, a quarter and a quarter: one bit and a half
    }


def test_facts_of_a_list_that_leaves_words_out():
    facts = count([np.array(["C4:1", "C4:1", "D4:1", "E4:1"])], min_count=2).facts()
    assert facts == {
        "words": 1,
        "met": 4,
        "met once": 0,  # the two that were are unknown
        "coverage": 0.5,
        "unigram perplexity": pytest.approx(2),  # C4 or unknown, one as often as the other
    }


def test_one_unknown_word_is_no_word_met_once():
    assert count([np.array(["C4:1", "C4:1", "D4:1"])], min_count=2).facts()["met once"] == 0


def test_facts_of_no_music_are_numbers():
    assert count([]).facts() == {"words": 0, "met": 0, "met once": 0, "coverage": 1.0, "unigram perplexity": 1.0}


# --- how long it takes to spell a word ---


def test_letters_are_guessed_from_the_one_before():
    known = np.array(["ab", "ac"])  # after the beginning a, a; after a b, c; after b the end; after c the end
    # Five may follow any letter: a, b, c, the end, and whatever was never seen, each counted once more than it was.
    chances = {
        "": 1 / 7,
        "ab": 3 / 7 * 2 / 7 * 2 / 6,
        "ba": 1 / 7 * 1 / 6 * 1 / 7,
        "x": 1 / 7 / LETTERS * 1 / 5,
        "ax": 3 / 7 * 1 / 7 / LETTERS * 1 / 5,
    }
    np.testing.assert_allclose(np.exp(-spelling(np.array(list(chances)), known)), list(chances.values()))


def totals(known: list[str], longest: int) -> list[float]:
    """The probability of all words of no letters, of one at most, ... of `longest` at most.

    x stands for each of the letters never seen: they are LETTERS less those that were.
    """
    seen = sorted(set("".join(known)))
    assert "x" not in seen
    total, result = 0.0, []
    for length in range(longest + 1):
        every = ["".join(letters) for letters in product([*seen, "x"], repeat=length)]
        likely = np.exp(-spelling(np.array(every), np.array(known, np.str_)))
        ways = [float(LETTERS - len(seen)) ** word.count("x") for word in every]
        total += float(likely @ ways)
        result.append(total)
    return result


@settings(max_examples=25)
@given(st.lists(st.text("ab", max_size=4), min_size=1, max_size=4))
def test_all_words_together_are_no_likelier_than_one(known):
    assert 0 < totals(known, 6)[-1] <= 1


def test_all_words_together_are_as_likely_as_one():
    total = totals(["a", "b", "ab", "", "a"], 8)
    missing = 1 - np.array(total)
    assert (missing > 0).all()
    assert (missing[1:] < 0.75 * missing[:-1]).all()  # it ends, whatever came before, once in four times at least


def test_who_has_seen_no_words_spells_them_all_too():
    assert 0.99 < totals([], 30)[-1] <= 1


def test_words_like_those_known_cost_less_than_noise():
    known = np.array(["C4:1", "E-4.G4:2", "C4.E4.G4:4", "R:1", "F#3.A3:2", "B-2:8", "D4.G4:2"])
    like, noise, strange = spelling(np.array(["E-4.G4:4", "4-:E.44G", "日本語 🎵 Æ"]), known)
    assert like < noise < strange
    alike = spelling(np.array(["A3:2", "A3.C4:2"]), known)
    assert alike[0] < alike[1]  # and short ones less than long ones


def test_each_word_is_spelt_for_itself():
    known = np.array(["C4:1", "D4:1"])
    unknown = np.array(["E4:1", "C4:2", "E4:1", "C4:2", "E4:1"])
    alone = [spelling(np.array([word]), known)[0] for word in unknown.tolist()]
    assert spelling(unknown, known).tolist() == alone
    assert spelling(unknown[:0], known).shape == (0,)
    assert spelling(unknown, known[::-1]).tolist() == alone


# --- on disk ---


def test_load_undoes_save():
    for known in (count([LINE]), count([LINE], size=2), count([]), count([words.encode(tune(1))], furthest=6)):
        again = load(saved(known))
        assert same(again, known)
        assert again.words.dtype == known.words.dtype


def test_numpy_loads_the_two_arrays_one_after_the_other():
    known = count([LINE], min_count=2)
    file = io.BytesIO(saved(known))
    assert np.load(file).tolist() == ["<start>", "<unknown>", "C4:1", "D4:1", "E-4.G4:2", "R:2"]
    counts = np.load(file)
    assert (counts.dtype, counts.tolist()) == (np.int64, [0, 1, 3, 2, 2, 2])
    assert not file.read()


def test_two_np_saves_make_a_vocabulary():
    known = load(arrays(np.array(["<start>", "<unknown>", "C4", "0.4.7"]), np.array([0, 0, 1, 2])))
    assert known.ids(np.array(["0.4.7", "C4", "D4"])).tolist() == [3, 2, UNKNOWN]


def test_a_vocabulary_on_disk_is_the_same(tmp_path):
    path = tmp_path / "vocab.npy"
    path.write_bytes(saved(count([LINE])))
    with path.open("rb") as file:
        assert same(vocabulary.load(file), count([LINE]))


LISTED = np.array(["<start>", "<unknown>", "C4"])
WRONG = {
    "nothing": (b"", "is empty"),
    "text": (b"hello, world\n" * 9, "no .npy file"),
    "a corpus of words": (arrays(LINE, np.array([0, 10]), np.array("{}")), "is no vocabulary"),
    "a bare line of words": (arrays(LINE), "is no vocabulary"),
    "a roll": (arrays(np.zeros((4, 88, 2), bool)), "is no vocabulary"),
    "one word": (arrays(np.array("C4:1")), "is no vocabulary"),
    "one number": (arrays(np.array(3), np.array(4)), "is no vocabulary"),
    "no words": (arrays(np.array([], np.str_), np.array([], np.int64)), "is no vocabulary"),
    "words in rows": (arrays(LISTED[:, None], np.array([[0], [0], [1]])), "is no vocabulary"),
    "bytes": (arrays(LISTED.astype("S"), np.array([0, 0, 1])), "is no vocabulary"),
    "one special": (arrays(LISTED[[0, 2]], np.array([0, 1])), "is no vocabulary"),
    "specials the other way round": (arrays(LISTED[[1, 0, 2]], np.array([0, 0, 1])), "is no vocabulary"),
    "no specials first": (arrays(LISTED[[2, 0, 1]], np.array([1, 0, 0])), "is no vocabulary"),
    "a pickle": (arrays(LISTED.astype(object), np.array([0, 0, 1])), "another kind"),
    "no counts": (arrays(LISTED), "damaged"),
    "a count too few": (arrays(LISTED, np.array([0, 1])), "damaged"),
    "counts in rows": (arrays(LISTED, np.array([[0, 0, 1]])), "damaged"),
    "counts of another kind": (arrays(LISTED, np.array([0.0, 0.0, 1.0])), "damaged"),
    "counts that are words": (arrays(LISTED, LISTED), "damaged"),
    "a word twice": (arrays(LISTED[[0, 1, 2, 2]], np.array([0, 0, 1, 1])), "damaged"),
    "a special twice": (arrays(LISTED[[0, 1, 1]], np.array([0, 0, 1])), "damaged"),
    "a letter that is none": (arrays(LISTED)[:-4] + b"\0\0\x11\0" + arrays(np.array([0, 0, 1])), "letter|damaged"),
    "words cut short": (arrays(LISTED)[:-1], "cut short"),
    "counts cut short": (arrays(LISTED, np.array([0, 0, 1]))[:-1], "cut short"),
}


@pytest.mark.parametrize(("data", "why"), WRONG.values(), ids=WRONG)
def test_another_file_is_refused_in_a_sentence(data, why):
    with pytest.raises(MusicgenError, match=why):
        load(data)


def test_a_vocabulary_cut_short_anywhere_is_refused():
    data = saved(count([LINE]))
    for cut in range(len(data)):
        with pytest.raises(MusicgenError):
            load(data[:cut])


def test_a_damaged_vocabulary_loads_or_is_refused_and_nothing_else():
    data = saved(count([LINE]))
    dice, refused = random.Random(88), 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(dice.choice([1, 1, 3])):
            damaged[dice.randrange(len(data))] = dice.choice([dice.randrange(256), *b"()[]{}',:0123456789<>U "])
        try:
            known = load(bytes(damaged))
        except MusicgenError:
            refused += 1
        else:
            assert known.ids(LINE).max() < len(known)
            assert all(math.isfinite(fact) for fact in known.facts().values())
            letters = np.frombuffer(known.words.tobytes(), known.words.dtype.str[0] + "u4")
            assert letters.max() < LETTERS
    assert refused > 500
