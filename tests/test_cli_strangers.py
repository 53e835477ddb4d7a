"""Files, folders and names as they come from strangers, through the real command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from musicgen_cli import corpus as corpora
from musicgen_cli import midi
from musicgen_cli.commands.workers import processes, results
from musicgen_cli.corpus import Song
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import Score
from tests.tunes import ENVIRONMENT, complaint, musicgen, shell, talk, tune, write_song, write_songs


def songs(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [song.name for song in corpora.load(file).songs]


def report(path: Path) -> list[tuple[str, str, str]]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [(event["file"], event["verdict"], event["cause"]) for event in events if event["verdict"] != "encoded"]


# -- which files


def test_a_file_is_encoded_once_however_it_is_named(tmp_path: Path) -> None:
    a, b = write_songs(tmp_path / "in", 2)
    (tmp_path / "in" / "z-hard.mid").hardlink_to(a)
    (tmp_path / "in" / "z-soft.mid").symlink_to(b.name)
    told = talk(musicgen("encode", "in", a, "in/../in/tune-02.mid", "-o", "x.npy", cwd=tmp_path))
    assert told == [
        "passed over in/z-hard.mid: the same file as in/tune-01.mid",
        "passed over in/z-soft.mid: the same file as in/tune-02.mid",
        f"passed over {a}: the same file as in/tune-01.mid",
        "passed over in/../in/tune-02.mid: the same file as in/tune-02.mid",
        "encoded 2 songs, 192 steps; 4 files passed over",
    ]
    assert songs(tmp_path / "x.npy") == ["tune-01", "tune-02"]


def test_links_to_folders_are_told_and_loops_end(tmp_path: Path) -> None:
    write_songs(tmp_path / "in" / "deep", 1)
    write_songs(tmp_path / "elsewhere", 1)
    (tmp_path / "in" / "deep" / "loop").symlink_to("..")
    (tmp_path / "in" / "link").symlink_to("../elsewhere")
    result = musicgen("encode", "in", "--strict", "--report", "r", "-o", "x.npy", cwd=tmp_path)
    assert talk(result)[-1] == "encoded 1 song, 96 steps; 2 files passed over"
    told = "a link to a folder is not followed; name it as well"
    assert report(tmp_path / "r") == [("in/link", "passed over", told), ("in/deep/loop", "passed over", told)]
    assert talk(musicgen("encode", "in/link", "-o", "x.npy", cwd=tmp_path)) == ["encoded 1 song, 96 steps"]


def test_what_is_no_file_in_a_folder_is_skipped_and_does_not_block(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 1)
    os.mkfifo(tmp_path / "in" / "pipe.mid")
    (tmp_path / "in" / "zero.mid").symlink_to("/dev/zero")
    (tmp_path / "in" / "gone.mid").symlink_to("nowhere")
    musicgen("encode", "in", "--report", "r", "-o", "x.npy", cwd=tmp_path)
    assert report(tmp_path / "r") == [
        ("in/pipe.mid", "skipped", "neither a file nor a folder"),
        ("in/zero.mid", "skipped", "neither a file nor a folder"),
        ("in/gone.mid", "skipped", "no such file; is the name right?"),
    ]
    assert songs(tmp_path / "x.npy") == ["tune-01"]


def test_a_name_that_leads_nowhere_costs_that_file(tmp_path: Path) -> None:  # it was told of the corpus, and ended all
    write_song(tmp_path / "a.mid", 1)
    (tmp_path / "circle.mid").symlink_to("circle.mid")
    long = "n" * 300 + ".mid"
    told = [f"skipped {long}: File name too long", "skipped circle.mid: Too many levels of symbolic links"]
    done = "encoded 1 song, 96 steps; 2 files skipped"
    assert talk(musicgen("encode", long, "a.mid", "circle.mid", "-o", "x.npy", cwd=tmp_path)) == [*told, done]
    assert songs(tmp_path / "x.npy") == ["a"]
    assert complaint(musicgen("encode", long, "-o", "y.npy", cwd=tmp_path)) == f"{long}: File name too long"
    for line in (f"cat {long} -o y.npy", f"cat x.npy {long} -o y.npy", f"dedupe {long} -o y.npy"):
        assert complaint(musicgen(*line.split(), cwd=tmp_path)) == f"{long}: File name too long"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_file_behind_a_locked_door_costs_that_file(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 1)
    for name, mode in (("locked", 0o000), ("listed", 0o444)):
        write_songs(tmp_path / name / "deep", 1)
        (tmp_path / name).chmod(mode)
    told = talk(musicgen("encode", "in", "locked/deep/tune-01.mid", "listed", "-o", "x.npy", cwd=tmp_path))
    denied = [f"skipped {name}: Permission denied" for name in ("listed/deep", "locked/deep/tune-01.mid")]
    assert (sorted(told[:2]), told[2:]) == (denied, ["encoded 1 song, 96 steps; 2 files skipped"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 1)
    (tmp_path / "in" / "shut").mkdir(mode=0)
    told = talk(musicgen("encode", "in", "-o", "x.npy", cwd=tmp_path))
    assert told[0] == "skipped in/shut: Permission denied"
    assert "Permission" in complaint(musicgen("encode", "in", "--strict", "-o", "x.npy", cwd=tmp_path))


def test_any_name_is_told_on_one_line_and_kept_in_the_report(tmp_path: Path) -> None:
    names = [
        b"-rf.mid",
        b"new\nline.mid",
        b"\x1b[2Jclear.mid",
        b"caf\xe9.mid",
        b"\xed\xa0\x80.mid",
        "\u202eabc.mid".encode(),
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"no music")
    write_song(tmp_path / "good.mid", 1)
    result = musicgen("encode", ".", "--report", "r", "-o", "x.npy", cwd=tmp_path)
    *lines, last = talk(result)
    assert (len(lines), last) == (6, "encoded 1 song, 96 steps; 6 files skipped")
    assert all(line.isprintable() and line.startswith("skipped ") for line in lines)
    told = [os.fsencode(file) for file, _, _ in report(tmp_path / "r")]
    assert told == sorted(names)


def test_the_order_is_that_of_the_bytes_of_names(tmp_path: Path) -> None:
    names = ["a.mid", "B.mid", "é.mid", "z.mid", "\U0001f3b5.mid", "\ufb01.mid"]
    for number, name in enumerate(names, 1):
        write_song(tmp_path / name, number)
    for locale in ("C", "C.UTF-8"):
        talk(musicgen("encode", ".", "-o", "x.npy", cwd=tmp_path, LC_ALL=locale, PYTHONUTF8="1"))
        assert songs(tmp_path / "x.npy") == sorted((name[:-4] for name in names), key=str.encode)


def test_very_many_names_take_no_time(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.mid", 1)
    (tmp_path / "names").write_bytes(b"".join(b"missing-%06d.mid\0" % n for n in range(5000)) + b"song.mid\0")
    start = time.monotonic()
    result = musicgen("encode", "--files-from", "names", "-o", "x.npy", cwd=tmp_path)
    assert talk(result)[-1] == "encoded 1 song, 96 steps; 5000 files skipped"
    assert time.monotonic() - start < 10
    assert song.exists()


def test_no_name_in_a_corpus_or_a_midi_file_leads_out_of_the_folder(tmp_path: Path) -> None:
    names = ["../../x", "/etc/x", "", ".", "..", "a/../../b", "n" * 5000, "nul\0byte", "\ud800"]
    inside = tmp_path / "in"
    (inside / "named").mkdir(parents=True)
    with (inside / "x.npy").open("wb") as file:
        corpora.save(corpora.gather([(Song(name), np.ones((4, 88, 2), bool)) for name in names]), file)
    assert talk(musicgen("decode", "x.npy", "-o", "out/", cwd=inside)) == ["wrote 9 files in out"]
    made = list((inside / "out").iterdir())
    assert len(made) == 9
    assert {path.suffix for path in made} == {".mid"}
    for number, name in enumerate(names):
        (inside / "named" / f"{number}.mid").write_bytes(midi.write(Score([[0, 480, 60]], 480), name=name))
    talk(musicgen("encode", "named", "-o", "y.npy", cwd=inside))
    assert songs(inside / "y.npy") == [str(number) for number in range(9)]
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


# -- what is wrong with them


def test_a_file_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.mid", 1)
    (tmp_path / "cut.mid").write_bytes(song.read_bytes()[:200])
    why = "track 1 breaks off at the end of its bytes, in the midst of an event"
    told = talk(musicgen("encode", "cut.mid", "-o", "x.npy", cwd=tmp_path))
    assert told[0] == f"damaged cut.mid: {why}; what comes before is kept"
    assert told[1].startswith("encoded 1 song, ")
    assert told[1].endswith("; 1 file damaged")
    assert complaint(musicgen("encode", "cut.mid", "song.mid", "--strict", cwd=tmp_path)).startswith(f"cut.mid: {why}")
    assert f"cut.mid: {why}; what comes before is used" in talk(musicgen("show", "cut.mid", cwd=tmp_path))


def test_the_report_tells_why_also_when_nothing_could_be_encoded(tmp_path: Path) -> None:
    (tmp_path / "text.mid").write_text("no music")
    (tmp_path / "big.mid").write_bytes(bytes(3 << 20))
    result = musicgen("encode", ".", "--max-mib", "2", "--report", "r", "-o", "x.npy", cwd=tmp_path)
    assert result.returncode == 1
    assert report(tmp_path / "r") == [
        ("big.mid", "skipped", "larger than 2 MiB"),
        ("text.mid", "skipped", "not a MIDI file"),
    ]
    assert not (tmp_path / "x.npy").exists()
    assert "not a MIDI file" in complaint(musicgen("encode", "text.mid", "--report", "r", "-o", "x.npy", cwd=tmp_path))
    assert report(tmp_path / "r") == [("text.mid", "skipped", "not a MIDI file")]
    assert "file of its own" in complaint(musicgen("encode", ".", "--report", "x", "-o", "x", cwd=tmp_path), 2)


@pytest.mark.parametrize("command", ["encode in", "dedupe in.npy in.npy"])
def test_a_report_on_a_full_disk_does_not_deny_the_corpus(tmp_path: Path, command: str) -> None:
    write_songs(tmp_path / "in", 2)
    talk(musicgen("encode", "in", "-o", "in.npy", cwd=tmp_path))
    for output, name in (("x.npy", "x.npy"), ("-", "standard output")):
        done = musicgen(*command.split(), "--report", "/dev/full", "-q", "-o", output, cwd=tmp_path)
        if output == "-":
            (tmp_path / "x.npy").write_bytes(done.stdout)
            done.stdout = b""
        assert complaint(done) == f"/dev/full: No space left on device; {name} is written, its report is not"
        assert songs(tmp_path / "x.npy") == ["tune-01", "tune-02"]
        (tmp_path / "x.npy").unlink()
    (tmp_path / "text.mid").write_text("no music")
    wrong = complaint(musicgen("encode", "text.mid", "--report", "/dev/full", "-o", "x.npy", cwd=tmp_path))
    assert wrong == "/dev/full: No space left on device; nothing written"


# -- workers


def test_workers_make_the_same_corpus(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 20)
    (tmp_path / "in" / "tune-07.mid").write_text("no music")
    one = musicgen("encode", "in", "-o", "1.npy", cwd=tmp_path)
    for line in ("encode in --jobs 2 -o 2.npy", "cat in/tune-01.mid | musicgen encode - --jobs 2 | musicgen show -"):
        two = shell(f"musicgen {line}" if line.startswith("encode") else line, tmp_path)
        assert two.returncode == 0, two
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()
    assert talk(one)[0] == "skipped in/tune-07.mid: not a MIDI file"
    typed = shell("musicgen encode <(cat in/tune-01.mid) in/tune-02.mid --jobs 2 -o 3.npy", tmp_path, real=True)
    assert talk(typed)[-1].startswith("encoded 2 songs")


def deadly(numbers: list[int]) -> list[int | MusicgenError]:
    if {5, 6} & set(numbers):
        os.abort()
    return [MusicgenError("nine") if number == 9 else number * number for number in numbers]


def test_a_worker_that_dies_costs_what_killed_it() -> None:
    batches = [[0], [1, 2, 3, 4, 5], [6, 7, 8], [9, 10], *([number] for number in range(11, 20))]
    made = {}
    for number, result in results(deadly, batches, processes(2)):
        made[number] = str(result).split(";")[0] if isinstance(result, MusicgenError) else result
    assert list(made) == list(range(20))
    assert {number for number in made if made[number] != number * number} == {5, 6, 9}
    assert made[9] == "nine"
    assert made[6] == "6: the process that read it died"


ABORTS = """
import os
from musicgen_cli import smf
parse_all = smf.parse_all
def deadly(files):
    if any(b"deadly" in data for data in files):
        os.abort()
    return parse_all(files)
