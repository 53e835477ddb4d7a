"""A checkpoint against songs: one step ahead and running free, beside what needs no model at all."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen_cli import words
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.corpus import Corpus
from musicgen_cli.dataset import cover, in_ids, recalled
from musicgen_cli.device import generator
from musicgen_cli.likelihood import Judged, PerStep, average, by_rates, changes, summary
from musicgen_cli.losses import WordCrossEntropy
from musicgen_cli.metrics import Counts, count
from musicgen_cli.models import SequenceModel
from musicgen_cli.representations import FORMS, as_roll
from musicgen_cli.roll import sounding, struck
from musicgen_cli.sampling import best, drawer, generate
from musicgen_cli.score import KEYS
from musicgen_cli.training import AT_ONCE, CELLS, teach
from musicgen_cli.vocabulary import SPECIALS, UNKNOWN, Vocabulary, spelling

COMMONEST = 4  # keys of the baseline that always plays the same ones: the voices of a chorale
BATCH = 64


@dataclass(frozen=True)
class Row:
    """One predictor's scores: bits counted for each song, and where the predictor has any, nats of every step.

    right: of words, the share that is right; loss: by which it was trained, in nats per step
    """

    name: str
    songs: list[Counts]
    nats: PerStep | None = None  # of the calibrated probabilities: what the field calls negative log-likelihood
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
    judged: Judged
    unknown: int = 0

    @property
    def unit(self) -> str:
        return self.judged.unit

    def as_dicts(self) -> list[dict[str, Any]]:
        dicts = []
        for row in self.rows:
            values: dict[str, Any] = {"name": row.name}
            values |= {"loss": row.loss} if row.loss is not None else {}
            values |= summary(row.nats, self.judged) if row.nats else {}
            if row.songs:
                values |= {"songs": len(row.songs), "accuracy": row.accuracy}
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
    """What a model said of songs: the loss of all steps, nats of each (T,), and its likeliest steps (T, ...)."""

    loss: float
    nats: list[NDArray[np.float64]]
    chosen: list[NDArray[Any]]


@torch.inference_mode()
def answers(
    checkpoint: Checkpoint,
    model: SequenceModel,
    steps: Corpus,
    songs: Sequence[int],
    threshold: float,
    device: torch.device,
    choose: bool = True,
) -> Answers:
    """Every step of songs of a corpus of bits or ids predicted from the true steps before it.

    choose: whether the likeliest steps are asked for, too
    """
    loss, hearing = checkpoint.build_loss(), model.hearing
    heard = recalled(steps, songs, hearing)
    windows = cover(steps, songs, checkpoint.source, checkpoint.target, hearing=hearing, recalled=heard)
    found: dict[int, tuple[NDArray[Any], ...]] = {}
    lost = 0.0
    for index in windows.batches(AT_ONCE, CELLS):
        source, target, real = windows.batch(index, device)
        answer, target = teach(model, loss, source, target), hearing.bits(target)
        nats = loss.nats(answer, target)
        lost += float(((nats if loss.exact else loss(answer, target)) * real).sum())
        chosen = best(loss, answer, threshold).cpu().numpy() if choose else np.zeros(real.shape, np.uint8)
        parts = (nats.double().cpu().numpy(), chosen)
        for row, (window, there) in enumerate(zip(index.tolist(), real.cpu().numpy())):
            found[int(windows.at[window])] = tuple(part[row][there] for part in parts)
    each: dict[int, list[tuple[NDArray[Any], ...]]] = {song: [] for song in songs}
    for window in np.lexsort((windows.at, windows.song)).tolist():
        each[int(windows.song[window])].append(found[int(windows.at[window])])
    said, chosen_steps = zip(*([np.concatenate(part) for part in zip(*parts)] for parts in each.values()))
    return Answers(lost, list(said), list(chosen_steps))


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
    counts = [count(said.reshape(roll.shape), roll) for said, roll in zip(found.chosen, rolls)]
    rows = [Row("model", counts, found.nats, found.loss / steps), *_rates(checkpoint, rolls)]
    rows += [Row(name, [_one_step(guess, roll) for roll in rolls]) for name, guess in baselines(checkpoint).items()]
    return Report(rows, steps, _judged(corpus, rolls))


def averaged(checkpoints: dict[str, Checkpoint], corpus: Corpus, songs: Sequence[int], device: torch.device) -> Report:
    """The likelihood of rolls by the mean of the probabilities of several models, by each of them, and by rates."""
    rolls = [corpus.roll(i) for i in songs]
    said = {}
    for name, trained in checkpoints.items():
        said[name] = answers(trained, trained.build(device), corpus, songs, 0.5, device, choose=False).nats
    rows = [Row(f"average of {len(said)}", [], average(list(said.values())))]
    rows += [Row(name, [], nats) for name, nats in said.items()]
    rows += _rates(next(iter(checkpoints.values())), rolls)
    return Report(rows, sum(map(len, rolls)), _judged(corpus, rolls))


def _judged(corpus: Corpus, rolls: Sequence[NDArray[np.bool_]]) -> Judged:
    notes = sum(int(struck(roll).sum()) for roll in rolls)
    return Judged(notes, sum(map(len, rolls)) / corpus.steps_per_quarter, changed=[changes(roll) for roll in rolls])


def _rates(checkpoint: Checkpoint, rolls: Sequence[NDArray[np.bool_]]) -> list[Row]:
    """How likely songs are to whom knows only how often bits are set in the training songs."""
    each = np.array(checkpoint.rates)
    names = {"one rate for all bits": np.full_like(each, each.mean()), "a rate for each bit": each}
    return [
        Row(name, [count(_likely(often, roll), roll) for roll in rolls], [by_rates(roll, often) for roll in rolls])
        for name, often in names.items()
    ]


def _likely(rates: NDArray[np.float64], roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.broadcast_to((rates > 0.5).reshape(roll.shape[1:]), roll.shape)


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
    known = vocabulary.words[len(SPECIALS) :]
    log_rates = torch.tensor(checkpoint.rates, dtype=torch.float64).log()
    loss = checkpoint.build_loss()
    assert isinstance(loss, WordCrossEntropy)
    by_frequency = -loss.log_probabilities(log_rates).numpy()
    commonest = known[np.argmax(checkpoint.rates[len(SPECIALS) :])]
    spelled, unigram = [], []
    for song in music:
        ids = vocabulary.ids(song)
        spelled.append(np.zeros(len(song)))  # saying that a word is unknown doesn't name it
        spelled[-1][ids == UNKNOWN] = spelling(song[ids == UNKNOWN], known)
        unigram.append(by_frequency[ids] + spelled[-1])

    def row(name: str, said: Sequence[NDArray[Any]], nats: PerStep | None = None) -> Row:
        right = np.mean(np.concatenate(said) == np.concatenate(music))
        return Row(name, [_compare(*pair) for pair in zip(said, music)], nats, right=float(right))

    rows = [
        row(
            "model",
            [vocabulary.words[ids] for ids in found.chosen],
            [said + more for said, more in zip(found.nats, spelled)],
        ),
        row("unigram", [np.full(len(song), commonest) for song in music], unigram),
        row("copy the last word", [np.append("R:1", song[:-1])[: len(song)] for song in music]),
    ]
    came = np.concatenate(music)
    quarters = int(words.lengths(came).sum()) / corpus.steps_per_quarter
    unknown = int((vocabulary.ids(came) == UNKNOWN).sum())
    return Report(rows, len(came), Judged(int(words.notes(came).sum()), quarters, "word"), unknown)


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
    read = [torch.from_numpy(checkpoint.prime(corpus[i], prime)) for i in rolls]
    loss = checkpoint.build_loss()
    lasting = None if checkpoint.lasting is None else torch.from_numpy(checkpoint.lasting).to(device)
    rows = []
    for name, temperature in temperatures.items():
        made: list[NDArray[np.bool_]] = []
        for begin in range(0, len(read), BATCH):
            primes = torch.stack(read[begin : begin + BATCH]).to(device)
            coins = [generator(device, seed + begin + n) for n in range(len(primes))]
            draw = drawer(loss, coins, threshold=threshold, temperature=temperature)
            new = generate(model, primes, length, checkpoint.source, checkpoint.target, draw, lasting=lasting)
            made += [as_roll(checkpoint.music(song, length)) for song in new.cpu().numpy()]
        rows.append(Row(name, [count(new, roll[prime:]) for new, roll in zip(made, rolls.values())]))
    for name, guess in baselines(checkpoint).items():
        rows.append(Row(name, [_running(guess, roll, prime) for roll in rolls.values()]))
    return Report(rows, length * len(rolls), _judged(corpus, [roll[prime:] for roll in rolls.values()]))


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
