"""The one exception that the command line turns into a sentence instead of a traceback."""

from typing import TypeVar

T = TypeVar("T")
NO_MEMORY = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


class MusicgenError(Exception):
    """Something the user can put right; the message says what is wrong and the way out."""


def or_raise(result: "T | MusicgenError") -> T:
    """What came of one of many; raises what was wrong with it."""
    if isinstance(result, MusicgenError):
        raise result
    return result


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch by a RuntimeError, found no more memory, on the CPU or on a GPU."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY)
