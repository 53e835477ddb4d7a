"""From what a model expects to what it plays: one step, and a whole song."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from musicgen_cli.hearing import Listener
from musicgen_cli.losses import BinaryCrossEntropy, Chord, KeyCrossEntropy, Loss, WordCrossEntropy
from musicgen_cli.models import Answer, Chords, Given, SequenceModel, State
from musicgen_cli.models.chord import Pick, sounding
from musicgen_cli.particles import Particles
from musicgen_cli.score import KEYS
from musicgen_cli.temperature import HONEST
from musicgen_cli.vocabulary import SPECIALS

ASKED = 16  # steps after which a GPU is asked how many bits are set: it waits for us
BISECTIONS = 9  # of eight units of log-odds: to within a sixtieth

# An answer for (B,) songs, the step before (B, ...), and what is given -> step (B, ...), and how likely in it what is
# given was, log (B,).
Draw = Callable[..., tuple[Tensor, Tensor]]


def best(loss: Loss, logits: Answer, threshold: float = 0.5) -> Tensor:
    """The likeliest steps (..., size) or ids of an answer for (...); bits are those with an output above the threshold.

    Of a chord the likeliest note, given those above it, one after the other.
    """
    if isinstance(logits, Chords):
        return logits.flat().draw(likeliest)[0].view(*logits.hidden.shape[:-1], -1)
    if isinstance(loss, BinaryCrossEntropy):
        over: Tensor = logits > math.log(threshold / (1 - threshold))
        return over.float()
    assert not isinstance(loss, Chord)
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
    likeliest that together have `top_p` of it (Holtzman et al. 2020). A chord is spelled by such choices, but of them
    the temperature sharpens only which note begins.
    At temperature 0 it is `best`. What could not be played after the step before it is never drawn.
    How likely what is given was is said of the whole choice, before `top_k` and `top_p` cut it.
    """
    if isinstance(loss, BinaryCrossEntropy):

        def coins(odds: Tensor) -> Tensor:
            return torch.stack([torch.rand(odds.shape[1:], generator=own, device=own.device) for own in generators])

        return _toss(loss, coins, threshold, temperature)
    if isinstance(loss, Chord):
        pick = picker(generators, HONEST if temperature else 0, top_k, top_p)
        return lambda answer, before, given=None: answer.draw(pick, given, temperature or HONEST)
    return _choose(loss, picker(generators, temperature, top_k, top_p))


def _toss(loss: BinaryCrossEntropy, coins: Callable[[Tensor], Tensor], value: float, temperature: float) -> Draw:
    """coins: as many numbers from 0 up to 1 as there are log-odds (B, size)."""
    fair = loss.log_odds(torch.tensor(value, dtype=torch.float64).logit()).item()

    def draw(logits: Answer, before: Tensor, given: Given | None = None) -> tuple[Tensor, Tensor]:
        likely = torch.zeros(len(logits), device=logits.device)
        if temperature == 0:
            step = best(loss, logits, value)
        else:
            odds = (loss.log_odds(logits.float()) - fair) / temperature
            step = (coins(odds).to(odds.device) < odds.sigmoid()).float()
        if given:
            step = torch.where(given.must, 1.0, step * given.may)
        step = playable(step, before)
        if given and temperature:
            clear = _has_to_be_clear(given, step, before)
            likely = (F.logsigmoid(odds) * given.must + F.logsigmoid(-odds) * clear).sum(-1)
        return step, likely

    return draw


def _has_to_be_clear(given: Given, step: Tensor, before: Tensor) -> Tensor:
    """Which bits, bool (B, size), had to come up clear for what is given: not those that would not have been played."""
    clear = ~(given.must | given.may).expand(len(step), -1)
    if step.shape[-1] == KEYS:
        return clear
    starts, continues = clear.view(-1, KEYS, 2).unbind(2)
    would_sound = sounding(before) & (step.view(-1, KEYS, 2)[..., 0] == 0)
    return torch.stack([starts, continues & would_sound], 2).flatten(1)


