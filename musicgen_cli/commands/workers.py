"""Work shared out to processes, here or on other machines; one that dies costs the item it was at, not the run."""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import forkserver
from typing import TypeVar

from musicgen_cli.errors import MusicgenError

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[list[T]], list[R | MusicgenError]]
AHEAD = 4  # batches for each process that are worked on before their turn
PATIENCE = 10  # seconds in which a scheduler has to answer


@dataclass(frozen=True)
class Crew:
    """So many processes, what begins with a number of them, and what stands for the result where one died."""

    jobs: int
    start: Callable[[int], Executor]
    died: type[Exception] = BrokenExecutor


def results(work: Work[T, R], batches: Iterable[list[T]], crew: Crew | None) -> Iterator[tuple[T, R | MusicgenError]]:
    """Each item of the batches, in order, and its result or what was wrong with it; without a crew all is done here.

    What a dead process leaves undone is done again, an item at a time: one whose process dies is at fault.
    """
    if crew is None:
        for batch in batches:
            yield from zip(batch, work(batch))
        return
    left, ahead = iter(batches), deque[tuple[list[T], "Future[list[R | MusicgenError]]"]]()
    pool = crew.start(crew.jobs)
    try:
        while True:
            for batch in islice(left, AHEAD * crew.jobs - len(ahead)):
                try:
                    future = pool.submit(work, batch)
                except BrokenExecutor:
                    pool.shutdown()
                    pool = crew.start(crew.jobs)
                    future = pool.submit(work, batch)
                ahead.append((batch, future))
            if not ahead:
                return
            batch, future = ahead.popleft()
            died = isinstance(future.exception(), crew.died)
            yield from zip(batch, _alone(work, batch, crew) if died else future.result())
    finally:
        for _, future in ahead:
            future.cancel()
        pool.shutdown(wait=not ahead)


def _alone(work: Work[T, R], batch: list[T], crew: Crew) -> list[R | MusicgenError]:
    done = list[R | MusicgenError]()
    while len(done) < len(batch):
        with crew.start(1) as pool, contextlib.suppress(crew.died):
            for item in batch[len(done) :]:
                done += pool.submit(work, [item]).result()
        if len(done) < len(batch):
            why = "the process that read it died; report it as a bug, with the file"
            done.append(MusicgenError(f"{batch[len(done)]}: {why}"))
    return done


@contextlib.contextmanager
def dask(address: str) -> Iterator[Crew]:
    """The workers of the dask scheduler at `address`, such as tcp://host:8786.

    Where one dies, dask has another do its work, and gives up on what has killed several.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise MusicgenError("--dask needs dask: pip install 'musicgen-cli[dask]'") from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it tells of deaths at length
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MusicgenError(f"{address}: no dask scheduler answers there ({error})") from None
    with client:
        try:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise MusicgenError(f"{address}: this dask scheduler has no workers; start some") from None
            jobs = sum(client.nthreads().values())
            yield Crew(max(jobs, 1), lambda _: client.get_executor(pure=False), KilledWorker)
        except CancelledError:
            raise MusicgenError(f"{address}: the dask scheduler has gone") from None


def processes(jobs: int) -> Crew | None:
    """So many processes of this machine; one is the one that asks."""
    return Crew(jobs, _pool) if jobs > 1 else None


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
