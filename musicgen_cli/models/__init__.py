"""The models by name."""

from typing import Any

from musicgen_cli.models.base import Dropout, SequenceModel, State, unroll
from musicgen_cli.models.seq2seq import Seq2Seq

# name -> the network, and what of `musicgen train` is its own
MODELS: dict[str, tuple[type[SequenceModel], dict[str, Any]]] = {
    "poly": (Seq2Seq, {"loss": "focal", "forcing": 0.8}),
}

__all__ = ["MODELS", "Dropout", "SequenceModel", "State", "unroll"]
