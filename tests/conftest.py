import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import forks

settings.register_profile("same every time", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("same every time")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Where a test module has imported torch, one thread: results don't hang on the machine, nor do tests compete."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The beginning of the command line of a `musicgen` that forks: see forks.py."""
    socket = tmp_path_factory.mktemp("s") / "s"
    line = [sys.executable, forks.__file__, str(socket)]
    settings = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=settings) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield f"{sys.executable} -S -E {forks.__file__} {socket}"
        server.terminate()
