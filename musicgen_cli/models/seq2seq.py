"""The encoder-decoder of the third and fourth experiment: one LSTM reads a passage, another writes what follows."""

import torch
from torch import Tensor, nn

from musicgen_cli.models.base import Dropout, SequenceModel, State
from musicgen_cli.models.recurrent import Recurrent, keep


class Seq2Seq(SequenceModel):
    """The decoder takes over the encoder's state; its input is always the step before the one it writes."""

    def __init__(
        self,
        size: int,
        hidden: int = 512,
        layers: int = 2,
        dense: int = 256,
        dropout: float = 0.2,
        dense_dropout: float = 0.5,
    ):
        super().__init__()
        self.dropout, self.dense_dropout = dropout, dense_dropout
        self.encoder = Recurrent(size, hidden, layers)
        self.decoder = Recurrent(size, hidden, layers)
        self.dense = nn.Linear(hidden, dense)
        self.head = nn.Linear(dense, size)

    def encode(self, source: Tensor, dropout: Dropout | None = None) -> State:
        return self.encoder.run(source, self.encoder.start(source), dropout and dropout.encoder)[1]

    def decode(self, inputs: Tensor, state: State, dropout: Dropout | None = None) -> Tensor:
        outputs, _ = self.decoder.run(inputs, state, dropout and dropout.decoder)
        features: Tensor = self.dense(outputs).relu()
        return features * dropout.dense if dropout else features

    def advance(self, step: Tensor, state: State, dropout: Dropout | None = None) -> tuple[Tensor, State]:
        output, state = self.decoder.step(step, state, dropout and dropout.decoder)
        features: Tensor = self.dense(output).relu()
        return features * dropout.dense[:, 0] if dropout else features, state

    def draw_dropout(self, batch: int, source: int, target: int, generator: torch.Generator) -> Dropout:
        return Dropout(
            self.encoder.draw_dropout(batch, source, self.dropout, generator),
            self.decoder.draw_dropout(batch, target, self.dropout, generator),
            keep(self.dense_dropout, (batch, target, self.dense.out_features), generator),
        )
