"""What weights a model has, known without having them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from musicgen_cli.models.base import SequenceModel


def fits(weights: Mapping[str, Tensor], network: type[SequenceModel], arguments: Mapping[str, Any]) -> bool:
    """Whether these are the weights of such a network; raises what PyTorch says of arguments that make none."""
    if not 1 <= arguments.get("layers", 1) <= len(weights):
        return False
    with torch.device("meta"), Undrawn():
        blank = network(**arguments).state_dict()
    return {name: value.shape for name, value in blank.items()} == {name: v.shape for name, v in weights.items()}


class Undrawn(TorchFunctionMode):
    """No normal draws: on the meta device, where there is nothing to set, torch would import its compiler for them."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if function is torch.nn.init.normal_:
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **(options or {}))
