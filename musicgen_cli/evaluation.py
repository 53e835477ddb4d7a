"""A checkpoint against songs: one step ahead and running free, beside what needs no model at all."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen_cli import words
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.corpus import Corpus
from musicgen_cli.dataset import cover, in_ids, pad
from musicgen_cli.device import generator
from musicgen_cli.losses import WordCrossEntropy
from musicgen_cli.metrics import Counts, count
from musicgen_cli.models import SequenceModel
from musicgen_cli.representations import FORMS, as_roll, first
from musicgen_cli.roll import sounding, struck
from musicgen_cli.sampling import best, drawer, generate
from musicgen_cli.score import KEYS
from musicgen_cli.training import teach
from musicgen_cli.vocabulary import SPECIALS, UNKNOWN, Vocabulary, spelling

COMMONEST = 4  # keys of the baseline that always plays the same ones: the voices of a chorale
BATCH = 64


@dataclass(frozen=True)
class Row:
    """One predictor's scores: bits counted for each song, and where the predictor has any, nats over all songs.

    right: of words, the share that is right; loss: by which it was trained, in nats per step
    """

    name: str
    songs: list[Counts]
    nats: float | None = None  # of the calibrated probabilities: what the field calls negative log-likelihood
    loss: float | None = None
    right: float | None = None

    @property
    def all(self) -> Counts:
        return sum(self.songs, Counts())

    @property
    def accuracy(self) -> float:
        return self.all.accuracy if self.right is None else self.right

    def spread(self, score: str) -> tuple[float, float]:
        """Mean and standard deviation of a score over songs."""
        values = [getattr(counts, score) for counts in self.songs]
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Report:
    """Predictors compared over the same songs; steps are words where the model reads words.

    unknown: words that the model's vocabulary has not
    """

    rows: list[Row]
    steps: int
    notes: int
    quarters: float
    unit: str = "step"
    unknown: int = 0

    def nats(self, row: Row) -> dict[str, float]:
        """A predictor's nats per step or word, per note and per quarter note; of words the perplexity, too."""
        if row.nats is None:
            return {}
        per_unit = row.nats / self.steps
        values = {
            f"nats_per_{self.unit}": per_unit,
            "nats_per_note": row.nats / max(self.notes, 1),
            "nats_per_quarter": row.nats / self.quarters,
        }
        return values | ({"perplexity": math.exp(min(per_unit, 700))} if self.unit == "word" else {})

    def as_dicts(self) -> list[dict[str, Any]]:
        dicts = []
        for row in self.rows:
            values: dict[str, Any] = {"name": row.name, "songs": len(row.songs)}
            values |= {"loss": row.loss} if row.loss is not None else {}
            values |= self.nats(row) | {"accuracy": row.accuracy}
            for score in ("recall", "precision", "f1", "density"):
                mean, deviation = row.spread(score)
                values |= {score: getattr(row.all, score), f"{score}_mean": mean, f"{score}_sd": deviation}
            dicts.append(values)
        return dicts


Guess = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]  # steps -> what is said to follow each of them


