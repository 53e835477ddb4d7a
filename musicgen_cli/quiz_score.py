"""What listeners could tell: the answers to a quiz, checked against its key, counted and tested.

A judgement is a pair of a person's clip and a machine's, answered by a listener who had not heard either before.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from musicgen_cli.errors import MusicgenError

ANSWERS, KEY, VERSION = "musicgen-quiz-answers", "musicgen-quiz-key", 1
PAIR, SAME, OBVIOUS = "pair", "same", "obvious"  # kinds of pairs: the last two are controls
TRAINING = {"none": "none", "some": "a few years", "much": "many years"}  # in music
SIDES = ("left", "right")
HEARD = 90  # per cent of a clip that a listener must have heard
LEVEL = 0.05  # of significance
BIAS = 0.01  # the same for one listener's liking for a side, unless it is always the same: there may be many listeners
POWER = 0.8
MARGIN = 0.1  # around one half: what counts as indistinguishable
TO_TELL, TO_EQUATE = 200, 215  # judgements that call 60 % from chance, or show that a true 50 % is within MARGIN
FEWEST, FEWEST_PAIRS = 5, 10  # listeners who may speak for others, pairs that may stand for a model
DRAWS = 10_000


@dataclass(frozen=True)
class Answer:
    """pair, kind: its id and kind; right: whether a person wrote what was chosen, None where both were the same."""

    pair: str
    kind: str
    left: bool
    known: bool
    right: bool | None


@dataclass(frozen=True)
class Listener:
    name: str
    training: str
    answers: list[Answer]


@dataclass(frozen=True)
class Count:
    """So many of so many; of none the share is undefined: nan."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.count, self.of)

    @property
    def p(self) -> float:
        return binomial(self.count, self.of)


@dataclass(frozen=True)
class Score:
    """right: of all judgements; interval: over listeners, nan of fewer than two; heard_before: pairs left out."""

    listeners: int
    right: Count
    interval: tuple[float, float]
    training: dict[str, Count]
    left: Count
    obvious: Count
    heard_before: int
    flagged: dict[str, str]  # listener -> why
    unflagged: Count
    verdict: str


# --- statistics ---


def binomial(count: int, of: int) -> float:
    """The two-sided exact p of `count` successes in `of` tosses of a fair coin."""
    ways = sum(math.comb(of, k) for k in range(max(count, of - count), of + 1))
    return min(1.0, 2 * ways / (1 << of))


