"""How many calls of Python what has to be fast takes, which is the same on every machine: none for each note.

`make guard` measures seconds; these find, wherever the tests run, that a loop has come back or a call too many.
"""

import sys

import pytest

from benchmarks import sampling, songs, training
from musicgen_cli.cli import run
from musicgen_cli.midi import read
from musicgen_cli.representations import FORMS, decode, quantise_for

SPARE = 1.25  # times as many calls as there were when these figures were written


def calls(work):
    """Calls of functions, of Python's own and of others, that `work` makes when it is done again."""
    work()
    count = 0

    def called(frame, event, function):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def more(make, few, many):
    """Calls for each one more, between so few and so many."""
    return (calls(make(many)) - calls(make(few))) / (many - few)


def encoding(folder, files, notes, *options):
    place = folder / f"{files}-{notes}"
    place.mkdir(exist_ok=True)
    songs.write(place, files, notes)
    return lambda: run(["encode", str(place), *options, "-q", "-o", str(folder / "made.npy")])


@pytest.mark.parametrize(("options", "were"), [((), 460), (("--packed",), 464), (("--as", "words"), 575)])
def test_encode_takes_so_many_calls_a_file(tmp_path, options, were):
    assert more(lambda files: encoding(tmp_path, files, 32, *options), 4, 16) < SPARE * were


@pytest.mark.parametrize("options", [(), ("--packed",), ("--as", "words"), ("--as", "words", "--plain")])
def test_encode_takes_no_call_for_each_note(tmp_path, options):
    assert more(lambda notes: encoding(tmp_path, 2, notes, *options), 32, 128) < 4  # of which there are eight


@pytest.mark.parametrize(("form", "were"), [("rolls", 0), ("sounding keys", 0), ("words", 11.7), ("plain words", 8)])
def test_music_is_read_back_in_so_many_calls_for_four_notes(form, were):
    def reading(notes):
        [played] = quantise_for(form, [read(songs.song(1, notes))[0]], 4)
        music = FORMS[form].encode(played)
        return lambda: decode(music, 4, 120.0, (4, 4))

    assert more(reading, 32, 128) <= SPARE * were


@pytest.mark.parametrize(("make", "were"), [(sampling.in_numpy, 32), (sampling.in_torch, 92)])
def test_sampling_takes_so_many_calls_a_step(make, were):
    assert more(lambda steps: make(1, steps), 33, 63) < SPARE * were


@pytest.mark.parametrize(("forcing", "were", "once"), [(1, 0, 1117), (0.5, 152, 1308)])
def test_training_takes_so_many_calls_a_step(forcing, were, once):
    def teaching(steps):
        return training.ours(forcing, batch=2, steps=steps)

    a_step = more(teaching, 8, 16)
    assert a_step <= SPARE * were
    assert calls(teaching(8)) - 8 * a_step < SPARE * once
