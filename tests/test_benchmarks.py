import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import encode, songs
from musicgen_cli import midi
from musicgen_cli.smf import parse
from tests.strategies import played


def test_made_up_songs_are_whole_and_no_two_alike(tmp_path):
    songs.write(tmp_path, 5, notes=8)
    files = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert len(set(files)) == 5
    for data in files:
        assert not parse(data).damage
        assert [len(part.notes) for part in parse(data).parts] == [8, 8, 8, 8]


@given(st.integers(0, 1000))
def test_rolls_are_those_of_the_way_by_mido(tmp_path_factory, number):
    path = tmp_path_factory.getbasetemp() / "song.mid"
    path.write_bytes(songs.song(number, notes=12))
    assert np.array_equal(encode.ours([path])[0], encode.by_mido(path))


@given(played())
def test_so_they_are_of_notes_that_touch(tmp_path_factory, score):
    path = tmp_path_factory.getbasetemp() / "song.mid"
    path.write_bytes(midi.write(score))
    assert np.array_equal(encode.ours([path])[0], encode.by_mido(path))
