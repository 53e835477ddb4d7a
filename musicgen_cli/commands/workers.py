"""Work shared out to processes; one that dies costs the item it was at, not the run."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import forkserver
from typing import TypeVar

from musicgen_cli.errors import MusicgenError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4  # items for each process that are worked on before their turn


def results(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[tuple[T, Callable[[], R]]]:
    """Each item, in order, with what gives the result of its work, or raises its error; `jobs` processes are at it.

    What a dead process leaves undone is done again, each item in a process of its own: whose dies too is at fault.
    """
    if jobs == 1:
        for item in items:
            yield item, partial(work, item)
        return
    left, ahead = iter(items), deque[tuple[T, "Future[R]"]]()
    pool = _pool(jobs)
    try:
        while True:
            for item in islice(left, AHEAD * jobs - len(ahead)):
                try:
                    future = pool.submit(work, item)
                except BrokenExecutor:
                    pool.shutdown()
                    pool = _pool(jobs)
                    future = pool.submit(work, item)
                ahead.append((item, future))
            if not ahead:
                return
            item, future = ahead.popleft()
            broken = isinstance(future.exception(), BrokenExecutor)
            yield item, partial(_alone, work, item) if broken else future.result
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(work: Callable[[T], R], item: T) -> R:
    with _pool(1) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenExecutor:
            raise MusicgenError(f"{item}: the process that read it died; report it as a bug, with the file") from None


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")  # for a process with threads had better not fork itself
    context.set_forkserver_preload(["__main__", "musicgen_cli.commands.inputs"])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # which is for this process alone
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ProcessPoolExecutor(jobs, context, _begin)


def _begin() -> None:
    """A worker leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
