"""Made music beside real music, metric by metric, and in words what is wrong with it; never one score.

Many metrics depend on how long a piece is, so both sides are cut at bar lines into excerpts of one length. A song is
the mean of its excerpts, a corpus the mean of its songs. The range of real music is that of as many real songs as there
are samples (no more than there are), drawn at random, with replacement, again and again: what new pieces like these
would come to.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.corpus import Corpus, gather
from musicgen_cli.errors import MusicgenError
from musicgen_cli.features import LOOPS, Roll, describe, note_lengths, onsets, ratio, whole
from musicgen_cli.harmony import highest
from musicgen_cli.roll import sounding, struck
from musicgen_cli.score import KEYS, LOWEST, steps_per_bar

QUARTERS = 32  # of an excerpt: eight bars of 4/4
DRAWS = 500
FEWEST = 8  # real songs that a range is drawn from; of fewer the excerpts are drawn
PERCENTILES = (2.5, 97.5)
NO_KEY = 7 / 12  # scale consistency of notes at random, many of them
NOTICED = {  # differences of so much; of others 5 % of the real value
    "density_drift": 0.05,
    "onset_drift": 0.05,
    "twins": 0.2,
    "empty_beat_rate": 0.05,
}
PART = 1 / 3  # of its excerpts that have collapsed, in a sample that has

Found = dict[str, float]  # features by name


@dataclass(frozen=True)
class Row:
    """A metric of the samples, of the real music, and the range of real subsets; nan is undefined."""

    name: str
    value: float
    real: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`inside`, `low`, `high`, or `undefined` where there is a number on one side only."""
        if np.isnan(self.value) or np.isnan(self.low):
            return "inside" if np.isnan(self.value) and np.isnan(self.low) else "undefined"
        near = self.name in HISTOGRAMS  # no distance is too small
        return "low" if self.value < self.low and not near else "high" if self.value > self.high else "inside"

    def far(self, sign: int) -> bool:
        """Whether the samples lie on this side (-1, 1) of the range by half its width, and so that one would notice."""
        beyond = self.low - self.value if sign < 0 else self.value - self.high
        return bool(beyond > max((self.high - self.low) / 2, NOTICED.get(self.name, abs(self.real) / 20)))


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with the samples, and by which figures; samples: those that are meant, all where it is empty."""

    name: str
    why: str
    samples: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """steps: of an excerpt; drawn: real songs at a time; samples, real: songs, excerpts, songs too short for one."""

    steps: int
    drawn: int
    samples: tuple[int, int, int]
    real: tuple[int, int, int]
    rows: list[Row]
    diagnoses: list[Diagnosis]

    @property
    def outside(self) -> list[Row]:
        return [row for row in self.rows if row.verdict != "inside"]

    @property
    def far(self) -> list[Row]:
        """What one would notice."""
        return [row for row in self.rows if (row.far(-1) and row.name not in HISTOGRAMS) or row.far(1)]


@dataclass(frozen=True)
class _Piece:
    """One song; numbers: means over its excerpts; bars: see `_bars`; parts: its excerpts and, of several, the whole."""

    excerpts: int
    numbers: Found
    histograms: dict[str, Counter[int]]
    bars: set[bytes]
    parts: list[Found]


@dataclass(frozen=True)
class Side:
    """The songs of a corpus that are long enough, by index; short: how many aren't; numbers: of each song, (songs,)."""

    songs: list[int]
    short: int
    pieces: list[_Piece]
    numbers: dict[str, NDArray[np.float64]]

    @property
    def facts(self) -> tuple[int, int, int]:
        return len(self.songs), sum(piece.excerpts for piece in self.pieces), self.short


# --- from excerpts to one number a song ---


def compare(samples: Corpus, real: Corpus, seed: int = 0) -> Comparison:
    """Set samples beside real music of the same grid; raises MusicgenError where there is too little of either."""
    steps, made, known = sides(samples, real)
    rng = np.random.default_rng(seed)
    drawn = min(len(made.songs), len(known.songs))
    times = _draws(len(known.songs), drawn, rng)
    rows = _rows(made, known, times, made.songs) + [_distance(name, made, known, times) for name in HISTOGRAMS]
    found = _collapsed(made, known, times)
    gone = {song for one in found for song in one.samples}
    rest = [song for song in made.songs if song not in gone]
    if len(rest) > len(gone):  # what is wrong with the others
        times = _draws(len(known.songs), min(len(rest), drawn), rng)
        found += _symptoms(_rows(made, known, times, rest))
    return Comparison(steps, drawn, made.facts, known.facts, rows, found)


