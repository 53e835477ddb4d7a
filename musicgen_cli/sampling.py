"""From what a model expects to what it plays: one step, and a whole song."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from musicgen_cli.losses import BinaryCrossEntropy, KeyCrossEntropy, Loss, WordCrossEntropy
from musicgen_cli.models import SequenceModel, State, unroll
from musicgen_cli.score import KEYS
from musicgen_cli.vocabulary import SPECIALS

TEMPERATURE = 0.3  # of bits, chosen on validation songs: onsets as many as in the corpus, and no bar frozen
HONEST = 1.0  # of one choice: as the model expects
BISECTIONS = 9  # of eight units of log-odds: to within a sixtieth

Draw = Callable[[Tensor, Tensor], Tensor]  # logits (B, outputs), the step before (B, ...) -> step (B, ...)


def best(loss: Loss, logits: Tensor, threshold: float = 0.5) -> Tensor:
    """The likeliest steps, of logits (..., outputs); where bits answer, those with an output above the threshold."""
    if isinstance(loss, BinaryCrossEntropy):
        return (logits > math.log(threshold / (1 - threshold))).float()
    return loss.step(_known(loss, logits).argmax(-1), logits.shape[-1])


def drawer(
    loss: Loss,
    generators: Sequence[torch.Generator] = (),
    *,
    threshold: float = 0.5,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
) -> Draw:
    """How a step is drawn from the answer that a loss has taught, a generator for each song.

    Bits: toss a coin for each, fair at the threshold and surer the further off it is. The log-odds of a bit are those
    of its calibrated probability, less those at the threshold, over the temperature. An honest draw has temperature 1
    and the threshold at which the calibrated probability is one half.
    One choice: by its probability, to the power of 1 / temperature, among the `top_k` likeliest, and among the
    likeliest that together have `top_p` of it (Holtzman et al. 2020).
    At temperature 0 it is `best`. What could not be played after the step before it is never drawn.
    """
    if isinstance(loss, BinaryCrossEntropy):
        return _toss(loss, generators, threshold, temperature)
    return _pick(loss, generators, temperature, top_k, top_p)


def _toss(loss: BinaryCrossEntropy, generators: Sequence[torch.Generator], value: float, temperature: float) -> Draw:
    fair = loss.log_odds(torch.tensor(value, dtype=torch.float64).logit()).item()

    def draw(logits: Tensor, before: Tensor) -> Tensor:
        if temperature == 0:
            return playable(best(loss, logits, value), before)
        chance = ((loss.log_odds(logits.float()) - fair) / temperature).sigmoid()
        coins = [torch.rand(chance.shape[1:], generator=own, device=own.device) for own in generators]
        return playable((torch.stack(coins).to(chance.device) < chance).float(), before)

    return draw


def _pick(
    loss: KeyCrossEntropy | WordCrossEntropy,
    generators: Sequence[torch.Generator],
    temperature: float,
    top_k: int | None,
    top_p: float,
) -> Draw:
    def draw(logits: Tensor, before: Tensor) -> Tensor:
        scores = _known(loss, logits.float(), before)
        if temperature == 0:
            return loss.step(scores.argmax(-1), logits.shape[-1])
        order = scores.argsort(stable=True, dim=-1, descending=True)[:, :top_k]
        chance = (scores.gather(-1, order) / temperature).softmax(-1)
        chance = chance * (chance.cumsum(-1) - chance < top_p)  # the likeliest is always among them
        coins = torch.stack([torch.rand(1, generator=own, device=own.device) for own in generators]).to(chance.device)
        reached = chance.cumsum(-1)
        place = (reached <= coins * reached[:, -1:]).sum(-1, keepdim=True).clamp(max=chance.shape[-1] - 1)
        return loss.step(order.gather(-1, place)[:, 0], logits.shape[-1])

    return draw


def _known(loss: KeyCrossEntropy | WordCrossEntropy, logits: Tensor, before: Tensor | None = None) -> Tensor:
    """Log-probabilities of the choices that can be played after the step before, minus infinity of the others."""
    scores = loss.log_probabilities(logits)
    if isinstance(loss, WordCrossEntropy):
        scores[..., : len(SPECIALS)] = -math.inf
    elif before is not None and before.shape[-1] == 2 * KEYS:
        silent = before.view(-1, KEYS, 2).amax(2) == 0
        scores[:, 1:-1:2] = scores[:, 1:-1:2].masked_fill(silent, -math.inf)  # a continue with nothing to continue
    return scores


def playable(step: Tensor, before: Tensor) -> Tensor:
    """A step of bits (B, size) as it will sound after the step before it: one bit a key is playable as it is.

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
    model: SequenceModel,
    prime: Tensor,
    length: int,
    target: int,
    draw: Draw,
    state: State | None = None,
    lasting: Tensor | None = None,
) -> Tensor:
    """Go on from prime (B, S, ...) by `length` steps: bits uint8 (B, length, size), or ids int64 (B, N).

    After every `target` steps, the length it was taught to write, the model reads the last S steps again.
    state: begin in this state, not in the one that reading the prime leaves
    lasting: where steps are ids, how long each id lasts (V,): goes on until all songs last for `length` or longer
    """
    model.eval()
    recent, made = prime, list[Tensor]()
    lasted = torch.zeros(len(prime), dtype=torch.int64, device=prime.device)
    while (left := length - int(lasted.min())) > 0:
        _, new = unroll(
            model,
            recent[:, -1],
            state if state is not None else model.encode(recent),
            min(target, left) if lasting is None else target,  # so that no song hangs on how long others last
            lambda t, features, before: draw(model.head(features), before),
        )
        made.append(new.byte() if new.is_floating_point() else new)
        lasted += new.shape[1] if lasting is None else lasting[new].sum(1)
        recent, state = torch.cat([recent, new], 1)[:, -prime.shape[1] :], None
    return torch.cat(made, 1)


def usual_temperature(loss: Loss) -> float:
    return TEMPERATURE if isinstance(loss, BinaryCrossEntropy) else HONEST


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
        draw = drawer(loss, coins, threshold=value, temperature=temperature)
        made = generate(model, prime, length, target, draw)
        low, high = (middle, high) if made.float().mean() > density else (low, middle)
    return round(torch.tensor((low + high) / 2, dtype=torch.float64).sigmoid().item(), 4)


def random_state(state: State, generators: Sequence[torch.Generator]) -> State:
    """A state of the same shape drawn anew, hidden as tanh of normal numbers, cells normal; a generator each song."""

    def normal(like: Tensor) -> Tensor:
        drawn = [torch.randn(like.shape[1:], generator=own, device=own.device) for own in generators]
        return torch.stack(drawn).to(like)

    return [(normal(hidden).tanh(), normal(cell)) for hidden, cell in state]
