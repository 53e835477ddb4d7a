"""A cell takes the steps of the LSTM it was made of, and knows their gradients."""

import pytest
import torch
from torch import nn

from musicgen_cli.models.cell import Cell

SONGS, STEPS, SIZE, HIDDEN = 3, 4, 5, 2


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.LSTM(SIZE, HIDDEN, batch_first=True).double()


@pytest.fixture
def begun():
    generator = torch.Generator().manual_seed(1)
    shapes = (SONGS, STEPS, SIZE), (SONGS, HIDDEN), (SONGS, HIDDEN)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def stepped(layer, inputs, hidden, cell):
    """The outputs of a cell that has taken all steps, and its state after them."""
    taken = Cell(layer, recall=True)
    with torch.no_grad():
        state = hidden, cell
        for step in inputs.unbind(1):
            state = taken.step(step, *state)
    return taken.outputs(inputs, hidden, cell), *state


def by_torch(layer, inputs, hidden, cell):
    outputs, (hidden, cell) = layer(inputs, (hidden[None], cell[None]))
    return outputs, hidden[0], cell[0]


def test_its_steps_are_those_of_its_layer(layer, begun):
    torch.testing.assert_close(stepped(layer, *begun), by_torch(layer, *begun))


def test_its_gradients_are_those_of_its_layer(layer, begun):
    learned = [*begun, *layer.parameters()]
    weights = torch.randn(SONGS, STEPS, HIDDEN, dtype=torch.float64)
    mine, theirs = (
        torch.autograd.grad((way(layer, *begun)[0] * weights).sum(), learned) for way in (stepped, by_torch)
    )
    torch.testing.assert_close(mine, theirs)


def test_its_gradients_are_differences(layer, begun):
    def outputs(inputs, hidden, cell, *_):
        return stepped(layer, inputs, hidden, cell)[0]

    assert torch.autograd.gradcheck(outputs, (*begun, *layer.parameters()))


def test_inputs_without_gradients_get_none(layer, begun):
    inputs, hidden, cell = begun
    outputs, *_ = stepped(layer, inputs.detach(), hidden, cell)
    outputs.sum().backward()
    assert inputs.grad is None
    assert hidden.grad is not None


def test_it_keeps_nothing_it_is_not_asked_to(layer, begun):
    inputs, hidden, cell = begun
    taken = Cell(layer, recall=False)
    with torch.no_grad():
        taken.step(inputs[:, 0], hidden, cell)
    assert not taken.steps
