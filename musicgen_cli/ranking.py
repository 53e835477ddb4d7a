"""Samples one by one beside real music: which are the most ordinary."""

from dataclasses import dataclass

import numpy as np

from musicgen_cli.comparison import sides
from musicgen_cli.corpus import Corpus

UNUSUAL = 0.05  # share of the real songs that lie as far out


@dataclass(frozen=True)
class Place:
    """Where a sample stands among real songs.

    ordinary: the share of real songs that lie at least as far from the real median, the mean over all metrics: half or
    more for a usual song, 0 for what is like none in anything
    unusual: metrics in which hardly any real song lies as far out, most so first, each with `low`, `high`, `undefined`
    """

    ordinary: float
    unusual: list[str]


def places(samples: Corpus, real: Corpus) -> dict[int, Place]:
    """The samples by index, the most ordinary first, without those that are too short to be compared.

    Raises MusicgenError where there is too little of either.
    """
    _, made, known = sides(samples, real)
    shares, signs = {}, {}
    for name, values in made.numbers.items():
        theirs = known.numbers[name]
        middle = np.median(theirs[~np.isnan(theirs)]) if not np.isnan(theirs).all() else 0
        far, usual = (np.nan_to_num(np.abs(side - middle), nan=np.inf) for side in (values, theirs))
        shares[name] = (usual >= far[:, None]).mean(1)
        signs[name] = np.where(np.isnan(values), "undefined", np.where(values > middle, "high", "low"))
    ordinary = np.mean(list(shares.values()), 0)
    found = {}
    for i in np.argsort(-ordinary, kind="stable").tolist():
        unusual = sorted((shares[name][i], name) for name in shares if shares[name][i] < UNUSUAL)
        found[made.songs[i]] = Place(float(ordinary[i]), [f"{name} {signs[name][i]}" for _, name in unusual])
    return found
