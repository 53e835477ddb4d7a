"""Listeners who toss coins, who know, who click left, who edit: what is said of each."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli.cli import run
from musicgen_cli.errors import MusicgenError
from musicgen_cli.quiz_score import (
    KEY,
    TO_EQUATE,
    TO_TELL,
    Count,
    binomial,
    checksum,
    detectable,
    over_listeners,
    power,
    read_answers,
    read_key,
    score,
    seal,
    student,
    verdict,
    wilson,
)

counts = st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def key_of(pairs: int) -> bytes:
    """The key of a quiz of so many pairs and the three controls; `h...` is by a person."""
    rows = [{"id": f"p{i}", "kind": "pair", "clips": [f"h{i}", f"m{i}"], "person": f"h{i}"} for i in range(pairs)]
    rows += [{"id": f"s{i}", "kind": "same", "clips": [f"s{i}"] * 2, "person": None} for i in range(2)]
    rows += [{"id": "o", "kind": "obvious", "clips": ["ho", "mo"], "person": "ho"}]
    return json.dumps({"format": KEY, "version": 1, "quiz": "q", "pairs": rows}).encode()


def answer(pairs, choose, name="one", training="none", seed=0, **changed) -> bytes:
    """The file of a listener who chooses a side by `choose(dice, side of the person's clip or None)`."""
    dice = np.random.default_rng(seed)
    given = {"format": "musicgen-quiz-answers", "version": 1, "quiz": "q", "listener": name, "training": training}
    rows = []
    for pair in json.loads(key_of(pairs))["pairs"]:
        left, right = dice.permutation(pair["clips"]).tolist()
        person = {left: "left", right: "right"}.get(pair["person"])
        row = {"pair": pair["id"], "left": left, "right": right, "choice": choose(dice, person), "known": False}
        rows.append(row | {"heard": [100, 95]})
    given |= {"answers": rows} | changed
    return json.dumps(given | {"seal": seal(given)}, indent=1).encode()


def coin(dice, person):
    return str(dice.choice(["left", "right"]))


def perfect(dice, person):
    return person or coin(dice, person)


def always_left(dice, person):
    return "left"


def always_right(dice, person):
    return "right"


def scored(pairs, *files):
    key = read_key(key_of(pairs))
    return score([read_answers(file, key) for file in files])


# -- statistics


@given(counts)
def test_binomial_sums_all_outcomes_that_are_no_likelier(both):
    count, of = both
    ways = [math.comb(of, k) for k in range(of + 1)]
    assert binomial(count, of) == pytest.approx(float(Fraction(sum(w for w in ways if w <= ways[count]), 2**of)))


def test_binomial_of_many_tosses():
    assert binomial(1080, 2000) == pytest.approx(0.00038, rel=0.02)  # z = 3.58, less the half that is cut off


@given(counts)
def test_the_ends_of_wilsons_interval_are_just_not_rejected(both):
    count, of = both
    low, high = wilson(count, of)
    assert 0 <= low <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(count - of * end) == pytest.approx(1.959964 * math.sqrt(of * end * (1 - end)), rel=1e-5)
    assert not of or low - 1e-12 <= count / of <= high + 1e-12


def test_wilson_as_published():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


@given(st.integers(0, 10), st.sampled_from([0, 0.5, 0.6, 0.75, 0.9, 1]))
def test_power_by_going_through_all_answers(of, share):
    rejecting = 0.0
    for answers in itertools.product([True, False], repeat=of):
        right = sum(answers)
        if binomial(right, of) < 0.05 and 2 * right > of:
            rejecting += share**right * (1 - share) ** (of - right)
    assert power(of, share) == pytest.approx(rejecting, abs=1e-12)


def test_the_numbers_of_judgements_that_are_promised():
    assert power(TO_TELL, 0.6) == pytest.approx(0.8, abs=0.03)
    inside = [
        k for k in range(TO_EQUATE + 1) if wilson(k, TO_EQUATE, 0.9)[0] > 0.4 and wilson(k, TO_EQUATE, 0.9)[1] < 0.6
    ]
    assert sum(math.comb(TO_EQUATE, k) for k in inside) / 2**TO_EQUATE == pytest.approx(0.8, abs=0.03)
    assert detectable(20) > 75  # one listener with twenty pairs
    assert detectable(5) is None
    assert detectable(6) == 97
    assert detectable(2000) <= 54


def test_listeners_who_agree_give_a_narrow_interval_and_others_a_wide_one():
    alike, unlike = [Count(12, 20)] * 10, [Count(20, 20)] * 5 + [Count(4, 20)] * 5
    assert over_listeners(alike) == (0.6, 0.6)
    low, high = over_listeners(unlike)
    assert low < 0.4
    assert high > 0.8
    plain = wilson(120, 200)
    assert high - low > 2 * (plain[1] - plain[0])
    assert np.isnan(over_listeners([Count(12, 20), Count(0, 0)])).all()
    assert over_listeners(unlike) == over_listeners(unlike)


def test_the_bootstrap_is_that_of_a_plain_loop():
    table = [Count(3, 10), Count(9, 12), Count(5, 6)]
    dice, shares = np.random.default_rng(1), []
    for _ in range(20_000):
        drawn = [table[i] for i in dice.integers(3, size=3)]
        shares.append(sum(one.count for one in drawn) / sum(one.of for one in drawn))
    wider = math.sqrt(3 / 2) * 4.3027 / 1.96
    expected = [17 / 28 + wider * (end - 17 / 28) for end in np.quantile(shares, [0.025, 0.975])]
    assert over_listeners(table) == pytest.approx(np.clip(expected, 0, 1), abs=0.02)


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (10, 2.2281), (1000, 1.9623)])
def test_students_t_as_published(freedom, t):
    assert student(0.975, freedom) == pytest.approx(t, rel=1e-4)
    assert student(0.025, freedom) == pytest.approx(-t, rel=1e-4)


@pytest.mark.parametrize("listeners", [2, 3, 6])
def test_listeners_who_differ_but_know_nothing_in_all_rarely_tell(listeners):
    """Each is right as often as chance has it for them, one half in the mean: no more than one in twenty is called."""
    dice = np.random.default_rng(listeners)
    answered = [[Count(int(right), 20) for right in dice.binomial(20, dice.beta(3, 3, listeners))] for _ in range(200)]
    told = [
        verdict(counts, 20) for counts in answered if binomial(sum(one.count for one in counts), 20 * listeners) < 0.05
    ]
    assert sum(text.startswith("Able") for text in told) <= 0.08 * 200  # 5 %, and what so few tries may add


# -- listeners


def test_a_coin_is_not_distinguishable_for_too_few_answers():
    found = scored(20, answer(20, coin, seed=3))
    assert found.right.p > 0.05
    assert found.verdict.startswith("Not distinguishable, too few answers: ")
    assert "does not show that a model passes: 20 judgements find only who is right" in found.verdict
    assert "about 200" in found.verdict
    assert "about 215" in found.verdict


def test_one_listener_of_twenty_pairs_never_shows_that_a_model_passes():
    for right in range(21):
        assert not verdict([Count(right, 20)], 20).startswith("Indistinguishable")
    assert not verdict([Count(500, 1000)], 1000).startswith("Indistinguishable")


def test_who_knows_is_able_to_tell():
    found = scored(20, answer(20, perfect))
    assert (found.right, found.obvious) == (Count(20, 20), Count(1, 1))
    assert found.verdict.startswith("Able to tell: 20 of 20 right")
    assert found.verdict.endswith(
        "on 20 pairs, more than chance gives (p = 1.9e-06); 1 listener can speak for nobody else"
    )
    assert not found.flagged


def test_who_is_always_wrong_can_tell_too():
    assert verdict([Count(0, 20)], 20).startswith("Able to tell, but they take the machine for the person: 0 of 20")


def test_who_always_clicks_left_is_flagged():
    found = scored(20, answer(20, always_left, "lefty"), answer(20, perfect, "ear", seed=2))
    assert found.flagged["lefty"].startswith("chose left 23 times of 23")
    assert list(found.flagged) == ["lefty"]
    assert found.unflagged == Count(20, 20)
    assert found.right.of == 40  # and yet counted


def test_who_clicks_one_side_only_is_not_called_unable():
    """Twelve of them are right half of the time, whatever they heard."""
    files = [answer(20, side, f"{side.__name__} {i}", seed=i) for i in range(6) for side in (always_left, always_right)]
    assert scored(20, *files).verdict == "Nothing can be said: no attentive listener"
    found = scored(20, *files, answer(20, perfect, "ear"))
    assert found.verdict.startswith("Able to tell: 20 of 20 right")
    assert found.right.of == 13 * 20  # the table has them all


@pytest.mark.parametrize(("pairs", "known"), [(1, False), (2, False), (3, True), (4, True)])
def test_one_side_only_is_flagged_from_three_pairs_on(pairs, known):
    """A coin falls on one side six times once in 32 times; five times is no sign yet."""
    assert ("chose left" in scored(pairs, answer(pairs, always_left)).flagged.get("one", "")) == known


def test_who_takes_noise_for_music_is_flagged():
    contrary = answer(
        20, lambda dice, person: (person and {"left": "right", "right": "left"}[person]) or coin(dice, person)
    )
    assert scored(20, contrary).flagged == {"one": "took notes at random for a person's"}


def test_many_coins_are_indistinguishable():
    files = [answer(20, coin, str(i), seed=i) for i in range(40)]
    found = scored(20, *files)
    assert found.right.of == 800
    assert found.verdict.startswith("Indistinguishable within ten points")
    assert found.interval[0] < 0.5 < found.interval[1]


def test_a_little_above_chance_is_undecided():
    assert verdict([Count(22, 40)] * 6, 40).startswith("Undecided")
    assert verdict([Count(0, 0)], 0) == "Nothing can be said: no pair was judged"


def test_listeners_who_differ_do_not_pass_for_many_answers():
    """Half of them know, half are always wrong: half is right in all, and that shows nothing."""
    assert verdict([Count(40, 40)] * 3 + [Count(0, 40)] * 3, 40).startswith("Undecided, listeners differ too much: ")
    assert verdict([Count(40, 40)] * 3 + [Count(8, 40)] * 3, 40).startswith(
        "Undecided, listeners differ too much: "
    )  # though p is small


@pytest.mark.parametrize(
    ("counts", "pairs", "said"),
    [
        ([Count(40, 40), Count(15, 40)], 40, "Undecided, too few listeners: 55 of 80 right, 69%, on 40 pairs, more"),
        ([Count(200, 400)], 400, "Undecided, too few listeners: 200 of 400 right"),
        ([Count(1, 1), Count(0, 1)] * 130, 1, "Undecided, too few pairs: 130 of 260 right, 50%, on 1 pair; 10 are"),
        ([Count(1, 20)] * 5 + [Count(19, 20)] * 6, 20, "Undecided, listeners differ too much: 119 of 220 right, 54%"),
        ([Count(24, 40)] * 3, 40, "Able to tell: 72 of 120 right, 60%, on 40 pairs, more than chance gives"
         " (p = 0.035); 3 listeners can speak for nobody else"),
        ([Count(9, 20)] * 2, 20, "Not distinguishable, too few answers: 18 of 40 right"),
        ([Count(50, 100)] * 6, 100, "Indistinguishable within ten points: 300 of 600 right, 50%, on 100 pairs"),
        ([], 0, "Nothing can be said: no attentive listener"),
    ],
)  # fmt: skip
def test_a_verdict_says_what_is_missing(counts, pairs, said):
    assert verdict(counts, pairs).startswith(said)


def test_each_level_of_training_stands_apart():
    files = [answer(20, perfect, "a", "much"), answer(20, always_left, "b", "none"), answer(20, perfect, "c", "much")]
    found = scored(20, *files)
    assert list(found.training) == ["none", "much"]
    assert found.training["much"] == Count(40, 40)


def test_what_was_heard_before_is_left_out():
    given = json.loads(answer(20, perfect))
    for row in given["answers"][:3]:
        row["known"] = True
    del given["seal"]
    found = scored(20, json.dumps(given | {"seal": seal(given)}).encode())
    assert (found.right, found.heard_before) == (Count(17, 17), 3)


# -- files


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("answers", 0, "choice"), "right"),
        (("answers", 3, "known"), True),
        (("listener",), "another"),
        (("training",), "much"),
        (("seal",), "0" * 16),
    ],
)
def test_an_edited_file_is_refused(path, value):
    given = json.loads(answer(20, always_left))
    place = given
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    with pytest.raises(MusicgenError, match="was edited after it was given: its seal is broken"):
        read_answers(json.dumps(given).encode(), read_key(key_of(20)))


def test_whitespace_of_a_mail_breaks_no_seal():
    data = answer(3, perfect)
    assert read_answers(data.replace(b"\n", b"\r\n   "), read_key(key_of(3))).name == "one"
    assert read_answers(json.dumps(json.loads(data)).encode(), read_key(key_of(3))).name == "one"


def without(rows):
    return rows[:-1]


def twice(rows):
    return [*rows, rows[0]]


def unheard(rows):
    return [{**rows[0], "heard": [100, 50]}, *rows[1:]]


def both_of_one(rows):
    return [{**rows[0], "left": rows[0]["right"]}, *rows[1:]]


def undecided(rows):
    return [{**rows[0], "choice": None}, *rows[1:]]


@pytest.mark.parametrize("change", [without, twice, unheard, both_of_one, undecided])
def test_answers_that_the_page_never_gives_are_refused_with_their_seal(change):
    rows = json.loads(answer(4, perfect))["answers"]
    with pytest.raises(MusicgenError, match="is no whole answer to this quiz"):
        read_answers(answer(4, perfect, answers=change(rows)), read_key(key_of(4)))


def test_another_quiz_and_a_newer_page_are_named():
    key = read_key(key_of(4))
    with pytest.raises(MusicgenError, match="answers another quiz"):
        read_answers(answer(4, perfect, quiz="other"), key)
    with pytest.raises(MusicgenError, match="newer musicgen"):
        read_answers(answer(4, perfect, version=2), key)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[]", b"{}", b"null", b"1", b'"x"', b"[" * 100_000, key_of(2)[:-9]]
)
def test_what_is_no_json_of_ours_is_refused(data):
    with pytest.raises(MusicgenError, match="is no key of a quiz"):
        read_key(data)
    with pytest.raises(MusicgenError, match="is no whole answer"):
        read_answers(data, read_key(key_of(2)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@given(st.sampled_from(["quiz", "listener", "training", "answers", "version", "format"]), json_values)
def test_anything_in_any_place_is_refused_in_words(field, value):
    data = json.loads(answer(2, perfect)) | {field: value}
    del data["seal"]
    try:
        read_answers(json.dumps(data | {"seal": seal(data)}).encode(), read_key(key_of(2)))
    except MusicgenError:
        pass
    else:
        assert field in ("listener", "version", "training") or data == json.loads(answer(2, perfect))


@pytest.mark.parametrize(("data", "sum_"), [(b"", 0xCBF29CE484222325), (b"foobar", 0x85944171F73967E8)])
def test_the_checksum_as_published(data, sum_):
    assert checksum(data) == sum_


# -- the command


@pytest.fixture
def answered(tmp_path, monkeypatch):
    """A folder with a key and what four listeners sent."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quiz.key.json").write_bytes(key_of(20))
    files = {"coin": answer(20, coin, "coin", seed=3), "ear": answer(20, perfect, "ear", "much"),
             "lefty": answer(20, always_left, "lefty", seed=3)}  # fmt: skip
    files["edited"] = files["coin"].replace(b'"choice": "left"', b'"choice": "right"', 1)
    for name, data in files.items():
        (tmp_path / f"{name}.json").write_bytes(data)