def likeliest(scores: Tensor, songs: Tensor) -> Tensor:
    """The likeliest choice (A,) of log-probabilities (A, C)."""
    return scores.argmax(-1)


def picker(
    generators: Sequence[torch.Generator], temperature: float, top_k: int | None = None, top_p: float = 1.0
) -> Pick:
    """How a choice (A,) is drawn from log-probabilities (A, C) of some songs (A,), a generator for each song."""
    if temperature == 0:
        return likeliest

    def pick(scores: Tensor, songs: Tensor) -> Tensor:
        own = [generators[song] for song in songs.tolist()]
        order = scores.argsort(stable=True, dim=-1, descending=True)[:, :top_k]
        chance = (scores.gather(-1, order) / temperature).softmax(-1)
        chance = chance * (chance.cumsum(-1) - chance < top_p)  # the likeliest is always among them
        coins = torch.stack([torch.rand(1, generator=each, device=each.device) for each in own]).to(chance.device)
        reached = chance.cumsum(-1)
        place = (reached <= coins * reached[:, -1:]).sum(-1, keepdim=True).clamp(max=chance.shape[-1] - 1)
        return order.gather(-1, place)[:, 0]

    return pick


def _choose(loss: KeyCrossEntropy | WordCrossEntropy, pick: Pick) -> Draw:
    def draw(logits: Answer, before: Tensor, given: Given | None = None) -> tuple[Tensor, Tensor]:
        assert not given  # one choice cannot hold given notes and others
        scores = _known(loss, logits.float(), before)
        step = loss.step(pick(scores, torch.arange(len(scores))), logits.shape[-1])
        return step, torch.zeros(len(step), device=step.device)

    return draw


def _known(loss: KeyCrossEntropy | WordCrossEntropy, logits: Tensor, before: Tensor | None = None) -> Tensor:
    """Log-probabilities of the choices that can be played after the step before, minus infinity of the others."""
    scores = loss.log_probabilities(logits)
    if isinstance(loss, WordCrossEntropy):
        scores[..., : len(SPECIALS)] = -math.inf
    elif before is not None and before.shape[-1] == 2 * KEYS:
        nothing = ~sounding(before)  # to continue
        scores[:, 1:-1:2] = scores[:, 1:-1:2].masked_fill(nothing, -math.inf)
    return scores


def playable(step: Tensor, before: Tensor) -> Tensor:
    """A step of bits (B, size) as it will sound after the step before it: one bit a key is playable as it is.

    Of two bits, a start wins over a continue, and a continue with nothing to continue is dropped: as the start that
    `roll` would read there it came a step late.
    """
    if step.shape[-1] == KEYS:
        return step
    starts, continues = step.view(-1, KEYS, 2).unbind(2)
    return torch.stack([starts, continues * (1 - starts) * sounding(before)], 2).flatten(1)


