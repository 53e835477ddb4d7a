import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli.metrics import Counts, count
from tests.strategies import drawn

bits = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)


@given(bits)
def test_counts_are_those_of_a_plain_loop(pairs):
    predicted, actual = [a for a, _ in pairs], [b for _, b in pairs]
    hits = sum(a and b for a, b in pairs)
    assert count(predicted, actual) == Counts(hits, sum(predicted), sum(actual), len(pairs))


@given(bits.filter(lambda pairs: any(a for a, _ in pairs) and any(b for _, b in pairs)))
def test_rates_are_their_textbook_formulas(pairs):
    counts = count([a for a, _ in pairs], [b for _, b in pairs])
    true, false = sum(a and b for a, b in pairs), sum(a and not b for a, b in pairs)
    missed, silent = sum(b and not a for a, b in pairs), sum(not a and not b for a, b in pairs)
    assert counts.precision == true / (true + false)
    assert counts.recall == true / (true + missed)
    assert counts.f1 == pytest.approx(true / (true + (false + missed) / 2))
    assert counts.accuracy == pytest.approx((true + silent) / len(pairs))
    assert counts.density == (true + false) / len(pairs)


@given(bits, bits)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(first, second):
    def counted(pairs):
        return count([a for a, _ in pairs], [b for _, b in pairs])

    assert counted(first) + counted(second) == counted(first + second)
    assert sum([counted(first), counted(second)], Counts()) == counted(first + second)


@pytest.mark.parametrize("rate", ["recall", "precision", "f1", "accuracy", "density"])
def test_nothing_counted_is_a_rate_of_zero(rate):
    assert getattr(Counts(), rate) == 0


def test_nothing_predicted_and_nothing_there_divides_by_no_zero():
    silence = count(np.zeros((4, 88)), np.zeros((4, 88)))
    assert (silence.recall, silence.precision, silence.f1, silence.accuracy) == (0, 0, 0, 1)


def test_a_perfect_prediction_scores_one():
    tune = drawn("G4 #-#-\nC4 #---")
    counts = count(tune, tune)
    assert (counts.recall, counts.precision, counts.f1, counts.accuracy) == (1, 1, 1, 1)


def test_bits_may_be_numbers():
    assert count(np.array([1, 0, 1], np.uint8), np.array([1.0, 1.0, 0.0])) == Counts(1, 2, 2, 3)


# --- DESIGN 8.6: what the reference got wrong ---


def test_silence_has_high_accuracy_and_no_recall():  # DESIGN 8.6
    chorale = drawn("G4 #-#-#-#-\nE4 #---#---\nC4 #---#-#-\nC3 #-#-#-#-")
    silence = count(np.zeros_like(chorale), chorale)
    assert silence.accuracy == pytest.approx(1 - 4 / 176)  # four voices out of 88 keys of two bits
    assert (silence.recall, silence.precision, silence.f1) == (0, 0, 0)