def said(capsys, *files):
    code = run(["quiz", "--score", "quiz.key.json", *files])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def test_each_listener_is_called_what_he_is(answered, capsys):
    assert said(capsys, "coin.json")[1][-1].startswith("Not distinguishable, too few answers: ")
    assert said(capsys, "ear.json")[1][-1].startswith("Able to tell: 20 of 20 right")
    assert "Flagged: lefty chose left 23 times of 23" in said(capsys, "lefty.json")[1]
    code, out, err = said(capsys, "edited.json")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("musicgen: error: edited.json: was edited after it was given")


def test_of_many_the_edited_one_is_refused_and_counted(answered, capsys):
    code, out, err = said(capsys, "coin.json", "ear.json", "lefty.json", "edited.json", "ear.json", "nowhere.json")
    assert code == 0
    assert out[0] == "3 listeners, 60 judgements"
    assert err[-1] == "3 files refused"
    assert [line.split(":")[0] for line in err[:-1]] == [
        "refused edited.json",
        "refused ear.json",
        "refused nowhere.json",
    ]
    code, out, err = said(capsys, "edited.json", "nowhere.json")
    assert (code, out, err[-1]) == (1, [], "musicgen: error: none of 2 files can be scored")


def test_the_interval_over_listeners_is_told_from_two_on(answered, capsys):
    assert not any("drawn by listener" in line for line in said(capsys, "coin.json")[1])
    assert any("drawn by listener" in line for line in said(capsys, "coin.json", "ear.json")[1])


def test_json_has_every_figure_and_no_nan(answered, capsys):
    code, out, _ = said(capsys, "coin.json", "edited.json", "--json")
    facts = json.loads("".join(out))
    assert (code, facts["listeners"], facts["refused"]) == (0, 1, 1)
    assert facts["interval_over_listeners"] == [None, None]
    assert facts["right"]["of"] == 20
    assert facts["verdict"].startswith("Not distinguishable")
