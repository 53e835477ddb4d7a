"""What nothing may break. `make test` runs it in short, `make torture` at length (RESULTS.md)."""

import os

LONG = bool(os.environ.get("TORTURE"))


def times(short: int, long: int) -> int:
    """How often to try, in short or at length."""
    return long if LONG else short
