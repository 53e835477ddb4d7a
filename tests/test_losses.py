import math

import pytest
import torch

from musicgen_cli.losses import SURE, BinaryCrossEntropy, Focal, KeyCrossEntropy, WordCrossEntropy
from musicgen_cli.vocabulary import SPECIALS, START, UNKNOWN

LOGITS = torch.tensor([[-3.0, -0.5, 0.2, 4.0]], dtype=torch.float64)
TARGET = torch.tensor([[0.0, 1.0, 0.0, 1.0]], dtype=torch.float64)


def test_cross_entropy_is_the_negative_log_of_what_came():
    p = LOGITS.sigmoid()[0].tolist()
    by_hand = -(math.log(1 - p[0]) + math.log(p[1]) + math.log(1 - p[2]) + math.log(p[3]))
    assert BinaryCrossEntropy()(LOGITS, TARGET).item() == pytest.approx(by_hand)


def test_focal_without_focus_is_half_of_cross_entropy():
    torch.testing.assert_close(2 * Focal(alpha=0.5, gamma=0)(LOGITS, TARGET), BinaryCrossEntropy()(LOGITS, TARGET))


def test_focal_by_the_references_formula():
    q = LOGITS.sigmoid()
    pt = q * TARGET + (1 - q) * (1 - TARGET)
    weight = 0.75 * TARGET + 0.25 * (1 - TARGET)
    torch.testing.assert_close(Focal()(LOGITS, TARGET), (-weight * (1 - pt) ** 2 * pt.log()).sum(-1))


def test_losses_are_means_per_step_and_not_sums_over_a_batch():  # DESIGN 8.8
    for loss in (BinaryCrossEntropy, Focal, KeyCrossEntropy):
        logits = LOGITS if loss().outputs(4) == 4 else torch.cat([LOGITS, LOGITS[:, :1]], 1)
        two = loss()(logits.expand(2, -1), TARGET.expand(2, 4))
        torch.testing.assert_close(two, loss()(logits, TARGET).expand(2))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal(), Focal(0.5, 3)])
def test_what_a_loss_teaches_is_calibrated_to_the_true_probability(loss):
    p = torch.tensor([0.02, 0.3, 0.9], dtype=torch.float64)[:, None]
    best = loss.logits(p.logit())
    away = torch.tensor([-4, -0.5, -1e-3, 0, 1e-3, 0.5, 4], dtype=torch.float64)
    logit = (best + away)[..., None].requires_grad_()
    expected = p * loss(logit, torch.ones_like(logit)) + (1 - p) * loss(logit, torch.zeros_like(logit))
    (slope,) = torch.autograd.grad(expected.sum(), logit)  # the weight of focal is not differentiated
    assert (slope[..., 0].sign() == away.sign()).where(away != 0, slope[..., 0].abs() < 1e-12).all()
    torch.testing.assert_close(loss.log_odds(best), p.logit())


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal()])
def test_logits_invert_log_odds(loss):
    torch.testing.assert_close(loss.logits(loss.log_odds(LOGITS)), LOGITS)


# -- one choice a step

KEYS = torch.tensor([[1.0, -2.0, 0.5, 0.0, -1.0]], dtype=torch.float64)  # four keys, then rest


def test_cross_entropy_spreads_over_the_keys_that_sound():  # DESIGN 8.4: the reference kept a chord's lowest key alone
    p = KEYS.softmax(-1)[0].tolist()
    chord = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    assert KeyCrossEntropy()(KEYS, chord).item() == pytest.approx(-(math.log(p[0]) + math.log(p[2])) / 2)


def test_rest_is_a_choice_of_its_own():
    p = KEYS.softmax(-1)[0].tolist()
    assert KeyCrossEntropy()(KEYS, torch.zeros(1, 4, dtype=torch.float64)).item() == pytest.approx(-math.log(p[4]))
    assert torch.equal(KeyCrossEntropy().step(torch.tensor([1, 4]), 5), torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]]))


def test_cross_entropy_is_over_the_choices_and_not_over_time():  # DESIGN 8.4: the reference took it over the time axis
    """A step's nats hang on its own logits alone, whatever stands before and after it."""
    generator = torch.Generator().manual_seed(0)
    keys, ids = torch.randn(2, 6, 5, generator=generator), torch.randint(2, 5, (2, 6), generator=generator)
    bits = torch.rand(2, 6, 4, generator=generator).round()
    for loss, target in ((KeyCrossEntropy(), bits), (WordCrossEntropy(0.1), ids)):
        changed = keys.clone()
        changed[:, 3] += torch.randn(5, generator=generator)
        same = loss(keys, target) == loss(changed, target)
        assert same[:, [0, 1, 2, 4, 5]].all()
        assert not same[:, 3].any()


def test_a_softmax_over_keys_is_read_as_the_probability_of_each():
    """Where two of four keys always sound, what cross-entropy learns is, read so, which keys they are how often."""
    chords = torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]], dtype=torch.float64)
    loss = KeyCrossEntropy(together=2.0)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    for _ in range(3000):
        (gradient,) = torch.autograd.grad(loss(logits.expand(4, 5), chords).mean(), logits)
        logits = (logits - gradient).detach().requires_grad_()
    chance = torch.tensor([SURE, 0.25, 0.5, 0.25], dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy(chance.expand(4, 4), chords, reduction="none").sum(-1)
    torch.testing.assert_close(loss.nats(logits.expand(4, 5), chords), expected, atol=0.02, rtol=0)


WORDS = torch.tensor([[3.0, 5.0, 1.0, 0.0, -1.0]], dtype=torch.float64)  # two specials, three words


def test_a_word_costs_the_log_of_its_share_among_words():
    p = WORDS[0, len(SPECIALS) :].softmax(-1).tolist()
    for word, chance in enumerate(p, len(SPECIALS)):
        nats = WordCrossEntropy(0.25)(WORDS, torch.tensor([word])).item()
        assert nats == pytest.approx(-math.log(0.75 * chance))


def test_an_unknown_word_has_the_probability_of_new_words_whatever_the_logits():
    loss = WordCrossEntropy(0.25)
    for logits in (WORDS, -WORDS):
        assert loss(logits, torch.tensor([UNKNOWN])).item() == pytest.approx(-math.log(0.25))
    logits = WORDS.clone().requires_grad_()
    loss(logits, torch.tensor([UNKNOWN])).sum().backward()
    assert logits.grad is None or not logits.grad.any()  # nothing to learn from


def test_words_and_the_unknown_have_all_the_probability():
    assert WordCrossEntropy(0.1).log_probabilities(WORDS).exp().sum().item() == pytest.approx(1)
    assert WordCrossEntropy(0.1).log_probabilities(WORDS)[0, START] == -math.inf


def test_padding_costs_a_finite_number_that_can_be_left_out():
    nats = WordCrossEntropy(0.1)(WORDS, torch.tensor([START]))
    assert torch.isfinite(nats * 0).all()


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal(), KeyCrossEntropy(2.0), WordCrossEntropy(0.1)])
def test_a_model_begins_with_what_is_known_without_training(loss):
    rates = torch.tensor([1e-9, 1e-9, 0.5, 0.3, 0.2])
    logits = loss.begin(rates)
    assert logits.shape == (loss.outputs(5),)
    if isinstance(loss, BinaryCrossEntropy):
        torch.testing.assert_close(loss.log_odds(logits).sigmoid(), rates.clamp(1e-5), rtol=1e-3, atol=0)
    else:
        chance = loss.log_probabilities(logits).exp()[2:5]
        torch.testing.assert_close(chance / chance.sum(), rates[2:])