def baselines(checkpoint: Checkpoint) -> dict[str, Guess]:
    """What a model has to beat, on rolls (n, 88, 2) or (n, 88); running free, each repeats what it says first."""
    common = np.isin(np.arange(KEYS), np.argsort(-_key_rates(checkpoint), kind="stable")[:COMMONEST])

    def held(keys: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Keys (n, 88) that go on: continue bits where there are two, sounding bits where there is one."""
        return keys if FORMS[checkpoint.form].bits == 1 else np.stack([np.zeros_like(keys), keys], 2)

    return {
        "silence": np.zeros_like,
        "copy the last step": lambda steps: steps,
        "hold the last step": lambda steps: held(sounding(steps)),
        f"{COMMONEST} commonest keys": lambda steps: held(np.repeat(common[None], len(steps), axis=0)),
    }


def _key_rates(checkpoint: Checkpoint) -> NDArray[np.float64]:
    """How often each key sounds in the training songs (88,), up to a factor."""
    rates = np.array(checkpoint.rates)
    if not checkpoint.vocabulary:
        return np.asarray(rates.reshape(KEYS, -1).sum(1))
    known = checkpoint.vocabulary.words[len(SPECIALS) :]
    return np.asarray((rates[len(SPECIALS) :] * words.lengths(known)) @ words.keys(known))


@dataclass
class Answers:
    """What a model said of each song: loss and nats over all steps, and for each song its likeliest steps (T, ...)."""

    loss: float = 0.0
    nats: float = 0.0
    chosen: dict[int, list[NDArray[Any]]] = field(default_factory=dict)

    def of(self, song: int) -> NDArray[Any]:
        return np.concatenate(self.chosen[song])


@torch.inference_mode()
def answers(
    checkpoint: Checkpoint,
    model: SequenceModel,
    steps: Corpus,
    songs: Sequence[int],
    threshold: float,
    device: torch.device,
) -> Answers:
    """Every step of songs of a corpus of bits or ids predicted from the true steps before it."""
    loss = checkpoint.build_loss()
    windows = cover(steps, songs, checkpoint.source, checkpoint.target)
    found = Answers(chosen={song: [] for song in songs})
    for begin in range(0, len(windows), BATCH):
        index = np.arange(begin, min(begin + BATCH, len(windows)))
        source, target, real = windows.batch(index, device)
        logits = teach(model, loss, source, target)
        found.loss += float((loss(logits, target) * real).sum())
        found.nats += float((loss.nats(logits, target) * real).sum())
        chosen, there = best(loss, logits, threshold).cpu().numpy(), real.cpu().numpy()
        for row, song in enumerate(windows.song[index].tolist()):
            found.chosen[song].append(chosen[row][there[row]])
    return found


def one_step(
    checkpoint: Checkpoint,
    model: SequenceModel,
    corpus: Corpus,
    songs: Sequence[int],
    threshold: float,
    device: torch.device,
) -> Report:
    """Every step, or word, predicted from the true ones before it: the model first, then the baselines."""
    if checkpoint.vocabulary:
        return _one_word(checkpoint, checkpoint.vocabulary, model, corpus, songs, device)
    found = answers(checkpoint, model, corpus, songs, threshold, device)
    rolls = [corpus.roll(i) for i in songs]
    steps = sum(map(len, rolls))
    counts = [count(found.of(i).reshape(roll.shape), roll) for i, roll in zip(songs, rolls)]
    rows = [Row("model", counts, found.nats, found.loss / steps)]
    often = np.clip(np.array(checkpoint.rates), 1e-9, 1 - 1e-9)
    set_, steps_of = (sum(part) for part in zip(*((roll.reshape(len(roll), -1).sum(0), len(roll)) for roll in rolls)))
    by_rate = -float((set_ * np.log(often) + (steps_of - set_) * np.log1p(-often)).sum())
    likely = [np.broadcast_to((often > 0.5).reshape(roll.shape[1:]), roll.shape) for roll in rolls]
    rows.append(Row("a rate for each bit", [count(*pair) for pair in zip(likely, rolls)], by_rate))
    rows += [Row(name, [_one_step(guess, roll) for roll in rolls]) for name, guess in baselines(checkpoint).items()]
    notes = sum(int(struck(roll).sum()) for roll in rolls)
    return Report(rows, steps, notes, steps / corpus.steps_per_quarter)


def _one_word(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    model: SequenceModel,
    corpus: Corpus,
    songs: Sequence[int],
    device: torch.device,
) -> Report:
    found = answers(checkpoint, model, in_ids(corpus, vocabulary), songs, 0.5, device)
    music = [np.asarray(corpus[i]) for i in songs]
    came = np.concatenate(music)
    ids = vocabulary.ids(came)
    known = vocabulary.words[len(SPECIALS) :]
    spelled = float(spelling(came[ids == UNKNOWN], known).sum())  # saying that a word is unknown doesn't name it
    log_rates = torch.tensor(checkpoint.rates, dtype=torch.float64).log()
    loss = checkpoint.build_loss()
    assert isinstance(loss, WordCrossEntropy)
    unigram = -float(loss.log_probabilities(log_rates)[torch.from_numpy(ids.astype(np.int64))].sum()) + spelled
    commonest = known[np.argmax(checkpoint.rates[len(SPECIALS) :])]

    def row(name: str, said: list[NDArray[Any]], nats: float | None = None) -> Row:
        right = np.mean(np.concatenate(said) == came)
        return Row(name, [_compare(*pair) for pair in zip(said, music)], nats, right=float(right))

    rows = [
        row("model", [vocabulary.words[found.of(i)] for i in songs], found.nats + spelled),
        row("unigram", [np.full(len(song), commonest) for song in music], unigram),
        row("copy the last word", [np.append("R:1", song[:-1])[: len(song)] for song in music]),
    ]
    quarters = int(words.lengths(came).sum()) / corpus.steps_per_quarter
    return Report(rows, len(came), int(words.notes(came).sum()), quarters, "word", len(came[ids == UNKNOWN]))


def _compare(said: NDArray[Any], came: NDArray[Any]) -> Counts:
    """The bits of words (N,), each by itself, against those of the words that came."""
    ours, theirs = (words.keys(each) for each in (said, came))
    for_ours, for_theirs = (words.lengths(each) for each in (said, came))
    together, longer = np.minimum(for_ours, for_theirs), np.maximum(for_ours, for_theirs)
    return Counts(
        int(((ours & theirs).sum(1) * together).sum()),
        int((ours.sum(1) * for_ours).sum()),
        int((theirs.sum(1) * for_theirs).sum()),
        int(longer.sum()) * 2 * KEYS,
    )


def free_running(
    checkpoint: Checkpoint,
    model: SequenceModel,
    corpus: Corpus,
    songs: Sequence[int],
    device: torch.device,
    *,
    prime: int,
    length: int,
    threshold: float,
    temperatures: dict[str, float],
    seed: int,
) -> Report | None:
    """`length` steps after the first `prime` steps of each song that is long enough, against what came there.

    None where no song is that long; song n of them is drawn from seed + n. Words are compared by the rolls they make.
    temperatures: by the names of the model's rows
    """
    rolls = {i: roll[: prime + length] for i in songs if len(roll := corpus.roll(i)) >= prime + length}
    if not rolls:
        return None
    read = [pad(checkpoint.rows(corpus[i][: len(first(corpus[i], prime))]), checkpoint.source) for i in rolls]
    loss, lasting = checkpoint.build_loss(), checkpoint.lasting(device)
    rows = []
    for name, temperature in temperatures.items():
        made: list[NDArray[np.bool_]] = []
        for begin in range(0, len(read), BATCH):
            primes = torch.stack(read[begin : begin + BATCH]).to(device)
            coins = [generator(device, seed + begin + n) for n in range(len(primes))]
            draw = drawer(loss, coins, threshold=threshold, temperature=temperature)
            new = generate(model, primes, length, checkpoint.target, draw, lasting=lasting)
            made += [as_roll(checkpoint.music(song, length)) for song in new]
        rows.append(Row(name, [count(new, roll[prime:]) for new, roll in zip(made, rolls.values())]))
    for name, guess in baselines(checkpoint).items():
        rows.append(Row(name, [_running(guess, roll, prime) for roll in rolls.values()]))
    steps = length * len(rolls)
    notes = sum(int(struck(roll[prime:]).sum()) for roll in rolls.values())
    return Report(rows, steps, notes, steps / corpus.steps_per_quarter)


def _one_step(guess: Guess, music: NDArray[np.bool_]) -> Counts:
    """What a predictor says of each step of a song that it hears up to there; before the first it heard silence."""
    return count(guess(np.concatenate([np.zeros_like(music[:1]), music[:-1]])), music)


def _running(guess: Guess, music: NDArray[np.bool_], prime: int) -> Counts:
    return count(np.repeat(guess(music[prime - 1 : prime]), len(music) - prime, axis=0), music[prime:])


def choose_songs(checkpoint: Checkpoint, corpus: Corpus, side: str) -> list[int]:
    """The songs of a corpus that are on one side of a checkpoint's split; songs it never saw count as test."""
    side_of = {digest: name for name, digests in checkpoint.split.items() for digest in digests}
    sides = [side_of.get(corpus.digest(i), "test") for i in range(len(corpus))]
    return [i for i, name in enumerate(sides) if corpus.lengths[i] and side in (name, "all")]