def wilson(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share (1927, "Probable inference, the law of succession, and statistical inference")."""
    if not of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (count + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(count * (of - count) / of + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def over_listeners(counts: Sequence[Count], confidence: float = 0.95) -> tuple[float, float]:
    """The bootstrap interval of the share in all when listeners, with all that they answered, are drawn anew.

    Answers of one listener hang together; of fewer than two listeners it is undefined. Of few the plain bootstrap is
    too narrow: it is widened by sqrt(n / (n - 1)), and as Student's t is wider than the normal distribution
    (Hesterberg 2015, "What teachers should know about the bootstrap").
    """
    table = np.array([(one.count, one.of) for one in counts if one.of], float).reshape(-1, 2)
    if len(table) < 2:
        return math.nan, math.nan
    times = np.random.default_rng(0).multinomial(len(table), np.full(len(table), 1 / len(table)), DRAWS)
    count, of = (times @ table).T
    n, level, share = len(table), (1 + confidence) / 2, table[:, 0].sum() / table[:, 1].sum()
    wider = math.sqrt(n / (n - 1)) * student(level, n - 1) / NormalDist().inv_cdf(level)
    low, high = share + wider * (np.quantile(count / of, [1 - level, level]) - share)
    return max(0.0, float(low)), min(1.0, float(high))


def student(level: float, freedom: int) -> float:
    """A quantile of Student's t: sqrt(freedom) times the tangent of an angle as dense as cos^(freedom - 1)."""
    angles = (np.arange(100_000) + 0.5) * (np.pi / 100_000) - np.pi / 2
    mass = np.cos(angles) ** (freedom - 1)
    below = np.cumsum(mass)
    return math.sqrt(freedom) * math.tan(float(np.interp(level, (below - mass / 2) / below[-1], angles)))


def power(of: int, share: float) -> float:
    """How probably `of` judgements are called better than chance where this share is right in truth."""
    tail, least = 0, of + 1  # `least` right answers are significant
    while least and 2 * (tail + math.comb(of, least - 1)) / (1 << of) < LEVEL:
        least -= 1
        tail += math.comb(of, least)
    if share in (0, 1):
        return float(share == 1 and least <= of)
    size = math.lgamma(of + 1)
    odds = math.log(share), math.log1p(-share)
    logs = (
        size - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * odds[0] + (of - k) * odds[1]
        for k in range(least, of + 1)
    )
    return sum(map(math.exp, logs))


def detectable(of: int) -> int | None:
    """The least per cent right, in truth, that so many judgements call from chance four times of five; None: none."""
    return next((cent for cent in range(51, 101) if power(of, cent / 100) >= POWER), None)


# --- answers ---


def seal(answers: dict[str, Any]) -> str:
    """The checksum that the page puts under its answers, of their JSON without spaces.

    It shows that somebody has edited them, but is no signature: who reads the page can make one.
    """
    text = json.dumps(answers, separators=(",", ":"), ensure_ascii=False)
    return f"{checksum(text.encode(errors='replace')):016x}"


def checksum(data: bytes) -> int:
    """FNV-1a of 64 bits (Fowler, Noll, Vo)."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def read_key(data: bytes) -> dict[str, Any]:
    """The key of a quiz; raises MusicgenError where it is none."""
    try:
        key = json.loads(data)
        pairs = {pair["id"]: (pair["kind"], set(pair["clips"]), pair["person"]) for pair in key["pairs"]}
        if key["format"] != KEY or not pairs:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MusicgenError("is no key of a quiz; `musicgen quiz -o quiz.html` writes it as quiz.key.json") from None
    if key["version"] > VERSION:
        raise MusicgenError("was made by a newer musicgen; upgrade this one")
    return {"quiz": key["quiz"], "pairs": pairs}


def read_answers(data: bytes, key: dict[str, Any]) -> Listener:
    """What a listener answered; raises MusicgenError where it is not what the page of this quiz gave out."""
    try:
        given = json.loads(data)
        if given["format"] != ANSWERS:
            raise ValueError
        if given["version"] > VERSION:
            raise MusicgenError("was made by a newer musicgen; upgrade this one")
        if given["quiz"] != key["quiz"]:
            raise MusicgenError("answers another quiz than this key is of")
        if given.pop("seal") != seal(given):
            raise MusicgenError("was edited after it was given: its seal is broken; ask for it as it was downloaded")
        answers = [_answer(one, *key["pairs"][one["pair"]]) for one in given["answers"]]
        complete = sorted(one["pair"] for one in given["answers"]) == sorted(key["pairs"])
        if not complete or given["training"] not in TRAINING:
            raise ValueError
        return Listener(str(given["listener"]), given["training"], answers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MusicgenError("is no whole answer to this quiz; ask for it as it was downloaded") from None


def _answer(given: dict[str, Any], kind: str, clips: set[str], person: str | None) -> Answer:
    fits = {given[side] for side in SIDES} == clips and given["choice"] in SIDES and type(given["known"]) is bool
    if not fits or min(given["heard"]) < HEARD:
        raise ValueError
    right = None if person is None else given[given["choice"]] == person
    return Answer(given["pair"], kind, given["choice"] == "left", given["known"], right)


# --- the score ---


def score(listeners: Sequence[Listener]) -> Score:
    """What so many listeners could tell, whether they attended, and what that shows."""
    each = {listener.name: _judged(listener.answers) for listener in listeners}
    right = _sum(each.values())
    training = {level: _sum(each[one.name] for one in listeners if one.training == level) for level in TRAINING}
    answers = [answer for listener in listeners for answer in listener.answers]
    flagged = {one.name: why for one in listeners if (why := _why_flagged(one))}
    attentive = [listener for listener in listeners if listener.name not in flagged]
    pairs = {answer.pair for one in attentive for answer in one.answers if answer.kind == PAIR and not answer.known}
    counts = [each[listener.name] for listener in attentive]
    return Score(
        len(listeners),
        right,
        over_listeners(list(each.values())),
        {level: count for level, count in training.items() if count.of},
        _lefts(answers),
        _obvious(answers),
        sum(answer.known for answer in answers if answer.kind == PAIR),
        flagged,
        _sum(counts),
        verdict(counts, len(pairs)),
    )


def _sum(counts: Iterable[Count]) -> Count:
    both = [(one.count, one.of) for one in counts]
    return Count(sum(count for count, _ in both), sum(of for _, of in both))


def _judged(answers: list[Answer]) -> Count:
    judged = [answer.right for answer in answers if answer.kind == PAIR and not answer.known]
    return Count(judged.count(True), len(judged))


def _lefts(answers: list[Answer]) -> Count:
    return Count(sum(answer.left for answer in answers), len(answers))


def _obvious(answers: list[Answer]) -> Count:
    found = [answer.right for answer in answers if answer.kind == OBVIOUS]
    return Count(found.count(True), len(found))


def _why_flagged(listener: Listener) -> str:
    left, obvious = _lefts(listener.answers), _obvious(listener.answers)
    one_side = left.count in (0, left.of)
    why = [f"chose left {left.count} times of {left.of}"] if left.p < (LEVEL if one_side else BIAS) else []
    why += ["took notes at random for a person's"] if obvious.count < obvious.of else []
    return ", ".join(why)


def verdict(counts: Sequence[Count], pairs: int) -> str:
    """What judgements of so many pairs, counted by attentive listener, can show and cannot, in a sentence or two."""
    if not counts:
        return "Nothing can be said: no attentive listener"
    right, listeners = _sum(counts), sum(one.of > 0 for one in counts)
    if not right.of:
        return "Nothing can be said: no pair was judged"
    low, high = over_listeners(counts)
    told = f"{right.count} of {right.of} right, {right.share:.0%}, on {pairs} pair{'s' * (pairs != 1)}"
    chance = f"{'more' if right.share > 0.5 else 'less'} than chance gives (p = {right.p:.2g})"
    if right.p < LEVEL and not low <= 0.5 <= high:  # nothing lies between nan
        few = "" if listeners >= FEWEST else f"; {listeners} listener{'s' * (listeners != 1)} can speak for nobody else"
        wrong = "" if right.share > 0.5 else ", but they take the machine for the person"
        return f"Able to tell{wrong}: {told}, {chance}{few}"
    least, most = over_listeners(counts, 0.9)  # two tests of 5 %, one on each side
    agree = least > 0.5 - MARGIN and most < 0.5 + MARGIN
    near = [0.5 - MARGIN < end < 0.5 + MARGIN for end in wilson(right.count, right.of, 0.9)]
    if agree and all(near) and listeners >= FEWEST and pairs >= FEWEST_PAIRS:
        return (
            f"Indistinguishable within ten points: {told}; of these pairs less than 40 and more than 60 % is ruled out"
        )
    if right.p >= LEVEL and right.of < TO_EQUATE:
        found = detectable(right.of)
        shows = f"only who is right {found} % of the time or more" if found else "nobody, however good"
        return (
            f"Not distinguishable, too few answers: {told}. That does not show that a model passes: {right.of}"
            f" judgements find {shows}; it takes about {TO_TELL} to call 60 % from chance, and about {TO_EQUATE}, of"
            f" {FEWEST} listeners and {FEWEST_PAIRS} pairs at least, to show that nobody can tell within ten points"
        )
    told += f", {chance}" if right.p < LEVEL else ""
    if listeners < FEWEST:
        return f"Undecided, too few listeners: {told}; {listeners} can speak for nobody else, {FEWEST} are the least"
    if right.p < LEVEL or (all(near) and not agree):
        return (
            f"Undecided, listeners differ too much: {told}; others like them may lie anywhere from {low:.0%} to"
            f" {high:.0%}; ask more listeners"
        )
    if all(near):
        return f"Undecided, too few pairs: {told}; {FEWEST_PAIRS} are the least that may stand for a model"
    return f"Undecided: {told}, neither shown to differ from chance nor to lie within ten points; ask more listeners"
