"""What `eval` says of samples: beside real music, and beside the songs that they may be copied from."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from musicgen_cli import copying
from musicgen_cli.commands.tables import table
from musicgen_cli.comparison import Comparison, Diagnosis, told
from musicgen_cli.comparison import compare as beside
from musicgen_cli.copying import Copying, Run
from musicgen_cli.corpus import Corpus
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import steps_per_bar
from musicgen_cli.streams import counted, printable, say, show, show_json

if TYPE_CHECKING:
    from musicgen_cli.two_sample import Result

NAMED = 12  # samples that a verdict names one by one


def compare(
    samples: Corpus,
    real: Corpus | None,
    training: Corpus | None,
    *,
    json_: bool,
    seed: int,
    quiet: bool,
    two_sample: bool = True,
) -> None:
    """Print how samples stand beside real music, if there is any, and what they copy; real music is looked through too.

    two_sample: whether a classifier is trained to tell them apart. Raises MusicgenError where the grids or the bits
    differ, or there is too little music.
    """
    for other, name in ((real, "the real music"), (training, "the songs that may be copied from")):
        if other is not None:
            check_comparable(samples, other, name)
    songs = real if training is None else training
    assert songs is not None
    comparison = beside(samples, real, seed) if real is not None else None
    copied = copying.compare(samples, songs)
    diagnoses = copied.diagnoses([song.name for song in songs.songs]) + (comparison.diagnoses if comparison else [])
    told_apart = _tell_apart(samples, real, seed) if real is not None and two_sample else None
    if json_:
        facts = _comparison_facts(comparison) | {"diagnoses": [_diagnosis_facts(one) for one in diagnoses]}
        facts |= {"copying": _copying_facts(copied, songs)}
        facts |= {"two_sample": _two_sample_facts(told_apart)} if comparison and two_sample else {}
        show_json(facts)
        return
    if comparison:
        for (_, _, short), name in ((comparison.samples, "sample"), (comparison.real, "real song")):
            if short:
                say(f"{counted(short, name)} shorter than {comparison.steps} steps left out", quiet)
        show(_metrics(comparison, samples.steps_per_quarter))
    show(_copies(copied, songs))
    if comparison and two_sample:
        show(_telling(told_apart))
    show("\n".join(_verdict(diagnoses, comparison, len(samples))))


def check_comparable(samples: Corpus, other: Corpus, name: str) -> None:
    mine, theirs = samples.steps_per_quarter, other.steps_per_quarter
    if mine != theirs:
        raise MusicgenError(
            f"the samples have {counted(mine, 'step')} per quarter note, {name} {theirs}:"
            f" `musicgen encode --steps-per-quarter {mine}` makes them comparable"
        )
    bits = {corpus.bits or 2 for corpus in (samples, other) if corpus.form}  # words are compared as the rolls they make
    if len(bits) > 1:
        raise MusicgenError(
            f"the samples have {counted(samples.bits or 2, 'bit')} a key, {name} {other.bits or 2}:"
            f" `musicgen encode --bits {samples.bits or 2}` makes them comparable"
        )


def _tell_apart(samples: Corpus, real: Corpus, seed: int) -> "Result | None":
    from musicgen_cli import two_sample

    made, known = ([side.roll(i) for i in range(len(side))] for side in (samples, real))
    metre, _ = Counter(song.time_signature for song in real.songs).most_common(1)[0]
    return two_sample.tell_apart(known, made, steps_per_bar(metre, real.steps_per_quarter), seed)


# --- as text ---


def _metrics(comparison: Comparison, beat: int) -> str:
    made, known = comparison.samples, comparison.real
    title = f"{counted(made[0], 'sample')} beside {counted(known[0], 'real song')}:"
    title += f" {made[1]} and {known[1]} excerpts of {comparison.steps / beat:g} quarter notes, cut at bar lines;"
    title += f" ranges of {counted(comparison.drawn, 'real song')} at a time"
    rows = []
    for row in comparison.rows:
        span = "undefined" if np.isnan(row.low) else f"{told(row.low)} to {told(row.high)}"
        verdict = "" if row.verdict == "inside" else row.verdict
        rows.append((row.name, told(row.value), told(row.real), span, verdict))
    return table(title, ("metric", "samples", "real", "2.5 to 97.5 %", ""), rows)


def _copies(copied: Copying, songs: Corpus) -> str:
    columns = ("sample", "strikes", "shared", "from", "keys up", "at step", "of its step", "exactly", "from")
    rows = []
    for i, (moved, exact) in enumerate(zip(copied.transposed, copied.exact)):
        at = [f"{moved.shift:+d}", str(moved.at), str(moved.there)] if moved.strikes else ["", "", ""]
        shared = [str(moved.of), str(moved.strikes), _song(moved, songs), *at, str(exact.strikes), _song(exact, songs)]
        rows.append((str(i + 1), *shared))
    title = "\nThe longest run of strikes shared with a song: transposed, and exactly"
    return f"{table(title, columns, rows)}\n{_usual(copied)}"


def _song(run: Run, songs: Corpus) -> str:
    from rich.markup import escape

    return escape(printable(songs.songs[run.song].name)) if run.strikes else ""


def _usual(copied: Copying) -> str:
    median, most, longest = copied.usual
    near = f"; {counted(copied.near_copies, 'near-copy').replace('copys', 'copies')} among them left out"
    if np.isnan(median):
        return f"No two of the songs can be compared: more than {copied.limit:g} strikes count as copied"
    return (
        f"Songs share {median:g} strikes with each other (median), {most:g} (95 %), {longest:g} (most)"
        f"{near if copied.near_copies else ''}: more than {copied.limit:g} count as copied"
    )


def _telling(found: "Result | None") -> str:
    if found is None:
        return "Whether a classifier tells real bars from made ones is undefined: there are too few songs"
    low, high = found.interval
    over_songs = "; over songs {:.0%} to {:.0%}".format(*found.by_song) if found.by_song else ""
    return (
        f"A classifier tells real bars from made ones in {found.right} of {found.of} cases that it never saw,"
        f" {found.accuracy:.0%} (95 % interval over bars {low:.0%} to {high:.0%}{over_songs}); 50 % is chance"
    )


def _verdict(diagnoses: list[Diagnosis], comparison: Comparison | None, count: int) -> list[str]:
    lines = []
    for one in diagnoses:
        which = ", ".join(str(i + 1) for i in one.samples[:NAMED]) + (", ..." if len(one.samples) > NAMED else "")
        among = f" in {len(one.samples)} of {counted(count, 'sample')} ({which})" if one.samples else ""
        lines.append(f"Wrong: {printable(f'{one.name}{among}: {one.why}')}")
    if comparison:
        outside = ", ".join(f"{row.name} {row.verdict}" for row in comparison.outside)
        lines.append(f"Outside the range of real music: {outside or 'no metric'}")
    if comparison and not diagnoses:
        far = ", ".join(row.name for row in comparison.far)
        lines.append(
            "No collapse, " + (f"but far from real music in {far}" if far else "and nothing far from real music")
        )
    elif not diagnoses:
        lines.append("Nothing is copied")
    return lines


# --- as JSON ---


def _comparison_facts(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {}
    names = ("songs", "excerpts", "too_short")
    facts: dict[str, Any] = {"steps": comparison.steps, "drawn": comparison.drawn}
    facts |= {side: dict(zip(names, getattr(comparison, side))) for side in ("samples", "real")}
    return facts | {"metrics": [asdict(row) | {"verdict": row.verdict} for row in comparison.rows]}


def _diagnosis_facts(one: Diagnosis) -> dict[str, Any]:
    return asdict(one) | {"samples": [i + 1 for i in one.samples]}


def _two_sample_facts(found: "Result | None") -> dict[str, Any] | None:
    if found is None:
        return None
    return asdict(found) | {"accuracy": found.accuracy, **dict(zip(("low", "high"), found.interval))}


def _copying_facts(copied: Copying, songs: Corpus) -> dict[str, Any]:
    def facts(run: Run) -> dict[str, Any]:
        return asdict(run) | {"song": songs.songs[run.song].name if run.strikes else None}

    usual = dict(zip(("median", "p95", "most"), copied.usual.tolist()))
    both = zip(copied.exact, copied.transposed)
    runs = [{"exact": facts(exact), "transposed": facts(moved)} for exact, moved in both]
    return {"real": usual | {"near_copies": copied.near_copies}, "limit": copied.limit, "samples": runs}
