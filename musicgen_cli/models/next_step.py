"""The LSTM of the first and second experiment: it reads a passage and names the step after it, then the next."""

import torch
from torch import Tensor, nn

from musicgen_cli.hearing import Hearing
from musicgen_cli.models.base import Dropout, SequenceModel, State
from musicgen_cli.models.cell import Cell
from musicgen_cli.models.chord import ChordHead
from musicgen_cli.models.recurrent import Recurrent, keep
from musicgen_cli.score import KEYS
from musicgen_cli.vocabulary import UNKNOWN


class NextStep(SequenceModel):
    """One LSTM over all that came, then a dense layer; to spell chords, a layer that reads, an LSTM and the head.

    size: of a step: its bits, or the ids there are; outputs: logits of a step; ids: steps are ids, read by an embedding
    chords: chords are spelled note by note, with `dense` units, and the head sees what was heard, too
    memory, tonality, shifts: what is heard beside a step, see `Hearing`
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
        chords: bool = False,
        memory: bool = False,
        tonality: bool = False,
        shifts: int = 0,
    ):
        super().__init__()
        self.dropout, self.dense_dropout, self.chords = dropout, dense_dropout, chords
        self.hearing = Hearing(0 if ids else size, memory, tonality, shifts)
        width = self.hearing.width
        self.embed: nn.Module = nn.Identity()
        if ids:
            self.embed, width = nn.Embedding(size, dense), dense
            self.embed.weight.data[UNKNOWN] = 0  # says nothing until training has met unknown words
        if chords:
            self.embed, width = nn.Sequential(nn.Linear(width, hidden), nn.Tanh()), hidden
        if self.reads_apart:
            self.encoder = Recurrent(width, hidden, layers, whole=not chords)
        self.decoder = Recurrent(width, hidden, layers, whole=not chords)
        self.features = hidden if chords else dense
        self.dense = nn.Identity() if chords else nn.Linear(hidden, dense)
        self.head = (
            ChordHead(self.hearing, 2 if size == 2 * KEYS else 1, hidden, dense)
            if chords
            else nn.Linear(dense, outputs)
        )

    def encode(self, source: Tensor, dropout: Dropout | None = None) -> State:
        before = self.embed(source[:, :-1])
        return self.decoder.run(before, self.decoder.start(before), dropout and dropout.encoder)[1]

    def cells(self, recall: bool = False) -> list[Cell] | None:
        return self.decoder.cells(recall)

    def decode(
        self, inputs: Tensor, state: State, dropout: Dropout | None = None, cells: list[Cell] | None = None
    ) -> Tensor:
        read, factors = self.embed(inputs), dropout and dropout.decoder
        if cells:
            outputs = self.decoder.recall(read, state, factors, cells)
        else:
            outputs, _ = self.decoder.run(read, state, factors)
        return self._features(outputs, inputs, dropout and dropout.dense)

    def advance(
        self, step: Tensor, state: State, dropout: Dropout | None = None, cells: list[Cell] | None = None
    ) -> tuple[Tensor, State]:
        output, state = self.decoder.step(self.embed(step), state, dropout and dropout.decoder, cells)
        return self._features(output, step, dropout and dropout.dense[:, 0]), state

    def _features(self, outputs: Tensor, inputs: Tensor, dropout: Tensor | None) -> Tensor:
        features: Tensor = outputs if self.chords else self.dense(outputs).relu()
        features = features if dropout is None else features * dropout
        return torch.cat([features, inputs], -1) if self.chords else features

    def draw_dropout(self, batch: int, source: int, target: int, generator: torch.Generator) -> Dropout:
        return Dropout(
            self.decoder.draw_dropout(batch, source - 1, self.dropout, generator),
            self.decoder.draw_dropout(batch, target, self.dropout, generator),
            keep(self.dense_dropout, (batch, target, self.features), generator),
        )
