"""A `musicgen` in a fork of the test's own process: started in no time, watched, limited and killed like any other."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo

from musicgen_cli import checkpoint, evaluation, training  # noqa: F401  as above
from musicgen_cli.cli import main


class Child:
    """A running command; `said` is where its stderr goes."""

    def __init__(self, line: str, folder: Path, before: Callable[[], object] = lambda: None):
        self.said = folder / ".said"
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            torch.set_num_threads(1)
            for target, path in ((0, os.devnull), (1, os.devnull), (2, self.said)):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if target == 2 else os.O_RDWR), target)
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
        """Send a signal after so long, if it still runs: the exit code, and how long it took from there."""
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
        return self.said.read_text().splitlines()


def run(line: str, folder: Path, before: Callable[[], object] = lambda: None) -> tuple[int, list[str]]:
    """Exit code and the lines on stderr of a command line."""
    child = Child(line, folder, before)
    return child.wait(), child.lines()


def at_most(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes: a disk that is full there."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def growth(work: Callable[[], object]) -> int:
    """By how many bytes the memory of a fork of this process grows, at most, over this work."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            work()
            os.write(writer, str((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    os.wait()
    return int(said)
