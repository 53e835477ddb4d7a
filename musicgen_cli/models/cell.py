"""An LSTM step by step on a CPU: faster than `torch.lstm_cell`, and differentiated without being run again."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Cell:
    """One layer, its weights as products with few rows read them fastest; recall: keep what its gradients take."""

    def __init__(self, layer: nn.Module, recall: bool):
        self.parameters = of_input, of_hidden, bias, other_bias = tuple(layer.parameters())
        with torch.no_grad():
            self.weights, self.bias = torch.cat([of_input.t(), of_hidden.t()]), bias + other_bias
        self.recall, self.steps = recall, list[tuple[Tensor, ...]]()

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden and cell (B, H) after inputs (B, size), without gradients."""
        read, before = torch.cat([inputs, hidden], 1), cell
        gates = torch.addmm(self.bias, read, self.weights)
        into, forget, new, out = gates.chunk(4, 1)
        cell = forget.sigmoid_() * before + into.sigmoid_() * new.tanh_()
        bounded = cell.tanh()
        hidden = out.sigmoid_() * bounded
        if self.recall:
            self.steps.append((read, gates, before, bounded, hidden))
        return hidden, cell

    def outputs(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        """Hidden (B, T, H) after each step taken, to be differentiated by the inputs (B, T, size) and first state."""
        outputs: Tensor = _Recalled.apply(self, inputs, hidden, cell, *self.parameters)  # type: ignore[no-untyped-call]
        return outputs


class _Recalled(torch.autograd.Function):
    """Backpropagation through time (Werbos 1990) of a cell: only what goes back to the state is a product a step."""

    @staticmethod
    def forward(ctx: Any, cell: Cell, *_: Tensor) -> Tensor:
        ctx.save_for_backward(cell.weights, *(part for *parts, _ in cell.steps for part in parts))
        return torch.stack([hidden for *_, hidden in cell.steps], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        batch, _, width = grad.shape
        weights, *parts = ctx.saved_tensors
        steps = list(zip(*[iter(parts)] * 4))
        of_input, of_hidden = weights[:-width], weights[-width:]
        to_gates = grad.new_empty(len(steps), batch, 4 * width)
        to_hidden = to_cell = grad.new_zeros(batch, width)
        for t in reversed(range(len(steps))):
            _, gates, before, bounded = steps[t]
            into, forget, new, out = gates.chunk(4, 1)
            to_hidden = to_hidden + grad[:, t]
            to_cell = to_cell + to_hidden * out * (1 - bounded * bounded)
            to_gate = [
                to_cell * new * into * (1 - into),
                to_cell * before * forget * (1 - forget),
                to_cell * into * (1 - new * new),
                to_hidden * bounded * out * (1 - out),
            ]
            torch.cat(to_gate, 1, out=to_gates[t])
            to_hidden, to_cell = (of_hidden @ to_gates[t].t()).t().contiguous(), to_cell * forget
        flat = to_gates.flatten(0, 1)
        to_input = None
        if ctx.needs_input_grad[1]:
            to_input = (flat @ of_input.t()).view(len(steps), batch, -1).transpose(0, 1)
        to_weights = flat.t() @ torch.cat([read for read, *_ in steps])
        to_bias = flat.sum(0)
        return (
            None,
            to_input,
            to_hidden,
            to_cell,
            to_weights[:, :-width],
            to_weights[:, -width:],
            to_bias,
            to_bias.clone(),
        )
