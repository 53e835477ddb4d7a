import math

import pytest
import torch

from musicgen_cli.losses import LOSSES, BinaryCrossEntropy, Focal

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
    for loss in LOSSES["roll"].values():
        logits = LOGITS if loss().outputs(4) == 4 else torch.cat([LOGITS, LOGITS[:, :1]], 1)
        two = loss()(logits.expand(2, -1), TARGET.expand(2, 4))
        torch.testing.assert_close(two, loss()(logits, TARGET).expand(2))


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal(), Focal(0.5, 3)])
def test_what_a_loss_teaches_is_calibrated_to_the_true_probability(loss, p):
    logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for _ in range(4000):  # gradient descent on the expected loss; the weight of focal is not differentiated
        expected = p * loss(logit, torch.ones(1)) + (1 - p) * loss(logit, torch.zeros(1))
        (gradient,) = torch.autograd.grad(expected, logit)
        logit = (logit - 4 * gradient).detach().requires_grad_()
    assert loss.log_odds(logit).sigmoid().item() == pytest.approx(p, rel=0.01)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal()])
def test_logits_invert_log_odds(loss):
    torch.testing.assert_close(loss.logits(loss.log_odds(LOGITS)), LOGITS)
