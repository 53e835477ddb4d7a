"""Sound and pages through the command, as a listener would ask for them."""

import io
import os
import re
import subprocess
import sys
import time
import wave
from dataclasses import replace

import numpy as np
import pytest

from musicgen_cli import corpus as corpora
from musicgen_cli import sound
from musicgen_cli.cli import run
from musicgen_cli.corpus import Song
from musicgen_cli.representations import encode
from musicgen_cli.score import Score
from tests.tunes import ENVIRONMENT, PREFIX, shell, talk, tune

HEADS = {"wav": b"RIFF", "mp3": (b"ID3", b"\xff\xfb"), "ogg": b"OggS", "flac": b"fLaC"}
MADE = "musicgen sample model.pt --seed {} --length 64 --temperature 0.8 --start zeros; next with chord, 3 epochs"
PLAYER = r"""#!/bin/sh
while [ $# -gt 2 ]; do [ "$1" = -F ] && out=$2; shift; done
head -c 4 "$2" | grep -q MThd || exit 1
case "$1" in *mute*) echo "fluidsynth: error: cannot" >&2; exit 0 ;; esac
head -c 40000 /dev/zero | tr '\0' '\100' > "$out"
"""
KILOBYTES = """
import re, sys
from musicgen_cli.cli import run
assert run(sys.argv[1:]) == 0
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""

needs_soundfile = pytest.mark.skipif(not sound.packs(), reason="soundfile is not installed")


def save(path, scores, name="song {}", text=""):
    songs = [
        (Song(name.format(i), score.tempo, score.time_signature, text.format(i)), encode(score, "rolls", 4))
        for i, score in enumerate(scores, 1)
    ]
    with path.open("wb") as file:
        corpora.save(corpora.gather(songs), file)


def short(number, bars=2):
    return replace(tune(number, voices=1, bars=bars), tempo=240.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder to be in: two short songs, two.npy; one of them, one.npy; and twelve for comparison, real.npy."""
    save(tmp_path / "two.npy", [short(1), short(2)], text=MADE)
    save(tmp_path / "one.npy", [short(1)])
    save(tmp_path / "real.npy", [short(number) for number in range(20, 32)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def decode(folder, capsys):
    """The command in this very process: its exit code and the one line that it says."""

    def call(line):
        code = run(["decode", *line.split()])
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(PREFIX) == (code != 0)
        return code, err.removeprefix(PREFIX).strip()

    return call


def samples(data):
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


# -- sound


@needs_soundfile
@pytest.mark.parametrize("kind", sound.FORMATS)
def test_the_name_says_what_is_written(folder, decode, kind):
    assert decode(f"one.npy -o out.{kind}") == (0, f"wrote out.{kind}")
    assert (folder / f"out.{kind}").read_bytes().startswith(HEADS[kind])


def test_sound_goes_through_pipes_and_twice_is_the_same(folder):
    first, second = (shell("musicgen decode --as wav < one.npy | cat", folder) for _ in range(2))
    assert talk(first) == []
    assert first.stdout == second.stdout
    seconds = short(1).length * 60 / (4 * short(1).tempo)
    assert len(samples(first.stdout)) / sound.RATE == pytest.approx(seconds + 1.5, abs=0.001)


def test_tempo_and_velocity_are_heard(folder, decode):
    heard = {}
    for options in ("", "--tempo 120", "--velocity 20"):
        assert decode(f"one.npy -o x.wav {options}")[0] == 0
        heard[options] = samples((folder / "x.wav").read_bytes()).astype(float)
    assert len(heard["--tempo 120"]) > 1.5 * len(heard[""])
    assert (heard["--velocity 20"] ** 2).mean() < 0.1 * (heard[""] ** 2).mean()


def test_several_songs_become_a_folder(folder, decode):
    assert decode("two.npy -o out --as wav") == (0, "wrote 2 files in out")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["song 1.wav", "song 2.wav"]
    code, wrong = decode("two.npy -o out.wav")
    assert code == 1
    assert wrong == "2 songs do not fit into one file: name a folder (-o out/ --as wav), or choose by --song"


@pytest.mark.slow
def test_six_minutes_need_less_than_300_megabytes(folder):
    save(folder / "long.npy", [tune(4, bars=146)])  # 365 seconds
    line = [sys.executable, "-c", KILOBYTES, "decode", "long.npy", "-o", "long.wav", "-q"]
    done = subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert len(samples((folder / "long.wav").read_bytes())) > 360 * sound.RATE
    assert int(done.stdout) < 300_000


@pytest.mark.parametrize(
    ("form", "wait"),
    [("wav", 0), ("mp3", 0.3), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("mp3", 0.7), ("ogg", 0.5)))],
)
def test_an_interrupted_sound_leaves_nothing(folder, form, wait):
    save(folder / "long.npy", [tune(4, bars=400)])
    before = set(folder.iterdir())
    line, threads = ["musicgen", "decode", "long.npy", "-o", f"x.{form}"], {"OMP_NUM_THREADS": "2"}
    with subprocess.Popen(line, cwd=folder, env=ENVIRONMENT | threads, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 20
        while set(folder.iterdir()) == before and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(wait)  # until it packs
        process.send_signal(2)
        assert process.stderr.read() == b""
    assert process.returncode == 130
    assert set(folder.iterdir()) == before


def test_a_name_that_promises_what_is_not_written_is_refused(folder, decode):
    for name in ("x.m4a", "x.aiff"):
        code, wrong = decode(f"one.npy -o {name}")
        assert (code, wrong.partition(":")[0]) == (1, name)
        assert not (folder / name).exists()
    assert decode("one.npy -o x.htm")[0] == 0
    assert "<audio" in (folder / "x.htm").read_text()
    assert decode("one.npy -o x.bin --as wav")[0] == 0


def test_without_soundfile_there_is_a_hint_and_pages_hold_wav(folder, decode, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    code, wrong = decode("one.npy -o x.mp3")
    assert code == 1
    assert wrong == "x.mp3: .mp3 is written by soundfile: pip install 'musicgen-cli[audio]', or write .wav"
    assert not (folder / "x.mp3").exists()
    assert decode("one.npy -o x.html")[0] == 0
    assert "data:audio/wav;base64,UklGR" in (folder / "x.html").read_text()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("one.npy -o x.mid --as wav", 2),
        ("one.npy -o x.wav --program 19", 2),
        ("one.npy -o x.mid --soundfont font.sf2", 2),
        ("one.npy -o x.wav --against real.npy", 2),
        ("- -o x.html --against -", 2),
        ("one.npy -o x.wav --soundfont no.sf2", 1),
        ("one.npy -o x.wav --soundfont one.npy", 1),
        ("one.npy -o x.html --against no.npy", 1),
        ("one.npy -o x.html --against x.html", 1),
        ("one.npy -o one.npy --as html", 1),
        ("one.npy -o pages/ --as html", 1),
        ("one.npy -o no/x.wav", 1),
        ("one.npy -o no/x.html", 1),
        ("no.npy -o x.wav", 1),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(folder, decode, line, code):
    before = set(folder.iterdir())
    assert decode(line)[0] == code
    assert set(folder.iterdir()) == before


# -- soundfonts


@pytest.fixture
def player(folder, monkeypatch):
    """A FluidSynth on the PATH that plays one sample for ever, and two soundfonts."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "fluidsynth"
    program.write_text(PLAYER)
    program.chmod(0o755)
    for name in ("font.sf2", "mute.sf2"):
        (folder / name).write_bytes(b"RIFF\0\0\0\0sfbk")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return program


def test_a_soundfont_is_played_by_fluidsynth(folder, decode, player):
    assert decode("one.npy -o x.wav --program 19 --soundfont font.sf2") == (0, "wrote x.wav")
    assert samples((folder / "x.wav").read_bytes()).tolist() == [[0x4040, 0x4040]] * 10000


def test_a_player_that_complains_is_believed_and_one_that_is_not_there_named(folder, decode, player, monkeypatch):
    line = "one.npy -o x.wav --soundfont mute.sf2"
    assert decode(line) == (1, "x.wav: mute.sf2: fluidsynth: error: cannot")
    player.unlink()
    monkeypatch.setenv("PATH", str(folder))
    assert decode(line)[1].startswith("--soundfont is played by FluidSynth, which is not on the PATH: apt install")
    assert not (folder / "x.wav").exists()


# -- pages


def test_a_page_holds_all_songs_in_their_order(folder, decode):
    assert decode("two.npy -o two.html") == (0, "wrote two.html, 2 songs")
    text = (folder / "two.html").read_text()
    assert re.findall("<h1>(.*)</h1>", text) == ["two: 2 songs"]
    assert re.findall("<h2>(.*?)</h2>", text) == ["song 1", "song 2"]
    one = shell("musicgen decode --song 2 --as html --tempo 60 < two.npy", folder).stdout.decode()
    assert re.findall("<h[12]>(.*?)</h", one) == ["song 2", "song 2"]
    assert 'data-seconds="8.000"' in one


def test_an_audition_has_the_ordinary_first_and_says_how_to_make_each_again(folder, decode):
    silence = Score(np.zeros((0, 3)), 4, short(1).length)
    save(folder / "many.npy", [silence, short(1, bars=1), short(50), short(51)], text=MADE)
    assert decode("many.npy -o audition.html --against real.npy") == (0, "wrote audition.html, 4 songs")
    text = (folder / "audition.html").read_text()
    order = re.findall("<h2>(.*?)</h2>", text)
    assert set(order[:2]) == {"song 3", "song 4"}
    assert order[2:] == ["song 1", "song 2"]
    assert re.findall(r"<p>No. (\d): \d+% of the real songs are as far out", text) == ["1", "2", "3"]
    assert "<p>too short to be compared</p>" in text
    commands = re.findall("<code>(.*?)</code>", text)
    assert [re.search(r"--seed (\d)", command)[1] for command in commands] == [name[-1] for name in order]
    assert all(command.startswith("musicgen sample model.pt ") for command in commands)
