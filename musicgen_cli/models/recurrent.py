"""A stack of LSTMs that runs over whole passages or step by step, with dropout drawn beforehand."""

import torch
from torch import Tensor, nn

from musicgen_cli.models.base import State
from musicgen_cli.models.cell import Cell


class Recurrent(nn.Module):
    """size: of what the first layer reads; whole: that is never dropped, as what the other layers read is."""

    def __init__(self, size: int, hidden: int, layers: int, whole: bool = True):
        super().__init__()
        self.hidden = hidden
        self.sizes = [size, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in self.sizes)
        self.whole = int(whole)

    def start(self, inputs: Tensor) -> State:
        """The state before the first step."""
        zeros = inputs.new_zeros(len(inputs), self.hidden)
        return [(zeros, zeros)] * len(self.layers)

    def cells(self, recall: bool = False) -> list[Cell] | None:
        """The layers as `step` takes them fastest, where that is another way: on a CPU, in full precision."""
        if self.layers[0].weight_ih_l0.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return None
        return [Cell(layer, recall) for layer in self.layers]

    def run(self, inputs: Tensor, state: State, dropout: list[Tensor] | None) -> tuple[Tensor, State]:
        """Outputs (B, T, H) of the last layer over inputs (B, T, size), and the state after them."""
        if not inputs.shape[1]:
            return inputs.new_zeros(len(inputs), 0, self.hidden), state
        after = []
        for i, (layer, (hidden, cell)) in enumerate(zip(self.layers, state)):
            if i >= self.whole and dropout:
                inputs = inputs * dropout[i - self.whole]
            inputs, (hidden, cell) = layer(inputs, (hidden[None].contiguous(), cell[None].contiguous()))
            after.append((hidden[0], cell[0]))
        return inputs, after

    def recall(self, inputs: Tensor, state: State, dropout: list[Tensor] | None, cells: list[Cell]) -> Tensor:
        """The outputs of `run` where `cells` have taken these steps already, and recall them."""
        for i, (taken, (hidden, cell)) in enumerate(zip(cells, state)):
            if i >= self.whole and dropout:
                inputs = inputs * dropout[i - self.whole]
            inputs = taken.outputs(inputs, hidden, cell)
        return inputs

    def step(
        self, inputs: Tensor, state: State, dropout: list[Tensor] | None, cells: list[Cell] | None = None
    ) -> tuple[Tensor, State]:
        """`run` for one step, (B, size) to (B, H): the same arithmetic without the cost of starting a sequence."""
        after = []
        for i, (layer, (hidden, cell)) in enumerate(zip(self.layers, state)):
            if i >= self.whole and dropout:
                inputs = inputs * dropout[i - self.whole][:, 0]
            if cells:
                inputs, cell = cells[i].step(inputs, hidden, cell)
            else:
                inputs, cell = torch.lstm_cell(inputs, (hidden, cell), *layer.parameters())
            after.append((inputs, cell))
        return inputs, after

    def draw_dropout(self, batch: int, length: int, rate: float, generator: torch.Generator) -> list[Tensor]:
        return [keep(rate, (batch, length, size), generator) for size in self.sizes[self.whole :]]


def keep(rate: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Dropout factors: 0 at `rate`, else 1 / (1 - rate)."""
    kept = torch.rand(shape, generator=generator, device=generator.device) >= rate
    return kept.float() / (1 - rate)
