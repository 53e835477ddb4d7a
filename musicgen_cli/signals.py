"""Signals that end a command, held back where they would leave something half done."""

import contextlib
import signal
import threading
from collections.abc import Iterator

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals that end a command wait for the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # which alone is ever interrupted
        yield
        return
    came = list[int]()
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for got in came:
            signal.raise_signal(got)
