import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from musicgen_cli import midi
from musicgen_cli.cli import run
from musicgen_cli.commands import songs
from musicgen_cli.score import Score
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


def test_what_is_not_written_is_counted_and_nothing_written_is_an_error(tmp_path, monkeypatch, capsys):  # exit 0 it was
    sung, silent = Score([[0, 480, 60]], 480), Score(np.zeros((0, 3), int), 480)
    corpus = {"sung": [sung], "silent": [silent], "some": [silent, sung, sung]}
    monkeypatch.setitem(sys.modules, "music21", ModuleType("music21"))
    monkeypatch.setattr(songs, "_scores", lambda _, name: corpus[name])

    def wrote(*names: str) -> tuple[int, list[str], set[str]]:
        monkeypatch.setattr(songs, "_pieces", lambda *_: [(name, name) for name in names])
        folder = tmp_path / "-".join(names)
        code = run(["songs", "x", "-o", str(folder)])
        said = capsys.readouterr().err.replace(str(folder), "songs").splitlines()
        return code, said, {path.name for path in folder.iterdir()}

    odd = "skipped odd: KeyError: 'odd'"
    wrong = "musicgen: error: nothing of {} by 'x' could be written; {}"
    assert wrote("odd") == (1, [odd, wrong.format("1 piece", "skipped 1")], set())
    assert wrote("silent", "odd") == (1, [odd, wrong.format("2 pieces", "skipped 1; 1 silent")], set())
    files = {"sung.mid", "some-1.mid", "some-2.mid"}
    assert wrote("sung", "some", "odd") == (0, [odd, "wrote 3 files in songs; skipped 1; 1 silent"], files)


@pytest.mark.slow
def test_names_hold_the_folders_of_a_piece_and_composers_are_known_in_any_case(tmp_path):
    talk(musicgen("songs", "Schoenberg", "-o", "songs", "--limit", 1, cwd=tmp_path))
    assert [file.name for file in (tmp_path / "songs").iterdir()] == ["opus19-movement2.mid"]
