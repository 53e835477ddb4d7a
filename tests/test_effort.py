"""How many lines of Python what has to be fast takes, the same on every machine: few for many notes.

`make guard` measures seconds; this finds, wherever the tests run, that a loop has come back.
"""

import gc
import sys

import pytest

from benchmarks import sampling, songs, training
from musicgen_cli.cli import run
from musicgen_cli.midi import read
from musicgen_cli.representations import FORMS, decode, quantise_for

SPARE = 1.4  # times as many lines as there were when these figures were written, in Python 3.11


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Models of few units, which take no fewer lines."""
    for sizes in (training.SIZES, sampling.ARGUMENTS):
        monkeypatch.setitem(sizes, "hidden", 32)


def lines(work):
    """Lines of Python, ours and others', that `work` runs through when it is done again."""
    work()
    count = 0

    def traced(frame, event, argument):
        nonlocal count
        count += event == "line"
        return traced

    before = sys.gettrace()
    gc.collect()
    gc.disable()  # hypothesis has Python called whenever it begins
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def more(make, few, many):
    """Lines for each one more, between so few and so many."""
    return (lines(make(many)) - lines(make(few))) / (many - few)


def encoding(folder, files, notes, *options):
    place = folder / f"{files}-{notes}"
    place.mkdir(exist_ok=True)
    songs.write(place, files, notes)
    return lambda: run(["encode", str(place), *options, "-q", "-o", str(folder / "made.npy")])


@pytest.mark.parametrize(("options", "were"), [((), 1244), (("--packed",), 1246), (("--as", "words"), 1495)])
def test_encode_takes_so_many_lines_a_file(tmp_path, options, were):
    assert more(lambda files: encoding(tmp_path, files, 32, *options), 4, 16) < SPARE * were


@pytest.mark.parametrize(
    ("options", "were"), [((), 6), (("--packed",), 6), (("--as", "words"), 11), (("--as", "words", "--plain"), 11.3)]
)
def test_encode_takes_so_many_lines_for_eight_notes(tmp_path, options, were):
    assert more(lambda notes: encoding(tmp_path, 2, notes, *options), 32, 128) < SPARE * were


@pytest.mark.parametrize(("form", "were"), [("rolls", 0), ("sounding keys", 0), ("words", 18.9), ("plain words", 15.3)])
def test_music_is_read_back_in_so_many_lines_for_four_notes(form, were):
    def reading(notes):
        [played] = quantise_for(form, [read(songs.song(1, notes))[0]], 4)
        music = FORMS[form].encode(played)
        return lambda: decode(music, 4, 120.0, (4, 4))

    assert more(reading, 32, 128) <= SPARE * were


@pytest.mark.parametrize(("make", "were"), [(sampling.in_numpy, 93), (sampling.in_torch, 188)])
def test_sampling_takes_so_many_lines_a_step(make, were):
    assert more(lambda steps: make(1, steps), 33, 63) < SPARE * were


@pytest.mark.parametrize(("forcing", "were", "once"), [(1, 0, 2500), (0.5, 276, 2638)])
def test_training_takes_so_many_lines_a_step(forcing, were, once):
    def teaching(steps):
        return training.ours(forcing, batch=2, steps=steps)

    a_step = more(teaching, 8, 16)
    assert a_step <= SPARE * were
    assert lines(teaching(8)) - 8 * a_step < SPARE * once
