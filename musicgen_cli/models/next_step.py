"""The LSTM of the first and second experiment: it reads a passage and names the step after it, then the next."""

import torch
from torch import Tensor, nn

from musicgen_cli.models.base import Dropout, SequenceModel, State
from musicgen_cli.models.recurrent import Recurrent, keep
from musicgen_cli.vocabulary import UNKNOWN


class NextStep(SequenceModel):
    """One LSTM over all that came, then a dense layer.

    size: of a step: its bits, or the ids there are; outputs: logits of a step; ids: steps are ids, read by an embedding
    """

    reads_apart = False  # whether another LSTM than the one that writes reads the source

    def __init__(
        self,
        size: int,
        outputs: int,
        ids: bool = False,
        hidden: int = 512,
        layers: int = 2,
        dense: int = 256,
        dropout: float = 0.2,
        dense_dropout: float = 0.5,
    ):
        super().__init__()
        self.dropout, self.dense_dropout = dropout, dense_dropout
        self.embed = nn.Embedding(size, dense) if ids else nn.Identity()
        if isinstance(self.embed, nn.Embedding):
            self.embed.weight.data[UNKNOWN] = 0  # says nothing until training has met unknown words
        width = dense if ids else size
        if self.reads_apart:
            self.encoder = Recurrent(width, hidden, layers)
        self.decoder = Recurrent(width, hidden, layers)
        self.dense = nn.Linear(hidden, dense)
        self.head = nn.Linear(dense, outputs)

    def encode(self, source: Tensor, dropout: Dropout | None = None) -> State:
        before = self.embed(source[:, :-1])
        return self.decoder.run(before, self.decoder.start(before), dropout and dropout.encoder)[1]

    def decode(self, inputs: Tensor, state: State, dropout: Dropout | None = None) -> Tensor:
        outputs, _ = self.decoder.run(self.embed(inputs), state, dropout and dropout.decoder)
        features: Tensor = self.dense(outputs).relu()
        return features * dropout.dense if dropout else features

    def advance(self, step: Tensor, state: State, dropout: Dropout | None = None) -> tuple[Tensor, State]:
        output, state = self.decoder.step(self.embed(step), state, dropout and dropout.decoder)
        features: Tensor = self.dense(output).relu()
        return features * dropout.dense[:, 0] if dropout else features, state

    def draw_dropout(self, batch: int, source: int, target: int, generator: torch.Generator) -> Dropout:
        return Dropout(
            self.decoder.draw_dropout(batch, source - 1, self.dropout, generator),
            self.decoder.draw_dropout(batch, target, self.dropout, generator),
            keep(self.dense_dropout, (batch, target, self.dense.out_features), generator),
        )
