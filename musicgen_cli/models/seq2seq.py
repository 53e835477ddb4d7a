"""The encoder-decoder of the third and fourth experiment: one LSTM reads a passage, another writes what follows."""

import torch
from torch import Tensor

from musicgen_cli.models.base import Dropout, State
from musicgen_cli.models.next_step import NextStep


class Seq2Seq(NextStep):
    """The decoder takes over the encoder's state; its input is always the step before the one it writes."""

    reads_apart = True

    def encode(self, source: Tensor, dropout: Dropout | None = None) -> State:
        read = self.embed(source)
        return self.encoder.run(read, self.encoder.start(read), dropout and dropout.encoder)[1]

    def draw_dropout(self, batch: int, source: int, target: int, generator: torch.Generator) -> Dropout:
        return super().draw_dropout(batch, source + 1, target, generator)
