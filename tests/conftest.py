import sys

import pytest
from hypothesis import settings

settings.register_profile("same every time", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("same every time")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Where a test module has imported torch, one thread: results don't hang on the machine, nor do tests compete."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
