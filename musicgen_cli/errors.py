"""The one exception that the command line turns into a sentence instead of a traceback."""


class MusicgenError(Exception):
    """Something the user can put right; the message says what is wrong and the way out."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch by a RuntimeError, found no more memory, on the CPU or on a GPU."""
    said = str(error)
    return isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said
