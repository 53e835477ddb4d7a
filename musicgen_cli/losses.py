"""How far logits are from target bits, in nats per step, and which probabilities the logits stand for."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Every bit is a yes or no of its own."""

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Nats per step (...), summed over the bits of logits and target (..., size)."""
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)

    def log_odds(self, logits: Tensor) -> Tensor:
        """The log-odds of the probabilities that the loss makes a model learn."""
        return logits

    def logits(self, log_odds: Tensor) -> Tensor:
        """The inverse of `log_odds`."""
        return log_odds


@dataclass(frozen=True)
class Focal:
    """Binary cross-entropy that cares less for the many bits that are right already (Lin et al. 2017).

    The weight (1 - pt)^gamma is not differentiated, as in the reference. So the loss is least not at the true
    probability p but where (gamma + 1) logit(q) - logit(alpha) = logit(p), for q the sigmoid of the output.
    """

    alpha: float = 0.75  # weight of a set bit; 1 - alpha of a clear one
    gamma: float = 2.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        q = logits.detach().sigmoid()
        wrong = q + target - 2 * q * target  # 1 - pt
        weight = (1 - self.alpha + (2 * self.alpha - 1) * target) * wrong**self.gamma
        return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none").sum(-1)

    def log_odds(self, logits: Tensor) -> Tensor:
        return (self.gamma + 1) * logits - self._bias

    def logits(self, log_odds: Tensor) -> Tensor:
        return (log_odds + self._bias) / (self.gamma + 1)

    @property
    def _bias(self) -> float:
        return math.log(self.alpha / (1 - self.alpha))


Loss = BinaryCrossEntropy | Focal
LOSSES: dict[str, type[Loss]] = {"bce": BinaryCrossEntropy, "focal": Focal}