smf.parse_all = deadly
if __name__ == "__main__":
    from musicgen_cli.cli import main
    main()
"""


def test_a_file_that_kills_its_reader_costs_that_file(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 9)
    (tmp_path / "in" / "tune-05.mid").write_bytes(midi.write(tune(5), name="deadly"))
    (tmp_path / "aborts.py").write_text(ABORTS)
    line = [sys.executable, "aborts.py", "encode", "in", "--jobs", "2", "-o", "x.npy"]
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    why = "the process that read it died; report it as a bug, with the file"
    assert talk(done) == [f"skipped in/tune-05.mid: {why}", "encoded 8 songs, 768 steps; 1 file skipped"]
    assert len(songs(tmp_path / "x.npy")) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_command(tmp_path: Path, number: signal.Signals) -> None:
    write_songs(tmp_path / "in", 60)
    listed = "\n".join(f"in/../in/tune-{n:02}.mid" for n in range(1, 61))
    line = ["musicgen", "encode", "--files-from", "-", "--jobs", "2", "-o", "x.npy"]
    with subprocess.Popen(
        line, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as run:
        assert run.stdin
        run.stdin.write(listed.encode())
        run.stdin.close()
        while not (tmp_path / ".musicgen-x.npy").exists() and run.poll() is None:
            time.sleep(0.01)
        os.killpg(run.pid, number) if number == signal.SIGINT else run.kill()
        assert run.stderr
        assert b"Traceback" not in run.stderr.read()  # which ends when the last of them has ended
    assert run.returncode in (0, 130, -number)
