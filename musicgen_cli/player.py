"""A model that plays without PyTorch, which takes longer to import than most songs to make: the LSTMs in NumPy.

It plays what `sampling` does, from the same seeds, but for the last digits of its numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.checkpoint import BITS, DAMAGED, Checkpoint
from musicgen_cli.dice import Coins
from musicgen_cli.errors import MusicgenError
from musicgen_cli.roll import ROW
from musicgen_cli.vocabulary import SPECIALS

HALF = np.float32(0.5)
CHUNK = 64  # steps that are read at once: what bounds memory
ALONE = ("text", "next")
APART = ("seq2seq", "poly")  # models that read with another LSTM than they write with

Floats = NDArray[np.float32]
State = list[tuple[Floats, Floats]]  # of each layer, hidden and cell (B, H)
Draw = Callable[[Floats, NDArray[Any]], NDArray[Any]]  # logits (B, outputs), the step before (B, ...) -> step


def can_play(checkpoint: Checkpoint) -> bool:
    """Whether it is a model of steps as they are: no chords spelled note by note, nothing recalled."""
    more = any(checkpoint.model_arguments.get(name) for name in ("chords", "memory", "tonality", "shifts"))
    losses = ("cross-entropy",) if checkpoint.words else (*BITS, "cross-entropy")
    told = checkpoint.loss != "focal" or "gamma" in checkpoint.loss_arguments
    return not more and told and checkpoint.loss in losses and checkpoint.model in ALONE + APART


class Layers:
    """A stack of LSTMs, of the weights that stand under `name`."""

    def __init__(self, take: Callable[..., Floats], name: str, size: int, hidden: int, layers: int):
        self.hidden = hidden
        self.layers = list[tuple[Floats, Floats]]()  # of each, weights of what it reads, then of its state; and bias
        for i in range(layers):
            kinds = {"weight_ih_l0": (size,), "weight_hh_l0": (hidden,), "bias_ih_l0": (), "bias_hh_l0": ()}
            own = [take(f"{name}.layers.{i}.{kind}", 4 * hidden, *shape) for kind, shape in kinds.items()]
            self.layers.append((_prepared(np.concatenate(own[:2], 1)).T.copy(), _prepared(own[2] + own[3])))
            size = hidden

    def start(self, songs: int) -> State:
        return [(np.zeros((songs, self.hidden), np.float32),) * 2 for _ in self.layers]

    def run(self, inputs: Floats, state: State) -> State:
        """The state after reading (B, T, size)."""
        for begin in range(0, inputs.shape[1], CHUNK):
            state = self._run(inputs[:, begin : begin + CHUNK], state)
        return state

    def _run(self, inputs: Floats, state: State) -> State:
        after, read = [], inputs.swapaxes(0, 1)
        for (weights, bias), (hidden, cell) in zip(self.layers, state):
            gates = read.reshape(-1, read.shape[2]) @ weights[: read.shape[2]] + bias
            outputs = []
            for now in gates.reshape(*read.shape[:2], len(bias)):
                now += hidden @ weights[read.shape[2] :]
                hidden, cell = _cell(now, cell)
                outputs.append(hidden)
            read = np.array(outputs).reshape(*read.shape[:2], self.hidden)
            after.append((hidden, cell))
        return after

    def step(self, inputs: Floats, state: State) -> State:
        """The state after one step (B, size); what comes out is the hidden state of the last layer."""
        after = []
        for (weights, bias), (hidden, cell) in zip(self.layers, state):
            gates = np.concatenate([inputs, hidden], 1) @ weights
            gates += bias
            after.append(_cell(gates, cell))
            inputs = after[-1][0]
        return after


def _prepared(rows: Floats) -> Floats:
    """Rows of in, forget, cell, out as out, in, forget, cell, so that 1 / (1 + exp(gate)) is to be found of them all.

    For tanh(x) = 2 sigmoid(2 x) - 1, and NumPy finds exp in half the time of tanh.
    """
    into, forget, cell, out = np.split(rows, 4)
    return -np.concatenate([out, into, forget, 2 * cell])


def _cell(gates: Floats, cell: Floats) -> tuple[Floats, Floats]:
    """Hidden and cell after a step, of prepared gates (B, 4H), which are overwritten."""
    size = cell.shape[1]
    np.exp(gates, out=gates)
    gates += 1
    np.reciprocal(gates, out=gates)
    new = gates[:, 3 * size :]
    new *= 2
    new -= 1
    cell = cell * gates[:, 2 * size : 3 * size]
    cell += gates[:, size : 2 * size] * new
    hidden = np.tanh(cell)
    hidden *= gates[:, :size]
    return hidden, cell


class Player:
    """A trained model; raises MusicgenError where its weights are not of such a model."""

    def __init__(self, trained: Checkpoint):
        self.source, self.target = trained.source, trained.target
        left, sizes = dict(trained.state_dict), trained.model_arguments

        def take(name: str, *shape: int) -> Floats:
            weights = left.pop(name)
            if (weights.shape, weights.dtype) != (shape, np.float32):
                raise ValueError
            return np.asarray(weights)

        try:
            size, hidden, layers, dense = (sizes[name] for name in ("size", "hidden", "layers", "dense"))
            outputs = size + (not trained.sets_bits and not trained.words)  # keys have rest as a choice of its own
            self.table = take("embed.weight", size, dense) if sizes.get("ids") else None
            width = size if self.table is None else dense
            self.encoder = Layers(take, "encoder", width, hidden, layers) if trained.model in APART else None
            self.decoder = Layers(take, "decoder", width, hidden, layers)
            self.dense = take("dense.weight", dense, hidden).T, take("dense.bias", dense)
            self.head = take("head.weight", outputs, dense).T, take("head.bias", outputs)
            if left:
                raise ValueError
        except (LookupError, TypeError, ValueError, AttributeError):
            raise MusicgenError(DAMAGED) from None

    def embed(self, steps: NDArray[Any]) -> Floats:
        return steps if self.table is None else self.table[steps]

    def encode(self, source: NDArray[Any]) -> State:
        """The state after reading source (B, S, ...), from which playing begins with the source's last step."""
        reader, read = (self.encoder, source) if self.encoder else (self.decoder, source[:, :-1])
        return reader.run(self.embed(read), reader.start(len(source)))

    def advance(self, step: NDArray[Any], state: State) -> tuple[Floats, State]:
        """Logits (B, outputs) of the step that follows `step` (B, ...), and the state to go on from."""
        state = self.decoder.step(self.embed(step), state)
        features = np.maximum(state[-1][0] @ self.dense[0] + self.dense[1], 0)
        return features @ self.head[0] + self.head[1], state

    @np.errstate(all="ignore")  # weights that overflow play nothing
    def play(
        self, prime: NDArray[Any], length: int, draw: Draw, lasting: NDArray[np.int64] | None = None
    ) -> NDArray[Any]:
        """Go on from prime (B, S, ...), as `sampling.generate` does: bits uint8 (B, length, size), or ids (B, N)."""
        before = np.zeros((len(prime), self.source or 1, *prime.shape[2:]), prime.dtype)
        recent = np.concatenate([before, prime], 1)[:, -(self.source or 1 + prime.shape[1]) :]
        state = self.encode(recent if self.source else recent[:, :1])
        if not self.source:  # as in training: all but the first step are read by what writes
            state = self.decoder.run(self.embed(recent[:, :-1]), state)
        step, made = recent[:, -1], list[NDArray[Any]]()
        lasted = np.zeros(len(prime), np.int64)
        while (len(made) if lasting is None else lasted.min()) < length:
            if self.source and made and len(made) % self.target == 0:
                recent = np.concatenate([recent, np.stack(made[-self.target :], 1).astype(step.dtype)], 1)
                recent = recent[:, -self.source :]
                state = self.encode(recent)
            logits, state = self.advance(step, state)
            step = draw(logits, step)
            made.append(step.astype(np.uint8 if lasting is None else np.int64))
            if lasting is not None:
                lasted += lasting[step]
        return np.stack(made, 1)


