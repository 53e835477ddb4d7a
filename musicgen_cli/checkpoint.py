"""A trained model on disk: a .pt of plain values and tensors, which `torch.load(weights_only=True)` reads, too."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import UnionType
from typing import TYPE_CHECKING, Any, BinaryIO, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import __version__, archive, words
from musicgen_cli.corpus import Song
from musicgen_cli.errors import MusicgenError
from musicgen_cli.representations import FORMS, first
from musicgen_cli.roll import flat, unflat
from musicgen_cli.score import KEYS, MAX_GRID, MAX_STEPS, Score
from musicgen_cli.vocabulary import SPECIALS, Vocabulary

if TYPE_CHECKING:
    import torch

    from musicgen_cli.losses import Loss
    from musicgen_cli.models import SequenceModel

FORMAT, VERSION = "musicgen-checkpoint", 3
MAX_LETTERS = 1 << 25  # of all words, each as long as the longest
BITS = ("bce", "focal")  # losses of models that set bits, each for itself; others make one choice a step
DAMAGED = "is no musicgen checkpoint, or a damaged one; `musicgen train` makes one"
WRONG = (
    RuntimeError, pickle.UnpicklingError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError,
    OSError,
)  # fmt: skip


@dataclass
class Checkpoint:
    """Whatever sampling, evaluating and going on need: nothing has to be typed again."""

    model: str  # a key of MODELS
    model_arguments: dict[str, Any]
    loss: str  # a key of LOSSES
    loss_arguments: dict[str, Any]
    form: str  # a key of FORMS: what it reads and writes
    steps_per_quarter: int
    tempo: float  # quarter notes per minute, the median of the training songs
    time_signature: tuple[int, int]  # the commonest of the training songs
    source: int  # steps read; 0: the whole song from its beginning
    target: int  # steps written before the last `source` are read again
    rates: list[float]  # how often each bit is set, or each word comes, in the training songs
    split: dict[str, list[str]]  # side -> digests of its songs
    content: str  # Corpus.content of the songs it learned from and was validated by
    settings: dict[str, Any]  # of the training, by the names of its options
    state_dict: dict[str, Any]  # of the best epoch: tensors, and once it is loaded, arrays
    history: list[dict[str, float]] = field(default_factory=list)  # a row an epoch
    threshold: float = 0.5  # at which it plays as densely as its corpus, once that is known
    resume: dict[str, Any] | None = None  # Training.state(), until the training is finished
    words: list[str] = field(default_factory=list)  # where it reads words: the word of each id, specials first
    counts: list[int] = field(default_factory=list)  # how often each was met
    musicgen: str = __version__

    def build(self, device: "torch.device") -> "SequenceModel":
        """The model with its weights, ready to play; raises MusicgenError where they are not of this model."""
        from musicgen_cli.models import MODELS

        if not self.fits(self.state_dict):
            raise MusicgenError(DAMAGED)
        model = MODELS[self.model].network(**self.model_arguments)
        model.load_state_dict(tensors(self.state_dict))
        return model.to(device).eval()

    def fits(self, weights: Any) -> bool:
        """Whether these are weights of its model."""
        from musicgen_cli.models import MODELS, blank

        try:
            return blank.fits(tensors(weights), MODELS[self.model].network, self.model_arguments)
        except WRONG:
            return False

    def build_loss(self) -> "Loss":
        from musicgen_cli.losses import LOSSES

        try:
            return LOSSES[FORMS[self.form].name][self.loss](**self.loss_arguments)
        except WRONG:
            raise MusicgenError(DAMAGED) from None

    @property
    def sets_bits(self) -> bool:
        """Whether it answers by bits, each for itself; else by one choice a step."""
        return self.loss in BITS

    @property
    def progress(self) -> dict[str, float]:
        """How far it was trained: epochs, the best of them, seconds."""
        best = [row["epoch"] for row in self.history if row["best"]]
        seconds = [row["seconds"] for row in self.history]
        return {"epochs": len(self.history), "best_epoch": max(best, default=0), "seconds": max(seconds, default=0)}

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """Where it reads words, those that it knows."""
        return Vocabulary(np.array(self.words), np.array(self.counts, np.int64)) if self.words else None

    @property
    def nothing(self) -> NDArray[Any]:
        """Music of its form, without a step."""
        return FORMS[self.form].encode(Score(np.zeros((0, 3), np.int64), self.steps_per_quarter))

    def rows(self, music: NDArray[Any]) -> NDArray[Any]:
        """Music of its form as the dataset takes it: a roll, or the ids of words, int32 (N,)."""
        return self.vocabulary.ids(music) if self.vocabulary else music

    def prime(self, music: NDArray[Any], steps: int | None = None) -> NDArray[Any]:
        """The first steps of a song of its form as a model reads them, float32 (T, size) or the last ids, int64 (N,).

        Of a word that is cut the whole is heard; before the beginning of words stand zeros.
        """
        rows = self.rows(music[: len(first(music, steps))] if steps else music)
        if not self.vocabulary:
            return flat(rows).astype(np.float32)
        return np.append(np.zeros(max(self.source - len(rows), 0), np.int64), rows[-self.source :])

    def music(self, made: NDArray[Any], steps: int) -> NDArray[Any]:
        """The first `steps` of what it made, uint8 (T, size) or ids (N,), as music of its form."""
        if not self.vocabulary:
            return unflat(made[:steps])
        return words.cut(self.vocabulary.words[made], steps)

    @cached_property
    def lasting(self) -> NDArray[np.int64] | None:
        """How many steps each of its words lasts, int64 (V,); where it reads rolls, each step is one."""
        if not self.vocabulary:
            return None
        known = words.lengths(self.vocabulary.words[len(SPECIALS) :])
        return np.concatenate([np.zeros(len(SPECIALS), np.int64), known])


def save(checkpoint: Checkpoint, file: BinaryIO) -> None:
    """Write a checkpoint, with a digest of all that it holds; raises MusicgenError where `load` would refuse it."""
    import torch

    values = {field.name: arrays(getattr(checkpoint, field.name)) for field in fields(checkpoint)}
    try:
        digest, spoken = archive.digest(values)
        _check(checkpoint)
    except WRONG as error:
        cause = str(error) if type(error) is ValueError else "is of no model that could play"
        raise MusicgenError(f"the checkpoint {cause}: it cannot be saved") from error
    buffer = io.BytesIO()  # torch.save hides what goes wrong while writing
    torch.save({"format": FORMAT, "version": VERSION, "digest": digest, **tensors(values)}, buffer)
    try:
        archive.check(buffer)
    except ValueError as error:
        raise MusicgenError("the checkpoint is larger than any that is read again: it cannot be saved") from error
    if spoken > archive.SPOKEN * len(buffer.getbuffer()):
        raise MusicgenError(f"the checkpoint {archive.REPEATED}: it cannot be saved")
    file.write(buffer.getbuffer())


def arrays(value: Any) -> Any:
    """The same values, each tensor an array of its own numbers, one after the other."""
    import torch

    if isinstance(value, torch.Tensor):
        return np.ascontiguousarray(value.detach().cpu().numpy()).reshape(value.shape)
    return _each(arrays, value)


def tensors(value: Any) -> Any:
    """The same values, each array a tensor."""
    import torch

    return torch.from_numpy(value) if isinstance(value, np.ndarray) else _each(tensors, value)


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    return type(value)(map(change, value)) if type(value) in (list, tuple) else value


def load(file: BinaryIO) -> Checkpoint:
    """Read a checkpoint from a seekable file; raises MusicgenError for anything else."""
    if not (size := file.seek(0, 2)):
        raise MusicgenError("is empty; did the command before it fail?")
    try:
        archive.check(file)
        values = archive.read(file)
        if values.pop("format") != FORMAT:
            raise ValueError
        if (version := values.pop("version")) > VERSION:
            raise MusicgenError("was made by a newer musicgen; upgrade this one")
        if version < VERSION:
            raise MusicgenError("was made by an older musicgen; train it again")
        said = values.pop("digest")
        digest, _ = archive.digest(values, archive.SPOKEN * size)
        if digest != said:
            raise ValueError
        checkpoint = Checkpoint(**values)
        _check(checkpoint)
        if not all(isinstance(weights, np.ndarray) for weights in checkpoint.state_dict.values()):
            raise ValueError
    except WRONG:
        raise MusicgenError(DAMAGED) from None
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    """Refuse, by some exception, what could not be used; whether the weights are of the model, `build` sees."""
    for name, hint in get_type_hints(Checkpoint).items():
        kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        value = getattr(checkpoint, name)
        if isinstance(value, bool) or not isinstance(value, tuple(get_origin(kind) or kind for kind in kinds)):
            raise ValueError(f"says its {name} wrongly")
    size, listed, form = checkpoint.model_arguments["size"], len(checkpoint.words), FORMS[checkpoint.form]
    wanted = 0 if form.bits else size
    if (len(checkpoint.rates), listed, len(checkpoint.counts)) != (size, wanted, wanted):
        raise ValueError("lacks words, or how often they come")
    longest = max(map(len, checkpoint.words), default=0)
    limits = {
        "steps to read": (checkpoint.source, MAX_STEPS),
        "steps to write": (checkpoint.target, MAX_STEPS),
        "letters, each word as long as the longest": (longest * listed, MAX_LETTERS),
    }
    for what, (number, most) in limits.items():
        if number > most:
            raise ValueError(f"has {number:,} {what}, and {most:,} are the most")
    bounds = [
        size == (KEYS * form.bits or listed),
        listed == 0 or listed > len(SPECIALS),
        bool(checkpoint.model_arguments.get("ids")) == (listed > 0),
        bool(checkpoint.model_arguments.get("chords")) == (checkpoint.loss == "chord"),
        checkpoint.model_arguments["outputs"] == size + (form.bits > 0 and not checkpoint.sets_bits),
        all(isinstance(side, list) for side in checkpoint.split.values()),
        all(isinstance(value, int | float) for value in checkpoint.loss_arguments.values()),
        (min(checkpoint.rates) >= 0 and max(checkpoint.rates) <= 1),
        checkpoint.source >= (wanted > 0),
        checkpoint.target >= 1,
        1 <= checkpoint.steps_per_quarter <= MAX_GRID,
        0 < checkpoint.threshold < 1,
        all(isinstance(value, int | float) for row in checkpoint.history for value in row.values()),
    ]
    if not all(bounds):
        raise ValueError("is of no model that could play")
    Song(tempo=checkpoint.tempo, time_signature=checkpoint.time_signature).check()
    _ = checkpoint.lasting, checkpoint.progress  # which name what is no word, and miss what is not told of an epoch
