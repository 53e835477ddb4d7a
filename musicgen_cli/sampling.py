"""From what a model expects to what it plays: one step, and a whole song."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from musicgen_cli.losses import Loss
from musicgen_cli.models import SequenceModel, State, unroll
from musicgen_cli.score import KEYS

TEMPERATURE = 0.3  # chosen on validation songs: onsets as many as in the corpus, and no bar frozen
BISECTIONS = 9  # of eight units of log-odds: to within a sixtieth

Draw = Callable[[Tensor], Tensor]  # logits (..., size) -> bits (..., size)


def threshold(value: float) -> Draw:
    """Set the bits whose output, the sigmoid of its logit, is above a threshold; what the reference did."""
    return lambda logits: (logits > math.log(value / (1 - value))).float()


def toss(loss: Loss, value: float, temperature: float, generators: Sequence[torch.Generator]) -> Draw:
    """Toss a coin for each bit, fair at the threshold and surer the further off it is; a generator for each song.

    The log-odds of a bit are those of its calibrated probability, less those at the threshold, over the temperature.
    At temperature 0 that is the threshold alone; an honest draw from the model's own probabilities has temperature 1
    and the threshold at which the calibrated probability is one half.
    """
    if temperature == 0:
        return threshold(value)
    fair = loss.log_odds(torch.tensor(value, dtype=torch.float64).logit()).item()

    def draw(logits: Tensor) -> Tensor:
        chance = ((loss.log_odds(logits.float()) - fair) / temperature).sigmoid()
        coins = [torch.rand(chance.shape[1:], generator=own, device=own.device) for own in generators]
        return (torch.stack(coins).to(chance.device) < chance).float()

    return draw


def playable(step: Tensor, before: Tensor) -> Tensor:
    """A step (B, size) as it will sound after the step before it: one bit a key is playable as it is.

    Of two bits, a start wins over a continue, and a continue with nothing to continue is dropped: as the start that
    `roll` would read there it came a step late.
    """
    if step.shape[-1] == KEYS:
        return step
    starts, continues = step.view(-1, KEYS, 2).unbind(2)
    sounded = before.view(-1, KEYS, 2).amax(2)
    return torch.stack([starts, continues * (1 - starts) * sounded], 2).flatten(1)


@torch.inference_mode()
def generate(
    model: SequenceModel, prime: Tensor, length: int, target: int, draw: Draw, state: State | None = None
) -> Tensor:
    """Go on from prime (B, S, size) by `length` steps, uint8 (B, length, size).

    After every `target` steps, the length it was taught to write, the model reads the last S steps again.
    state: begin in this state, not in the one that reading the prime leaves
    """
    model.eval()
    recent, made = prime, []
    for begin in range(0, length, target):
        _, new = unroll(
            model,
            recent[:, -1],
            state if state is not None else model.encode(recent),
            min(target, length - begin),
            lambda t, features, before: playable(draw(model.head(features)), before),
        )
        made.append(new.byte())
        recent, state = torch.cat([recent, new], 1)[:, -prime.shape[1] :], None
    return torch.cat(made, 1)


def fit_threshold(
    model: SequenceModel, loss: Loss, prime: Tensor, length: int, target: int, density: float, temperature: float
) -> float:
    """The threshold at which a model, running free after prime (B, S, size), sets bits as densely as the corpus does.

    At one half it need not: what is lost at a step is lost for the steps after it, and losses differ in their outputs.
    """
    low, high = -4.0, 4.0  # log-odds; the higher, the fewer bits
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        value = torch.tensor(middle, dtype=torch.float64).sigmoid().item()
        coins = [torch.Generator(prime.device).manual_seed(i) for i in range(len(prime))]
        made = generate(model, prime, length, target, toss(loss, value, temperature, coins))
        low, high = (middle, high) if made.float().mean() > density else (low, middle)
    return round(torch.tensor((low + high) / 2, dtype=torch.float64).sigmoid().item(), 4)


def random_state(state: State, generators: Sequence[torch.Generator]) -> State:
    """A state of the same shape drawn anew, hidden as tanh of normal numbers, cells normal; a generator each song."""

    def normal(like: Tensor) -> Tensor:
        drawn = [torch.randn(like.shape[1:], generator=own, device=own.device) for own in generators]
        return torch.stack(drawn).to(like)

    return [(normal(hidden).tanh(), normal(cell)) for hidden, cell in state]
