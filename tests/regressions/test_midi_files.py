import pytest

from tests.regressions.midi_files import BROKE
from tests.torture.mutants import verdict


@pytest.mark.parametrize(("data", "wanted"), BROKE.values(), ids=BROKE)
def test_what_once_broke_something_does_so_no_more(data, wanted):
    assert verdict(bytes.fromhex(data)).startswith(wanted)
