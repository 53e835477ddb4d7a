import os
import sys

import pytest
from hypothesis import settings

from tests import tunes

settings.register_profile("same every time", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("same every time")


def pytest_configure() -> None:
    """One server of forks for all processes of xdist: the first of pytest, which starts them."""
    if tunes.FORKS not in os.environ:
        tunes.serve_forks()


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Where a test module has imported torch, one thread: results don't hang on the machine, nor do tests compete."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
