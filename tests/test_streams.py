"""Real files and real pipes: what goes wrong there ends as one line, and nothing is left half written."""

import errno
import io
import json
import os
import pty
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

from musicgen_cli import streams
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import TEMPORARY, alone, check_target, output, printable, write_bytes
from tests.tunes import ENVIRONMENT, complaint, forked, musicgen, shell, talk, write_song, write_songs

OLD, NEW = b"what was there before", b"what is there now"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_song(folder / "song.mid", 1)
    write_songs(folder / "songs", 3)
    talk(musicgen("encode", "song.mid", "-o", "one.npy", cwd=folder))
    talk(musicgen("encode", "songs", "-o", "rolls.npy", cwd=folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path, made: Path) -> Path:
    """A folder that holds song.mid and songs/, and one.npy and rolls.npy made of them: one tune, and three."""
    return shutil.copytree(made, tmp_path / "here")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def in_terminal(*arguments: str, cwd: Path, stdin: bool) -> subprocess.CompletedProcess[bytes]:
    """Run the command with a terminal for its stdin, or for its stdout."""
    master, terminal = pty.openpty()
    try:
        return subprocess.run(
            ["musicgen", *arguments],
            cwd=cwd,
            env=forked(),
            stdin=terminal if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdin else terminal,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(master)
        os.close(terminal)


# -- in one process


def test_a_file_appears_whole_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with output(path) as file:
        file.write(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("error", [MusicgenError, ValueError, KeyboardInterrupt, SystemExit])
def test_what_was_there_before_is_intact_when_the_block_fails(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def fail() -> None:
        with output(path) as file:
            file.write(NEW)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == OLD
    assert names(tmp_path) == {"file"}


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    path.chmod(0o640)
    write_bytes(path, NEW)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, 0o640)


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_bytes(OLD)
    link.symlink_to(Path("folder") / "target")
    write_bytes(link, NEW)
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert names(tmp_path / "folder") == {"target"}


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY}out"
    left.write_bytes(b"half")
    write_bytes(tmp_path / "out", NEW)
    assert names(tmp_path) == {"out"}
    assert (tmp_path / "out").read_bytes() == NEW


@pytest.mark.parametrize("place", ["_lock", "_is_at"])  # both as it is made and as it is taken away
def test_a_signal_at_the_moment_a_file_is_made_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    usual = getattr(streams, place)
    monkeypatch.setattr(streams, place, lambda *given: signal.raise_signal(signal.SIGINT) or usual(*given))
    with pytest.raises(KeyboardInterrupt), output(tmp_path / "x") as file:
        file.write(NEW)
    assert names(tmp_path) == set()


def test_of_two_who_write_one_file_the_second_is_refused(tmp_path: Path) -> None:
    with output(tmp_path / "out") as file:
        file.write(OLD)
        with pytest.raises(MusicgenError, match="another musicgen is writing it"):
            write_bytes(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_bytes() == OLD
    assert names(tmp_path) == {"out"}


def test_a_file_system_that_fails_to_lock_lets_nobody_in_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    (tmp_path / f"{TEMPORARY}out").write_bytes(b"of another process")
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(MusicgenError):
        write_bytes(tmp_path / "out", NEW)
    assert (tmp_path / f"{TEMPORARY}out").read_bytes() == b"of another process"


def test_a_name_of_letters_of_three_bytes_is_written(tmp_path: Path) -> None:
    with alone(tmp_path / ("音" * 80 + ".pt")):
        write_bytes(tmp_path / ("音" * 80 + ".pt"), NEW)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [NEW]


def test_devices_and_process_substitutions_are_not_locked_and_are_written(folder: Path) -> None:
    with alone(Path("/dev/null")), alone(Path("/dev/null")):
        pass
    talk(shell("musicgen encode songs -o >(cat > through.npy)", folder, real=True))
    assert (folder / "through.npy").read_bytes() == (folder / "rolls.npy").read_bytes()


def test_a_device_is_written_and_not_replaced() -> None:
    write_bytes(Path(os.devnull), NEW)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_name_as_long_as_a_name_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_bytes(path, NEW)
    assert names(tmp_path) == {path.name}


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("no/file", "no such folder"),
        ("folder", "is a folder"),
        ("file/file", "no such folder"),
        ("n" * 300, "n: File name too long$"),
        ("circle", "circle: Too many levels of symbolic links$"),
    ],
)
def test_where_no_file_can_be_written_is_said_by_name_before_there_is_work(
    tmp_path: Path, target: str, wrong: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(MusicgenError, match=wrong):
        check_target(tmp_path / target)
    with pytest.raises(MusicgenError, match=wrong):
        write_bytes(tmp_path / target, NEW)
    assert names(tmp_path) == {"folder", "file", "circle"}
    assert (tmp_path / "circle").is_symlink()
    assert (tmp_path / "file").read_bytes() == OLD


def test_an_error_of_another_file_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, output(tmp_path / "x"):
        (tmp_path / "gone").stat()
    assert raised.value.filename == str(tmp_path / "gone")
    for name in (None, tmp_path / "x", tmp_path / f"{TEMPORARY}x"):
        with pytest.raises(MusicgenError, match=r"/x: Input/output error; nothing written$"), output(tmp_path / "x"):
            raise OSError(errno.EIO, "Input/output error", name and str(name))
    assert names(tmp_path) == set()


def test_a_missing_file_is_named_once_with_the_command_that_makes_it(tmp_path: Path) -> None:
    wrong = complaint(musicgen("decode", "no.npy", cwd=tmp_path))
    assert wrong == "no.npy: no such file; `musicgen encode FOLDER -o no.npy` makes it"


def test_text_for_a_terminal_is_one_line_that_it_does_not_obey() -> None:
    assert printable("a\nb\x1b[31m\udce9 ünï") == r"a\nb\x1b[31m\udce9 ünï"


# -- pipes: what comes in


def test_an_upstream_that_dies_leaves_no_file_and_one_line(folder: Path) -> None:
    before = names(folder)
    for upstream in ("false", "head -c 300 rolls.npy", "head -c -1 rolls.npy", "echo no music"):
        result = shell(f"{upstream} | musicgen decode -o x.mid", folder)
        assert complaint(result).startswith("standard input: ")
    assert names(folder) == before


@pytest.mark.parametrize("command", ["decode", "show"])
def test_empty_stdin_is_said_to_be_empty(tmp_path: Path, command: str) -> None:
    assert "empty" in complaint(musicgen(command, cwd=tmp_path))


@pytest.mark.parametrize("command", ["decode", "show"])
def test_a_terminal_is_not_waited_on_for_data(tmp_path: Path, command: str) -> None:
    assert "nothing to read" in complaint(in_terminal(command, cwd=tmp_path, stdin=True))


def test_closed_stdin_is_no_crash(tmp_path: Path) -> None:
    assert "nothing to read" in complaint(shell("musicgen decode <&-", tmp_path, real=True))


def test_a_corpus_comes_through_a_pipe_unchanged(folder: Path) -> None:
    by_pipe = shell("cat rolls.npy | musicgen decode --song 2", folder)
    by_name = musicgen("decode", "rolls.npy", "--song", 2, cwd=folder)
    by_process = shell("musicgen decode <(cat rolls.npy) --song tune-02", folder, real=True)
    assert by_pipe.stdout[:4] == b"MThd"
    assert by_pipe.stdout == by_name.stdout == by_process.stdout


# -- pipes: what goes out


@pytest.mark.parametrize("settings", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
def test_every_byte_comes_out_of_a_slow_pipe(folder: Path, settings: dict[str, str]) -> None:
    script = "musicgen encode songs --steps-per-quarter 48 | (sleep 0.3; cat)"
    result = shell(script, folder, **settings)
    assert talk(result) == ["encoded 3 songs, 3456 steps"]
    data = io.BytesIO(result.stdout)
    music, offsets, about = (np.load(data) for _ in range(3))
    assert data.read() == b""
    assert music.shape == (offsets[-1], 88, 2) == (3456, 88, 2)  # half a megabyte, many times what a pipe holds
    assert len(json.loads(about.item())["songs"]) == 3


@pytest.mark.parametrize("settings", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
@pytest.mark.parametrize("command", ["encode songs", "show one.npy", "show one.npy --json", "show --help"])
def test_a_reader_who_goes_away_ends_a_command_quietly(folder: Path, command: str, settings: dict[str, str]) -> None:
    # The reader is gone before the first byte is written: it waits for no input.
    script = f"musicgen {command} | exec 0<&-; echo ${{PIPESTATUS[0]}}"
    result = shell(script, folder, **settings)
    assert (result.stdout, result.stderr) == (b"141\n", b"")


def test_a_reader_who_has_enough_ends_a_command_quietly(folder: Path) -> None:
    script = "musicgen encode songs --steps-per-quarter 48 | head -c 10; echo ${PIPESTATUS[*]}"
    result = shell(script, folder)
    assert result.stdout == b"\x93NUMPY\x01\x00\x76\x00" + b"141 0\n"
    assert result.stderr == b""


@pytest.mark.parametrize("command", ["encode song.mid", "sample", "decode one.npy"])
def test_no_bytes_go_to_a_terminal(folder: Path, command: str) -> None:
    result = in_terminal(*command.split(), cwd=folder, stdin=False)
    result.stdout = b""
    assert "terminal: use -o FILE" in complaint(result)


@pytest.mark.parametrize("command", ["encode song.mid", "decode one.npy", "show one.npy", "show --json one.npy"])
def test_closed_stdout_is_said(folder: Path, command: str) -> None:
    assert complaint(shell(f"musicgen {command} >&-", folder, real=True)).startswith("standard output is closed")


@pytest.mark.parametrize("settings", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
@pytest.mark.parametrize("command", ["decode one.npy", "show one.npy", "show one.npy --json"])
def test_a_full_disk_behind_stdout_is_said(folder: Path, command: str, settings: dict[str, str]) -> None:
    result = shell(f"musicgen {command} > /dev/full", folder, **settings)
    wrong = complaint(result)
    assert wrong.startswith("standard output: ")
    assert "No space left on device" in wrong


def test_a_full_disk_is_said_with_the_name_of_the_file(folder: Path) -> None:
    (folder / "old").write_bytes(OLD)
    before = names(folder)
    # What may be written is bounded by the system, as on a disk with a kilobyte left.
    limited = "ulimit -f 1; musicgen {} -o old"
    assert complaint(shell(limited.format("encode songs"), folder, real=True)).startswith("old: ")
    assert complaint(musicgen("decode", "one.npy", "-o", "/dev/full", cwd=folder)).startswith("/dev/full: ")
    assert (folder / "old").read_bytes() == OLD
    assert names(folder) == before


def test_a_named_pipe_is_written_and_stays_one(folder: Path) -> None:
    result = shell("mkfifo pipe; musicgen decode one.npy -q -o pipe & cat pipe; wait $!", folder)
    assert talk(result) == []
    assert result.stdout == musicgen("decode", "one.npy", cwd=folder).stdout
    assert (folder / "pipe").is_fifo()


def test_data_goes_to_stdout_and_talk_to_stderr_unless_quiet(folder: Path) -> None:
    loud, quiet = (musicgen("encode", "song.mid", *option, cwd=folder) for option in ([], ["-q"]))
    assert loud.stdout == quiet.stdout == (folder / "one.npy").read_bytes()
    assert talk(loud) == ["encoded 1 song, 96 steps"]
    assert talk(quiet) == []


def test_a_killed_command_leaves_nothing_behind(folder: Path) -> None:
    (folder / "old").write_bytes(OLD)
    os.mkfifo(folder / "never.mid")  # nobody writes to it: the command waits
    before = names(folder)
    line = ["musicgen", "encode", "songs", "never.mid", "-o", "old"]
    for end, code in ((subprocess.Popen.terminate, 143), (lambda process: process.send_signal(2), 130)):
        with subprocess.Popen(line, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
            while not any(name.startswith(TEMPORARY) for name in names(folder)):
                assert process.poll() is None
            end(process)
            assert process.stderr is not None
            assert (process.stderr.read(), process.wait(30)) == (b"", code)
        assert (folder / "old").read_bytes() == OLD
        assert names(folder) == before


def test_a_folder_that_may_not_be_written_into_is_found_before_there_is_work(
    tmp_path, monkeypatch
):  # not an epoch after
    monkeypatch.setattr("os.access", lambda path, how: False)  # as root may everywhere
    with pytest.raises(MusicgenError, match="nothing may be written into its folder"):
        check_target(tmp_path / "log.csv")
    check_target(Path("/dev/null"))
