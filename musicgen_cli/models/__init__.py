"""The models by name."""

from dataclasses import dataclass, field
from typing import Any

from musicgen_cli.models.base import Dropout, SequenceModel, State, unroll
from musicgen_cli.models.next_step import NextStep
from musicgen_cli.models.seq2seq import Seq2Seq


@dataclass(frozen=True)
class Recipe:
    """A network, what it reads, and how it is taught unless somebody says otherwise."""

    network: type[SequenceModel]
    loss: dict[str, str]  # by representation: what it reads, the first by default
    settings: dict[str, Any] = field(default_factory=dict)  # by the names of the options of `musicgen train`


BOTH = {"roll": "cross-entropy", "words": "cross-entropy"}
MODELS = {
    "text": Recipe(NextStep, {"words": "cross-entropy"}, {"layers": 3, "dropout": 0.3, "dense_dropout": 0.3}),
    "next": Recipe(NextStep, BOTH),
    "seq2seq": Recipe(Seq2Seq, BOTH),
    "poly": Recipe(Seq2Seq, BOTH | {"roll": "focal"}, {"teacher_forcing": 0.8}),
}
DEFAULTS = {"layers": 2, "dropout": 0.2, "dense_dropout": 0.5, "teacher_forcing": 1.0}

__all__ = ["DEFAULTS", "MODELS", "Dropout", "Recipe", "SequenceModel", "State", "unroll"]