@torch.inference_mode()
def generate(
    model: SequenceModel,
    prime: Tensor,
    length: int,
    source: int,
    target: int,
    draw: Draw,
    state: State | None = None,
    lasting: Tensor | None = None,
    given: Given | None = None,
    particles: Particles | None = None,
) -> Tensor:
    """Go on from prime (B, S, ...) by `length` steps: bits uint8 (B, length, size), or ids int64 (B, N).

    After every `target` steps, the length it was taught to write, the model reads the last `source` steps again; where
    `source` is 0 it has read the prime from its beginning and never has to.
    state: begin in this state, not in the one that reading the prime leaves
    lasting: where steps are ids, how long each id lasts (V,): goes on until all songs last for `length` or longer
    given: the notes that are set already, (B, length, size)
    particles: the songs are tries, and of each only one is returned
    """
    model.eval()
    hearing, listener = model.hearing, Listener(model.hearing, len(prime))
    recent = before_the_beginning(model, prime, source)
    if prime.shape[1]:
        heard = torch.stack([listener.hear(step) for step in prime.unbind(1)], 1)
        recent = torch.cat([recent, heard], 1)[:, -(source or 1 + prime.shape[1]) :]
    cells = model.cells()
    if state is None:
        state = model.encode(recent if source else recent[:, :1])
    if not source:  # as in training: all but the first step are read by what writes
        for step in recent[:, :-1].unbind(1):
            _, state = model.advance(step, state, cells=cells)
    step, made = recent[:, -1], list[Tensor]()
    lasted = torch.zeros(len(prime), dtype=torch.int64, device=prime.device)
    while (len(made) if lasting is None else int(lasted.min())) < length:
        if source and made and len(made) % target == 0:
            recent = torch.cat([recent, torch.stack(made[-target:], 1)], 1)[:, -source:]
            state = model.encode(recent)
        features, state = model.advance(step, state, cells=cells)
        new, likely = draw(model.head(features), hearing.bits(step), given and given.at(len(made)))
        step = listener.hear(new)
        made.append(step)
        if lasting is not None:
            lasted += lasting[step]
        if particles and (rows := particles.resample(likely)) is not None:
            listener.take(rows)
            step, recent, made = step[rows], recent[rows], [past[rows] for past in made]
            state = [(hidden[rows], cell[rows]) for hidden, cell in state]
    whole = hearing.bits(torch.stack(made, 1))
    whole = whole[particles.choose()] if particles else whole
    return whole.byte() if whole.is_floating_point() else whole


def before_the_beginning(model: SequenceModel, prime: Tensor, source: int) -> Tensor:
    """The steps that stand before a song (B, S, ...), S at least 1, as the model hears them."""
    if model.hearing.size:
        return model.hearing.silence(len(prime), source or 1, device=prime.device)
    return prime.new_zeros(len(prime), source)


class TooDense(Exception):
    """More bits than a whole passage should have are set before its end."""


def fit_threshold(
    model: SequenceModel,
    loss: BinaryCrossEntropy,
    prime: Tensor,
    length: int,
    source: int,
    target: int,
    density: float,
    temperature: float,
) -> float:
    """The threshold at which a model, running free after prime (B, S, size), sets bits as densely as the corpus does.

    At one half it need not: what is lost at a step is lost for the steps after it, and losses differ in their outputs.
    """
    generators = [torch.Generator(prime.device).manual_seed(i) for i in range(len(prime))]
    shape = length, model.hearing.size
    coins = torch.stack([torch.rand(shape, generator=own, device=prime.device) for own in generators], 1)

    most = density * coins.numel()

    def too_dense(value: float) -> bool:
        own, steps = iter(coins), itertools.count(1)
        bits = torch.zeros((), dtype=torch.int64, device=prime.device)
        toss = _toss(loss, lambda odds: next(own), value, temperature)

        def draw(answer: Answer, before: Tensor, given: None) -> tuple[Tensor, Tensor]:
            step, likely = toss(answer, before)
            bits.add_(step.bool().sum())
            if next(steps) % ASKED == 0 and bits > most:
                raise TooDense
            return step, likely

        try:
            generate(model, prime, length, source, target, draw)
        except TooDense:
            return True
        return bool(bits > most)

    low, high = -4.0, 4.0  # log-odds; the higher, the fewer bits
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_dense(_sigmoid(middle)) else (low, middle)
    return round(_sigmoid((low + high) / 2), 4)


def _sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def random_state(state: State, generators: Sequence[torch.Generator]) -> State:
    """A state of the same shape drawn anew, hidden as tanh of normal numbers, cells normal; a generator each song."""

    def normal(like: Tensor) -> Tensor:
        drawn = [torch.randn(like.shape[1:], generator=own, device=own.device) for own in generators]
        return torch.stack(drawn).to(like)

    return [(normal(hidden).tanh(), normal(cell)) for hidden, cell in state]
