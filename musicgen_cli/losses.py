"""How far logits are from the steps that came, in nats per step, and which probabilities the logits stand for.

A loss is also the way a model answers: by bits, each for itself (`bce`, `focal`), or by one choice (`cross-entropy`).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from musicgen_cli.models import Chords
from musicgen_cli.vocabulary import SPECIALS, UNKNOWN

SURE = 0.99  # no key is expected with a higher probability than this, where keys share one softmax
RESTING = 0.02  # share of silent steps that a model begins with
IMPOSSIBLE = 1e4  # nats of padding, which is not counted: infinity times 0 would be no number


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Every bit is a yes or no of its own."""

    exact = True  # whether what training lessens is the negative log-likelihood

    def outputs(self, size: int) -> int:
        """Logits of a step of this size."""
        return size

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """What training lessens: nats per step (...), of logits (..., outputs) and target steps."""
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)

    def nats(self, logits: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihood (...) of the target under the probabilities that the logits stand for."""
        return F.binary_cross_entropy_with_logits(self.log_odds(logits), target, reduction="none").sum(-1)

    def log_odds(self, logits: Tensor) -> Tensor:
        """The log-odds of the probabilities that the loss makes a model learn."""
        return logits

    def logits(self, log_odds: Tensor) -> Tensor:
        """The inverse of `log_odds`."""
        return log_odds

    def begin(self, rates: Tensor) -> Tensor:
        """The logits (outputs) of a model that knows only how often each bit is set."""
        return self.logits(rates.clamp(1e-5, 1 - 1e-5).logit())


@dataclass(frozen=True)
class Focal(BinaryCrossEntropy):
    """Binary cross-entropy that cares less for the many bits that are right already (Lin et al. 2017).

    The weight (1 - pt)^gamma is not differentiated, as in the reference. So the loss is least not at the true
    probability p but where (gamma + 1) logit(q) - logit(alpha) = logit(p), for q the sigmoid of the output.
    """

    exact = False
    alpha: float = 0.75  # weight of a set bit; 1 - alpha of a clear one
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and self.gamma >= 0):
            raise ValueError("alpha is a share between 0 and 1, gamma 0 or more")

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


@dataclass(frozen=True)
class KeyCrossEntropy:
    """One key a step, by design: a softmax over the bits of a step and, as its last choice, rest.

    The target spreads over the bits that are set. Such a softmax says of a step with several notes which one of them
    a fair draw would take; times `together`, how many bits are set in a step that is not silent, it is read as the
    probability of each bit. That reading is what `nats` scores, so that these models stand beside the others.
    """

    exact = False
    together: float = 1.0

    def __post_init__(self) -> None:
        if not self.together > 0:
            raise ValueError("how many keys sound together is more than none")

    def outputs(self, size: int) -> int:
        return size + 1

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        count = target.sum(-1, keepdim=True)
        shares = torch.cat([target / count.clamp(min=1), (count == 0).to(target)], -1)
        return -(shares * self.log_probabilities(logits)).sum(-1)

    def nats(self, logits: Tensor, target: Tensor) -> Tensor:
        chance = (self.together * self.log_probabilities(logits)[..., :-1].exp()).clamp(1e-6, SURE)
        return F.binary_cross_entropy(chance, target, reduction="none").sum(-1)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Of each choice, (..., outputs)."""
        return logits.log_softmax(-1)

    def begin(self, rates: Tensor) -> Tensor:
        shares = rates.clamp(1e-5) / rates.clamp(1e-5).sum()
        return torch.cat([shares * (1 - RESTING), torch.tensor([RESTING])]).log()

    def step(self, choice: Tensor, outputs: int) -> Tensor:
        """The steps (..., size) that choices (...) among `outputs` stand for."""
        return F.one_hot(choice, outputs)[..., :-1].float()


@dataclass(frozen=True)
class WordCrossEntropy:
    """One word a step: a softmax over the words that have an id; specials are never chosen.

    unseen: how often a word has no id. It gets this probability whatever the model says: a word that training has
    never met is nothing that a softmax could learn.
    """

    exact = True
    unseen: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.unseen < 1:
            raise ValueError("a probability of 0 or 1 would make words impossible")

    def outputs(self, size: int) -> int:
        return size

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        return -self.log_probabilities(logits).gather(-1, target[..., None])[..., 0].clamp(min=-IMPOSSIBLE)

    def nats(self, logits: Tensor, target: Tensor) -> Tensor:
        return self(logits, target)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Of each id, (..., outputs)."""
        known = logits[..., len(SPECIALS) :].log_softmax(-1) + math.log1p(-self.unseen)
        specials = known.new_full((*known.shape[:-1], len(SPECIALS)), -math.inf)
        specials[..., UNKNOWN] = math.log(self.unseen)
        return torch.cat([specials, known], -1)

    def begin(self, rates: Tensor) -> Tensor:
        return rates.clamp(1e-9).log()

    def step(self, choice: Tensor, outputs: int) -> Tensor:
        return choice


@dataclass(frozen=True)
class Chord:
    """The exact likelihood of whole chords, as a ChordHead spells them."""

    exact = True

    def outputs(self, size: int) -> int:
        return size + 1

    def __call__(self, answer: Chords, target: Tensor) -> Tensor:
        return answer.nats(target)

    def nats(self, answer: Chords, target: Tensor) -> Tensor:
        return answer.nats(target)

    def begin(self, rates: Tensor) -> Tensor:
        return torch.cat([rates.clamp(1e-5).log(), torch.zeros(1)])


Loss = BinaryCrossEntropy | Focal | KeyCrossEntropy | WordCrossEntropy | Chord
LOSSES: dict[str, dict[str, type[Loss]]] = {  # by representation, then by name
    "roll": {"cross-entropy": KeyCrossEntropy, "bce": BinaryCrossEntropy, "focal": Focal, "chord": Chord},
    "words": {"cross-entropy": WordCrossEntropy},
}
