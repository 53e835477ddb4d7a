import gc
import os
import sys

import pytest
from hypothesis import settings

from tests import tunes

SAME = settings(derandomize=True, deadline=None, database=None)  # every time
settings.register_profile("short", SAME, max_examples=25)
settings.register_profile("slow", SAME, max_examples=500)
settings.load_profile("short")  # unless --hypothesis-profile names the other


def pytest_configure() -> None:
    """One server of forks for all processes of xdist: the first of pytest, which starts them."""
    if tunes.FORKS not in os.environ:
        tunes.serve_forks()


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported stays: nobody has to look again and again whether it can go


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Where a test module has imported torch, one thread: results don't hang on the machine, nor do tests compete."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
