import subprocess
import sys

import pytest

from musicgen_cli import midi
from tests.tunes import complaint, musicgen, talk

WITHOUT_MUSIC21 = (
    "import sys; sys.modules['music21'] = None; from musicgen_cli.cli import run; sys.exit(run(['songs', 'bach']))"
)


def test_without_music21_one_line_says_how_to_get_it(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT_MUSIC21], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["musicgen: error: songs come with music21: pip install 'musicgen-cli[songs]'"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_bach_gives_four_part_chorales_that_can_be_encoded(tmp_path):
    assert talk(musicgen("songs", "bach", "-o", "songs", "--limit", 2, cwd=tmp_path)) == ["wrote 2 files in songs"]
    files = sorted((tmp_path / "songs").iterdir())
    assert len(files) == 2
    for file in files:
        score, left_out = midi.read(file.read_bytes())
        sounding = sum(score.notes[:, 1] - score.notes[:, 0]) / score.length
        assert 3 < sounding <= 5  # four voices nearly all the time
        assert not left_out
    talk(musicgen("encode", "songs", "-o", "rolls.npy", cwd=tmp_path))


def test_a_composer_whom_the_corpus_lacks_is_named(tmp_path):
    assert "'nobody'" in complaint(musicgen("songs", "nobody", cwd=tmp_path))


@pytest.mark.slow
def test_names_hold_the_folders_of_a_piece_and_composers_are_known_in_any_case(tmp_path):
    talk(musicgen("songs", "Schoenberg", "-o", "songs", "--limit", 1, cwd=tmp_path))
    assert [file.name for file in (tmp_path / "songs").iterdir()] == ["opus19-movement2.mid"]
