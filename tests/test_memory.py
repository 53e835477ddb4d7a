import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli.hearing import Hearing
from musicgen_cli.memory import LENGTHS


@given(st.lists(st.integers(0, 2), max_size=60))
def test_memory_is_the_latest_earlier_place_where_most_steps_were_the_same(music):
    steps = np.eye(3, dtype=np.uint8)[music]
    told = Hearing(3, memory=True).recall(steps)
    for t in range(len(music)):
        heard = music[: t + 1]
        expected = np.zeros(3 + len(LENGTHS), np.uint8)
        for i, length in enumerate(LENGTHS):
            latest = heard[-length:]
            places = [p for p in range(length, len(heard)) if heard[p - length : p] == latest]
            if len(latest) == length and places:
                expected[heard[places[-1]]] = expected[3 + i] = 1
                break
        assert (told[t] == expected).all()


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(0, 59))
def test_memory_knows_nothing_of_what_comes(music, at):
    steps = np.eye(2, dtype=np.uint8)[music]
    recall = Hearing(2, memory=True).recall
    assert recall(steps[:at]).tolist() == recall(steps)[:at].tolist()
