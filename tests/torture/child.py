"""A `musicgen` in a fork of the test's own process: started in no time, watched, limited and killed like any other."""

import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from musicgen_cli.cli import main
from tests import forks


class Child:
    """A running command."""

    def __init__(self, line: str, folder: Path, before: Callable[[], object] = lambda: None):
        forks.prepare()
        self.said, stderr = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(stderr)
            return
        try:
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            torch.set_num_threads(1)
            nothing = os.open(os.devnull, os.O_RDWR)
            for target, file in enumerate((nothing, nothing, stderr)):
                os.dup2(file, target)
            sys.stdin, sys.stdout, sys.stderr = (os.fdopen(i, mode) for i, mode in enumerate("rww"))
            sys.argv = line.split()
            before()
            main()
        except SystemExit as end:
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(99)

    def wait(self) -> int:
        """The exit code, minus the signal where one ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def end_after(self, seconds: float, number: signal.Signals) -> tuple[int, float]:
        """Send a signal after so long, if it still runs: the exit code, and how long that took."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status), 0.0
            time.sleep(0.002)
        os.kill(self.pid, number)
        begin = time.monotonic()
        return self.wait(), time.monotonic() - begin

    def lines(self) -> list[str]:
        """What it said on stderr, once it has ended: little, for it waits where a pipe is full."""
        with os.fdopen(self.said) as said:
            return said.read().splitlines()


def run(line: str, folder: Path, before: Callable[[], object] = lambda: None) -> tuple[int, list[str]]:
    """Exit code and the lines on stderr of a command line."""
    child = Child(line, folder, before)
    lines = child.lines()
    return child.wait(), lines


def at_most(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes: a disk that is full there."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def growth(work: Callable[[], object]) -> int:
    """By how many bytes the memory of a fork of this process grows, at most, over this work."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # forget how much there was at most
            before = _most()
            work()
            os.write(writer, str(_most() - before).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    os.waitpid(pid, 0)
    return int(said)  # nothing, where the work failed


def _most() -> int:
    """The most memory that this process had, in bytes."""
    said = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert said
    return int(said[1]) << 10
