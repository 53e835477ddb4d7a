"""Negative log-likelihoods as the field reports them: in nats, over all steps of all songs in one flat list."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.roll import sounding, struck

RESAMPLES = 1000

PerStep = Sequence[NDArray[np.float64]]  # nats of each step (T,), song by song


@dataclass(frozen=True)
class Judged:
    """What is judged; changed: which steps of each song differ from the one before, bool (T,), if that is asked."""

    notes: int
    quarters: float
    unit: str = "step"
    changed: Sequence[NDArray[np.bool_]] | None = None


def summary(nats: PerStep, judged: Judged) -> dict[str, float]:
    """Means in nats: per step with a 95 % interval, the same without first steps, per note, per quarter note.

    Of words also the perplexity; of steps also the means over those that changed and those that did not.
    """
    unit, total = judged.unit, float(sum(song.sum() for song in nats))
    later = [song[1:] for song in nats]
    mean = _mean(nats)
    values = {f"nats_per_{unit}": mean}
    values |= dict(zip((f"nats_per_{unit}_low", f"nats_per_{unit}_high"), interval(nats)))
    values |= {"nats_without_first": _mean(later)}
    values |= dict(zip(("nats_without_first_low", "nats_without_first_high"), interval(later)))
    values |= {"nats_per_note": total / max(judged.notes, 1), "nats_per_quarter": total / judged.quarters}
    if judged.changed is not None:
        values["nats_per_changed_step"] = _mean([song[new] for song, new in zip(nats, judged.changed)])
        values["nats_per_repeated_step"] = _mean([song[~new] for song, new in zip(nats, judged.changed)])
    return values | ({"perplexity": math.exp(min(mean, 700))} if unit == "word" else {})


def _mean(nats: PerStep) -> float:
    steps = sum(map(len, nats))
    return float(sum(song.sum() for song in nats)) / steps if steps else math.nan


def interval(nats: PerStep) -> tuple[float, float]:
    """Where the mean per step lies in 95 % of the corpora that might have been: songs drawn with replacement."""
    sums, steps = (np.array([how(song) for song in nats], float) for how in (np.sum, len))
    if len(nats) < 2 or not steps.sum():  # one song tells nothing of others
        return math.nan, math.nan
    drawn = np.random.default_rng(0).multinomial(len(nats), np.full(len(nats), 1 / len(nats)), RESAMPLES)
    with np.errstate(invalid="ignore"):
        low, high = np.nanpercentile(drawn @ sums / (drawn @ steps), (2.5, 97.5))
    return float(low), float(high)


def average(models: Sequence[PerStep]) -> list[NDArray[np.float64]]:
    """Nats of the mean of the probabilities that several models give each step."""
    return [np.logaddexp.reduce([-song for song in said]) * -1 + math.log(len(said)) for said in zip(*models)]


def changes(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which steps of a roll (T, 88, 2) or (T, 88) begin or end a note, bool (T,); before the first there is silence."""
    sounds = sounding(roll)
    return np.asarray((sounds != np.concatenate([np.zeros_like(sounds[:1]), sounds[:-1]])).any(1) | struck(roll).any(1))


def by_rates(roll: NDArray[np.bool_], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats of each step (T,) where every bit is set at its own rate (size,), whatever came before."""
    often = np.clip(rates, 1e-9, 1 - 1e-9)
    return np.asarray(-(roll.reshape(len(roll), -1) @ (np.log(often) - np.log1p(-often)) + np.log1p(-often).sum()))
