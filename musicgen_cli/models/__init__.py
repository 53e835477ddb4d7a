"""The models by name."""

from dataclasses import dataclass, field
from typing import Any

from musicgen_cli.models.base import Answer, Dropout, SequenceModel, State, unroll
from musicgen_cli.models.chord import ChordHead, Chords, Given
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
DEFAULTS = {
    "hidden": 512, "layers": 2, "dense": 256, "dropout": 0.2, "dense_dropout": 0.5, "source": 32, "target": 32,
    "batch_size": 8, "epochs": 30, "learning_rate": 2e-3, "warmup": 100, "transpose": 4, "teacher_forcing": 1.0,
}  # fmt: skip
CHORDS = {  # where chords are spelled, whatever the model: songs are read from their beginning, a few at a time
    "hidden": 256, "layers": 1, "dense": 128, "dropout": 0.5, "dense_dropout": 0.5, "source": 0, "target": 1024,
    "batch_size": 4, "epochs": 40, "learning_rate": 4e-3, "warmup": 20, "transpose": 5, "teacher_forcing": 1.0,
}  # fmt: skip

__all__ = [
    "CHORDS", "DEFAULTS", "MODELS", "Answer", "ChordHead", "Chords", "Dropout", "Given", "Recipe", "SequenceModel",
    "State", "unroll",
]  # fmt: skip