def sides(samples: Corpus, real: Corpus) -> tuple[int, Side, Side]:
    """Samples and real music cut into excerpts of so many steps; few real songs are replaced by their excerpts.

    Raises MusicgenError where there is too little of either.
    """
    samples, real = _in_steps(samples), _in_steps(real)
    beat = samples.steps_per_quarter
    bar = 4 * beat
    shorter = min(int(np.median(side.lengths)) if len(side) else 0 for side in (samples, real))
    steps = min(QUARTERS * beat, max(shorter // bar, 2) * bar)
    made, known = _side(samples, steps, "samples"), _side(real, steps, "real music")
    if len(known.songs) < FEWEST:
        known = _side(_excerpts_as_songs(real, steps), steps, "real music")
    if len(known.songs) < FEWEST:
        raise MusicgenError(
            f"{len(known.songs)} excerpts of {steps} steps are too few to tell what real music is like;"
            f" {FEWEST} are needed"
        )
    return steps, made, known


def _draws(songs: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each song is drawn, (DRAWS, songs), `size` at a time."""
    times = np.zeros((DRAWS, songs))
    np.add.at(times, (np.arange(DRAWS)[:, None], rng.integers(songs, size=(DRAWS, size))), 1)
    return times


def _in_steps(corpus: Corpus) -> Corpus:
    """A corpus of rolls, whatever it is written in."""
    if corpus.music.dtype.kind != "U":
        return corpus
    return gather(zip(corpus.songs, map(corpus.roll, range(len(corpus)))), corpus.steps_per_quarter)


def _bar(corpus: Corpus, song: int) -> int:
    return steps_per_bar(corpus.songs[song].time_signature, corpus.steps_per_quarter)


def _cut(roll: Roll, steps: int, bar: int) -> list[Roll]:
    """A song's excerpts of so many steps, one after the other, each from a bar line on."""
    apart = -(-steps // bar) * bar
    return [roll[at : at + steps] for at in range(0, len(roll) - steps + 1, apart)]


def _excerpts_as_songs(corpus: Corpus, steps: int) -> Corpus:
    songs = enumerate(corpus.songs)
    cut = [(song, part) for i, song in songs for part in _cut(corpus.roll(i), steps, _bar(corpus, i))]
    return gather(cut, corpus.steps_per_quarter) if cut else corpus


def _side(corpus: Corpus, steps: int, what: str) -> Side:
    beat, songs = corpus.steps_per_quarter, np.flatnonzero(corpus.lengths >= steps).tolist()
    if not songs:
        raise MusicgenError(f"no song of the {what} lasts {steps} steps, which is what is compared")
    pieces = [_piece(corpus.roll(i), steps, beat, _bar(corpus, i)) for i in songs]
    numbers = {name: np.array([piece.numbers[name] for piece in pieces]) for name in pieces[0].numbers}
    numbers["twins"] = _twins([piece.bars for piece in pieces])
    return Side(songs, len(corpus) - len(songs), pieces, numbers)


def _piece(roll: Roll, steps: int, beat: int, bar: int) -> _Piece:
    excerpts = _cut(roll, steps, bar)
    parts = [describe(part, beat, bar) | {"beats": len(part) / beat} for part in excerpts]
    numbers = {name: _mean(np.array([found[name] for found in parts])) for name in parts[0] if name != "beats"}
    numbers |= {name: drift(roll) for name, drift in DRIFTS.items()}
    histograms = {
        name: sum((Counter(histogram(part, beat)) for part in excerpts), Counter[int]())
        for name, histogram in HISTOGRAMS.items()
    }
    if len(excerpts) > 1:
        parts.append(describe(roll, beat, bar) | {"beats": len(roll) / beat})
    return _Piece(len(excerpts), numbers, histograms, _bars(roll, bar), parts)


def _drift(counts: NDArray[np.int64]) -> float:
    counts = counts[np.argmax(counts > 0) :]  # a rest before the beginning is no drift
    half = len(counts) // 2
    early, late = counts[:half].sum(), counts[len(counts) - half :].sum()
    return ratio(late - early, late + early)


# How much more there is in the second half of a song than in the first: -1, nothing is left, to 1, all comes late.
DRIFTS: dict[str, Callable[[Roll], float]] = {
    "density_drift": lambda roll: _drift(sounding(roll).sum(1)),
    "onset_drift": lambda roll: _drift(struck(roll).sum(1)),
}


def _bars(roll: Roll, bar: int) -> set[bytes]:
    """A song's bars, from their lowest key up; those that strike fewer than two times tell nothing."""
    bars = whole(np.stack([struck(roll), sounding(roll)], 1), bar)
    bars = bars[bars[:, :, 0].any(2).sum(1) > 1]
    lowest = bars.any((1, 2)).argmax(1)
    return {np.packbits(one[:, :, low:]).tobytes().rstrip(b"\0") for one, low in zip(bars, lowest.tolist())}


def _twins(songs: list[set[bytes]]) -> NDArray[np.float64]:
    """Which songs have half of their bars or more, perhaps transposed, in common with another; nan without bars."""
    places: dict[bytes, list[int]] = {}
    for i, bars in enumerate(songs):
        for one in bars:
            places.setdefault(one, []).append(i)
    found = np.full(len(songs), np.nan)
    for i, bars in enumerate(songs):
        common = Counter(j for one in bars for j in places[one] if j != i)
        if bars:
            found[i] = max(common.values(), default=0) >= len(bars) / 2
    return found


# --- histograms: Yang and Lerch 2020, "On the evaluation of generative models in music" ---


def _chord_transitions(roll: Roll, beat: int) -> dict[int, int]:
    """What chord follows which from beat to beat: pitch classes above the bass of the first, and the bass's step."""
    sounds = sounding(roll)[::beat]
    sounds = sounds[sounds.any(1)]
    bass = sounds.argmax(1) + LOWEST
    classes = np.stack([sounds[:, (np.arange(KEYS) + LOWEST) % 12 == c].any(1) for c in range(12)], 1)
    above = np.take_along_axis(classes, (bass[:, None] + np.arange(12)) % 12, 1) @ (1 << np.arange(12))
    return _counts((above[:-1] << 16) + (above[1:] << 4) + np.diff(bass) % 12)


def _harmonic_intervals(roll: Roll, beat: int) -> dict[int, int]:
    """Semitones between any two keys that sound together, at each beat."""
    sounds = sounding(roll)[::beat].astype(np.int64)
    together = sounds.T @ sounds
    low, high = np.triu_indices(KEYS, 1)
    intervals = np.bincount(high - low, together[low, high], KEYS).astype(int).tolist()
    return {interval: count for interval, count in enumerate(intervals) if count}


def _melodic_intervals(roll: Roll, beat: int) -> dict[int, int]:
    """Semitones, with their sign, from one note of the highest voice to the next."""
    top = highest(sounding(roll))[onsets(roll)]
    return _counts(np.diff(top))


def _lengths(roll: Roll, beat: int) -> dict[int, int]:
    """Steps that notes last."""
    return _counts(note_lengths(roll))


def _iois(roll: Roll, beat: int) -> dict[int, int]:
    """Steps from one strike to the next."""
    return _counts(np.diff(onsets(roll)))


HISTOGRAMS: dict[str, Callable[[Roll, int], dict[int, int]]] = {
    "chord_transition_distance": _chord_transitions,
    "harmonic_interval_distance": _harmonic_intervals,
    "melodic_interval_distance": _melodic_intervals,
    "note_length_distance": _lengths,
    "inter_onset_distance": _iois,
}


def _counts(values: NDArray[np.int64]) -> dict[int, int]:
    different, counts = np.unique(values, return_counts=True)
    return dict(zip(different.tolist(), counts.tolist()))


# --- samples beside the range of real music ---


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of what is defined; nothing defined is undefined."""
    return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else np.nan


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    low, high = np.percentile(defined, PERCENTILES) if len(defined) else (np.nan, np.nan)
    return float(low), float(high)


def _rows(made: Side, known: Side, times: NDArray[np.float64], songs: list[int]) -> list[Row]:
    """The features of these samples beside the range of real music."""
    which = np.isin(made.songs, songs)
    return [_row(name, values[which], known.numbers[name], times) for name, values in made.numbers.items()]


def _row(name: str, made: NDArray[np.float64], known: NDArray[np.float64], times: NDArray[np.float64]) -> Row:
    defined = ~np.isnan(known)
    weight = times @ defined
    drawn = np.divide(times @ np.where(defined, known, 0), weight, out=np.full(len(times), np.nan), where=weight > 0)
    return Row(name, _mean(made), _mean(known), *_range(drawn))


def _distance(name: str, made: Side, known: Side, times: NDArray[np.float64]) -> Row:
    """Total variation, 0 to 1, of two histograms: samples and all real songs; songs drawn and those that were not.

    One less the overlapping area of Yang and Lerch (2020). `real` is the mean over the draws.
    """
    values = {value for piece in [*made.pieces, *known.pieces] for value in piece.histograms[name]}
    bins = {value: i for i, value in enumerate(sorted(values))}

    def table(pieces: list[_Piece]) -> NDArray[np.float64]:
        counts = np.zeros((len(pieces), len(bins)))
        for i, piece in enumerate(pieces):
            counts[i, [bins[value] for value in piece.histograms[name]]] = list(piece.histograms[name].values())
        return counts

    real = table(known.pieces)
    drawn = _variation(times @ real, (times == 0) @ real)
    value = float(_variation(table(made.pieces).sum(0, keepdims=True), real.sum(0, keepdims=True))[0])
    return Row(name, value, _mean(drawn), *_range(drawn))


def _variation(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the sum of differences between histograms, row by row; nan where either is empty."""
    sums = [counts.sum(1, keepdims=True) for counts in (one, other)]
    empty = np.minimum(*sums)[:, 0] == 0
    first, second = (counts / np.maximum(total, 1) for counts, total in zip((one, other), sums))
    return np.where(empty, np.nan, np.abs(first - second).sum(1) / 2)


# --- what is wrong, in words ---

# The ways in which a piece collapses, the first that holds; `real`: the mean of the real songs.
COLLAPSES: dict[str, Callable[[Found, Found], bool]] = {
    "silence": lambda found, real: found["empty_beat_rate"] >= 0.5,
    "one note": lambda found, real: found["pitch_entropy"] <= 0.5,  # bits: nine notes of ten are the same
    "a frozen chord": lambda found, real: found["longest_hold"] >= found["beats"] / 2,
    "a loop": lambda found, real: found["loop_rate"] >= 0.9,
    "noise": lambda found, real: (
        found["scale_consistency"] < (NO_KEY + real["scale_consistency"]) / 2  # nearer to no key than to real music
        and not found["semitone_rate"] <= (1 + real["semitone_rate"]) / 2  # undefined where no two notes meet
    ),
}
TELLS = {
    "silence": "at least half of the beats are empty",
    "one note": "nine notes of ten are the same pitch, or more",
    "a frozen chord": "the same keys sound for half of the time, or longer",
    "a loop": f"nine strikes of ten repeat what was a fixed time before, {LOOPS} times over or more",
    "noise": "in no key, most chords with a semitone in them",
}
# What else the metrics say together: which must lie far on which side of the range, and which (0) must not.
SYMPTOMS: dict[str, dict[str, int]] = {
    "the same piece again and again": {"twins": 1},
    "fades away": {"density_drift": -1},
    "thickens": {"density_drift": 1},
    "comes to rest": {"onset_drift": -1, "density_drift": 0},
    "grows busy": {"onset_drift": 1, "density_drift": 0},
    "notes held too long": {"note_length": 1, "inter_onset_interval": 0},
    "notes cut short": {"note_length": -1, "inter_onset_interval": 0},
    "gaps": {"empty_beat_rate": 1, "note_length": 0, "density_drift": 0},
    "thin": {"polyphony": -1, "note_length": 0, "density_drift": 0},
    "thick": {"polyphony": 1, "note_length": 0, "density_drift": 0},
    "too slow": {"inter_onset_interval": 1},
    "too fast": {"inter_onset_interval": -1},
    "too high": {"mean_pitch": 1},
    "too low": {"mean_pitch": -1},
    "shuffled bars": {"bar_line_leap": 1, "leap": 0},
    "in no key": {"scale_consistency": -1},
    "dissonant": {"semitone_rate": 1, "scale_consistency": 0},
    "leaps": {"leap": 1},
    "repeats itself": {"self_repeat_rate": 1},
}


def _collapse(piece: _Piece, real: Found) -> str:
    """How a song collapsed, as a whole or in a third of its excerpts; "" where it didn't."""
    names = [next((name for name, rule in COLLAPSES.items() if rule(part, real)), "") for part in piece.parts]
    if any(names[piece.excerpts :]):
        return names[-1]
    often = Counter(name for name in names if name).most_common(1)
    return often[0][0] if often and often[0][1] >= PART * piece.excerpts else ""


def _collapsed(made: Side, known: Side, times: NDArray[np.float64]) -> list[Diagnosis]:
    """The collapses that more samples have than as many real songs would."""
    typical = {name: _mean(values) for name, values in known.numbers.items()}
    mine, theirs = ([_collapse(piece, typical) for piece in side.pieces] for side in (made, known))
    found = []
    for name in COLLAPSES:
        which = tuple(song for song, collapse in zip(made.songs, mine) if collapse == name)
        usual = np.percentile(times @ [collapse == name for collapse in theirs], PERCENTILES[1]) / times.sum(1).max()
        if len(which) > usual * len(made.songs):
            found.append(Diagnosis(name, TELLS[name], which))
    return sorted(found, key=lambda one: -len(one.samples))


def _symptoms(features: list[Row]) -> list[Diagnosis]:
    rows, found = {row.name: row for row in features}, []
    for name, signs in SYMPTOMS.items():
        if all(_agrees(rows[metric], sign) for metric, sign in signs.items()):
            found.append(Diagnosis(name, ", ".join(_figure(rows[metric]) for metric, sign in signs.items() if sign)))
    return found


def _agrees(row: Row, sign: int) -> bool:
    return row.far(sign) if sign else not (row.far(-1) or row.far(1))


def _figure(row: Row) -> str:
    return f"{row.name} {told(row.value)}, real {told(row.low)} to {told(row.high)}"


def told(value: float) -> str:
    """A figure as it is printed; 0/0 is undefined."""
    return "undefined" if np.isnan(value) else f"{value:.3f}"
