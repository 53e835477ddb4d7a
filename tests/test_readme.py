"""The shell blocks of README and docs run as they stand, in order, in an empty folder that holds some songs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from musicgen_cli import harmony, roll
from musicgen_cli.cli import COMMANDS, command_line
from musicgen_cli.midi import read
from musicgen_cli.score import quantise
from tests.tunes import forked, write_song, write_songs

ROOT = Path(__file__).parents[1]
README, COMMANDS_PAGE, FORMATS_PAGE = PAGES = [
    (ROOT / page).read_text() for page in ("README.md", "docs/commands.md", "docs/formats.md")
]
COMMON = COMMANDS_PAGE.split("\n## ")[0]  # what is said of all commands at once
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", "".join(PAGES), re.M | re.S)
FROM_MUSIC21 = ("bwv269", "bwv347")  # songs that `musicgen songs bach` writes, by their names

# Training is made tiny, and what needs music21 is made up: the rest is the real command, in a process of its own.
TINY = r"""#!/bin/sh
musicgen={}
case "$1" in
train) exec $musicgen "$@" --hidden 8 --dense 8 --layers 1 --epochs 1 --hop 64 --transpose 0 --patience 0 ;;
songs) exec $musicgen encode --help ;;
sample)
    case "$*" in *--count\ 24*) set -- "$@" --count 4 ;; *--count\ 8* | *--count\ 32*) set -- "$@" --count 1 ;; esac
    case "$*" in
    *--bars*) set -- "$@" --bars 3 ;;
    *--melody* | *--keep*) set -- "$@" --particles 2 --length 32 ;;
    *--length*) ;;
    *) set -- "$@" --length 32 ;;
    esac
    exec $musicgen "$@" ;;
quiz) exec $musicgen "$@" --machine four.npy --pairs 1 --seconds 6 ;;
*) exec $musicgen "$@" ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "musicgen").write_text(TINY.format(shutil.which("musicgen", path=forked()["PATH"])))
    (tools / "musicgen").chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    work = tmp_path / "work"
    for path, name in zip(write_songs(work / "songs", 12), FROM_MUSIC21):
        path.rename(path.with_stem(name))
    return work


def environment(folder):
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_the_shell_and_python_blocks_run(folder):
    assert len(BLOCKS) > 8
    for language, block in BLOCKS:
        run = ["bash", "-euo", "pipefail", "-c", block] if language == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(run, cwd=folder, env=environment(folder), capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    for name in ("out.mid", "longer.mid", "organ.mid", "arpeggio.mid"):
        assert (folder / name).read_bytes().startswith(b"MThd")
    assert len(list((folder / "four").iterdir())) == 4
    assert (folder / "one.wav").read_bytes().startswith(b"RIFF")
    assert (folder / "audition.html").read_text().count("<article") == 4


def test_every_command_is_in_the_readme_and_every_option_in_the_docs():
    for name, command in command_line(*COMMANDS).commands.items():
        section = COMMANDS_PAGE.split(f"\n## {name}: ")[1].split("\n## ")[0]
        assert f"musicgen {name}" in section
        assert f"| `musicgen {name} " in README
        for parameter in command.params:
            options = [option for option in parameter.opts if option.startswith("-") and option != "--help"]
            found = [option for option in options if re.search(rf"(?<![\w-]){option}(?![\w-])", section + COMMON)]
            assert found or not options, f"{name} {options}"


def test_links_lead_somewhere():
    for page in ("README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\((?!http)(.+?)\)", (ROOT / page).read_text()):
            name, _, heading = link.partition("#")
            path = (ROOT / page).parent / name if name else ROOT / page
            assert path.exists(), f"{page}: {link}"
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M) if heading else []
            known = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
            assert not heading or heading in known, f"{page}: {link}"


def run_example(name, folder, *arguments):
    line = ["sh", ROOT / "examples" / name, *arguments]
    return subprocess.run(line, cwd=folder, env=environment(folder), capture_output=True, text=True)


def test_the_demo_runs(folder):
    done = run_example("demo.sh", folder, ".")
    assert done.returncode == 0, done.stderr
    assert (folder / "out.mid").read_bytes().startswith(b"MThd")
    assert b"<audio" in (folder / "out.html").read_bytes()
    assert "out.mid" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_experiment_is_a_script_that_runs(folder, number):
    done = run_example(f"experiment{number}.sh", folder, "songs", "work")
    assert done.returncode == 0, done.stderr
    assert (folder / "work" / "out.mid").read_bytes().startswith(b"MThd")
    assert "work/out.mid" in done.stdout


@pytest.mark.slow
def test_chorales_are_sampled_and_compared_with_real_ones(folder):
    done = run_example("chorales.sh", folder, "songs", "work", "--transpose", "1")
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "work" / "samples").glob("*.mid"))) == 1
    for part in (
        "Negative log-likelihood",
        "1 sample beside 12 real songs",
        "Whether a classifier tells",
        "Outside the range",
    ):
        assert part in done.stdout


def test_a_tune_is_harmonised_note_for_note(folder):
    train = "musicgen encode songs -o rolls.npy && musicgen train rolls.npy --loss chord"
    subprocess.run(["sh", "-c", train], cwd=folder, env=environment(folder), capture_output=True, check=True)
    write_song(folder / "tune.mid", 40, voices=1)
    done = run_example("harmonise.sh", folder, "model.pt", "tune.mid")
    assert done.returncode == 0, done.stderr
    tune, made = (
        roll.encode(quantise(read((folder / name).read_bytes())[0], 4)) for name in ("tune.mid", "harmonised.mid")
    )
    assert (harmony.top_line(made)[: len(tune)] == tune[: len(made)]).all()
    assert (made[: len(tune)] & ~tune[: len(made)]).any()


@pytest.mark.slow
def test_compare_prints_one_table_of_all_four(folder):
    done = run_example("compare.sh", folder, "songs", "work")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = lines[lines.index(next(line for line in lines if "nats/quarter" in line)) + 1 : -2]
    assert [line[:24].strip() for line in table] == [
        "text", "unigram", "copy the last word",
        "next", "seq2seq", "poly", "one rate for all bits",
        "a rate for each bit",
        "silence", "copy the last step", "hold the last step", "4 commonest keys",
    ]  # fmt: skip
    rows = {line[:24].strip(): line[24:].split() for line in table}
    for model in ("text", "next", "seq2seq", "poly"):
        assert float(rows[model][0]) > 0  # nats per quarter note
        assert re.fullmatch(r"0\.\d{3}/0\.\d{3}", rows[model][1])
        assert rows[model][-4:-1] == ["1", "of", "1,"]  # epochs


def test_every_example_is_tested():
    tested = {
        "demo.sh",
        "compare.sh",
        "chorales.sh",
        "harmonise.sh",
        *(f"experiment{number}.sh" for number in (1, 2, 3, 4)),
    }
    assert {path.name for path in (ROOT / "examples").glob("*.sh")} == tested


def test_its_pictures_are_there_and_made_by_plot():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README)
    assert pictures
    for name in pictures:
        assert (ROOT / name).read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg" class="musicgen"')
