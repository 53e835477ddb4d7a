"""What every model can do: read a passage, then go on one step at a time. Training and sampling are the same loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicgen_cli.hearing import Hearing
from musicgen_cli.models.cell import Cell
from musicgen_cli.models.chord import ChordHead

State = list[tuple[Tensor, Tensor]]  # of each layer, hidden and cell (B, H)


class Dropout(NamedTuple):
    """What is left out of a pass, drawn beforehand, so that a rollout and the pass that learns from it agree.

    encoder, decoder: factors (B, T, H) on what layers read, each from another; dense: factors (B, T, D) on the features
    """

    encoder: list[Tensor]
    decoder: list[Tensor]
    dense: Tensor

    def of(self, windows: slice, steps: int) -> "Dropout":
        """The factors of some windows of a batch, and of so many steps of the decoder."""
        decoder = [factors[windows, :steps] for factors in self.decoder]
        return Dropout([factors[windows] for factors in self.encoder], decoder, self.dense[windows, :steps])

    def at(self, t: int) -> "Dropout":
        """The factors of one step of the decoder, (B, 1, ...)."""
        return Dropout([], [factors[:, t : t + 1] for factors in self.decoder], self.dense[:, t : t + 1])


class SequenceModel(nn.Module):
    """A model over steps, bits (size) or ids (), which it hears with what `hearing` tells beside them.

    `head` turns the features of a step, (..., D), into its answer: logits (..., outputs), or Chords.
    """

    head: nn.Linear | ChordHead
    hearing: Hearing

    def expect(self, logits: Tensor) -> None:
        """Begin with these logits (outputs) for every step, rather than with even odds for what rarely comes."""
        with torch.no_grad():
            self.head.bias.copy_(logits)

    def encode(self, source: Tensor, dropout: Dropout | None = None) -> State:
        """The state after reading source (B, S, ...), from which decoding begins with the source's last step."""
        raise NotImplementedError

    def cells(self, recall: bool = False) -> list[Cell] | None:
        """What `advance` takes, if anything, to be faster while the weights stay as they are.

        recall: it keeps the steps taken without gradients, so that `decode` has only to differentiate them
        """
        raise NotImplementedError

    def decode(
        self, inputs: Tensor, state: State, dropout: Dropout | None = None, cells: list[Cell] | None = None
    ) -> Tensor:
        """Features (B, T, D) of the steps that follow each of inputs (B, T, ...), in one pass."""
        raise NotImplementedError

    def advance(
        self, step: Tensor, state: State, dropout: Dropout | None = None, cells: list[Cell] | None = None
    ) -> tuple[Tensor, State]:
        """Features (B, D) of the step that follows `step` (B, ...), and the state to go on from."""
        raise NotImplementedError

    def draw_dropout(self, batch: int, source: int, target: int, generator: torch.Generator) -> Dropout:
        """Draw what a training pass leaves out."""
        raise NotImplementedError


Answer = Any  # what a head says, which its loss can read: logits (..., outputs), or Chords
Choose = Callable[[int, Tensor, Tensor], Tensor]  # t, features (B, D), previous step (B, ...) -> step (B, ...)


def unroll(
    model: SequenceModel,
    step: Tensor,
    state: State,
    length: int,
    choose: Choose,
    dropout: Dropout | None = None,
    cells: list[Cell] | None = None,
) -> tuple[Tensor, Tensor]:
    """Go on for `length` steps after `step` (B, ...): features (B, T, D) and steps (B, T, ...).

    Teacher forcing and sampling differ only in who chooses.
    """
    features, steps = [], []
    for t in range(length):
        feature, state = model.advance(step, state, dropout and dropout.at(t), cells)
        step = choose(t, feature, step)
        features.append(feature)
        steps.append(step)
    return torch.stack(features, 1), torch.stack(steps, 1)