def drawer(
    trained: Checkpoint,
    coins: Sequence[Coins],
    threshold: float = 0.5,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
) -> Draw:
    """How steps are drawn, a generator for each song; the settings are those of `sampling.drawer`."""
    if trained.sets_bits:
        slope = 1 + float(trained.loss_arguments.get("gamma", 0))  # of log-odds over logits, see losses.Focal
        return _tosser(coins, np.log(threshold / (1 - threshold)), slope / temperature if temperature else np.inf)
    return _chooser(coins, bool(trained.words), temperature, top_k, top_p)


def _tosser(coins: Sequence[Coins], fair: float, slope: float) -> Draw:
    def draw(logits: Floats, before: NDArray[Any]) -> Floats:
        if slope == np.inf:
            step = logits > fair
        else:
            odds = (logits - np.float32(fair)) * np.float32(slope)
            tossed = np.stack([own.draw(logits.shape[1]) for own in coins])
            step = tossed < np.tanh(odds * HALF) * HALF + HALF
        if step.shape[1] == ROW:  # a continue with nothing to continue, or beside a start, is none
            step[:, 1::2] &= ~step[:, ::2] & _sounding(before)
        return step.astype(np.float32)

    return draw


def _chooser(coins: Sequence[Coins], of_words: bool, temperature: float, top_k: int | None, top_p: float) -> Draw:
    def draw(logits: Floats, before: NDArray[Any]) -> NDArray[Any]:
        if of_words:  # whatever they weigh: specials last for no time, and no song would end
            return choose(logits[:, len(SPECIALS) :]) + len(SPECIALS)
        if before.shape[1] == ROW:
            logits[:, 1:-1:2][~_sounding(before)] = -np.inf
        return np.eye(logits.shape[1], dtype=np.float32)[choose(logits), :-1]

    def choose(scores: Floats) -> NDArray[np.int64]:
        return scores.argmax(1) if temperature == 0 else pick(scores)

    def pick(scores: Floats) -> NDArray[np.int64]:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        chance = np.exp((np.take_along_axis(scores, order, 1) - scores.max(1, keepdims=True)) / np.float32(temperature))
        chance /= chance.sum(1, keepdims=True)
        chance *= chance.cumsum(1) - chance < top_p  # the likeliest is always among them
        reached = chance.cumsum(1)
        coin = np.stack([own.draw(1) for own in coins])
        place = (reached <= coin * reached[:, -1:]).sum(1, keepdims=True).clip(max=order.shape[1] - 1)
        return np.take_along_axis(order, place, 1)[:, 0]

    return draw


def _sounding(steps: NDArray[Any]) -> NDArray[np.bool_]:
    """Which keys sound, bool (B, 88), of two-bit steps (B, 176)."""
    return (steps[:, ::2] > 0) | (steps[:, 1::2] > 0)
