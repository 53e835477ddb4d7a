"""A trained model on disk: a .pt of plain values and tensors, which `torch.load(weights_only=True)` reads."""

import io
import pickle
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch
from torch import Tensor

from musicgen_cli import __version__
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import LOSSES, Loss
from musicgen_cli.models import MODELS, SequenceModel

FORMAT, VERSION = "musicgen-checkpoint", 1


@dataclass
class Checkpoint:
    """Whatever sampling, evaluating and going on need: nothing has to be typed again."""

    model: str  # a key of MODELS
    model_arguments: dict[str, Any]
    loss: str  # a key of LOSSES
    loss_arguments: dict[str, Any]
    bits: int  # of a key: 2, start and continue, or 1, sounds
    steps_per_quarter: int
    tempo: float  # quarter notes per minute, the median of the training songs
    time_signature: tuple[int, int]  # the commonest of the training songs
    source: int  # steps read
    target: int  # steps written before the last `source` are read again
    rates: list[float]  # how often each bit is set in the training songs
    split: dict[str, list[str]]  # side -> digests of its songs
    settings: dict[str, Any]  # of the training, by the names of its options
    state_dict: dict[str, Tensor]  # of the best epoch
    history: list[dict[str, float]] = field(default_factory=list)  # a row an epoch
    threshold: float = 0.5  # at which it plays as densely as its corpus, once that is known
    resume: dict[str, Any] | None = None  # Training.state(), until the training is finished
    representation: str = "roll"
    musicgen: str = __version__

    def build(self, device: torch.device) -> SequenceModel:
        """The model with its weights, ready to play."""
        network, _ = MODELS[self.model]
        model = network(**self.model_arguments)
        model.load_state_dict(self.state_dict)
        return model.to(device).eval()

    def build_loss(self) -> Loss:
        return LOSSES[self.loss](**self.loss_arguments)


def save(checkpoint: Checkpoint, file: BinaryIO) -> None:
    buffer = io.BytesIO()  # torch.save hides what goes wrong while writing
    torch.save({"format": FORMAT, "version": VERSION, **vars(checkpoint)}, buffer)
    file.write(buffer.getbuffer())


def load(file: BinaryIO) -> Checkpoint:
    """Read a checkpoint from a seekable file; raises MusicgenError for anything else."""
    if not file.seek(0, 2):
        raise MusicgenError("is empty; did the command before it fail?")
    file.seek(0)
    try:
        values = torch.load(file, map_location="cpu", weights_only=True)
        if values.pop("format") != FORMAT:
            raise ValueError
        if values.pop("version") > VERSION:
            raise MusicgenError("was made by a newer musicgen; upgrade this one")
        checkpoint = Checkpoint(**values)
        checkpoint.build(torch.device("cpu"))
        checkpoint.build_loss()
    except (RuntimeError, pickle.UnpicklingError, ValueError, KeyError, TypeError, AttributeError, EOFError, OSError):
        raise MusicgenError("is no musicgen checkpoint, or a damaged one; `musicgen train` makes one") from None
    return checkpoint
