"""Trainings that go on: what may go on with which checkpoint, and whether it can."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from musicgen_cli.commands.options import typed
from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.training import Training

SAME = ("model_arguments", "loss_arguments", "form", "steps_per_quarter", "split", "content", "settings", "words")


def begun(path: Path, training: "Checkpoint") -> "Checkpoint | None":
    """Under torchrun, which starts processes anew: the checkpoint at `path`, if it is of this training, unfinished.

    After such a start a finished one, too.
    """
    from musicgen_cli import group
    from musicgen_cli.commands.inputs import load_checkpoint

    with contextlib.suppress(MusicgenError):
        found = load_checkpoint(path) if group.there() else None
        unfinished = found is not None and (found.resume is not None or group.restarted())
        return found if unfinished and found and alike(found, training) else None
    return None


def alike(one: "Checkpoint", other: "Checkpoint") -> bool:
    """Whether both are of the same training, which comes to the same wherever it was interrupted."""
    return all(getattr(one, name) == getattr(other, name) for name in SAME)


@contextlib.contextmanager
def going_on(path: Path, saved: "Checkpoint | None") -> Iterator[None]:
    """Say of a checkpoint whose settings or state cannot be gone on with that it is so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if not saved:
            raise
        raise MusicgenError(f"{path}: holds nothing that a training could go on from; train anew") from error


def check_weights(saved: "Checkpoint") -> None:
    """Raises ValueError, or LookupError, where the weights to go on with, or the best, are of another model."""
    assert saved.resume is not None  # it is unfinished
    if not (saved.fits(saved.resume["weights"]) and saved.fits(saved.state_dict)):
        raise ValueError("has weights of another model")


def restore(run: "Training", saved: "Checkpoint") -> None:
    from musicgen_cli.checkpoint import tensors

    assert saved.resume is not None
    run.restore(tensors(saved.resume), tensors(saved.state_dict))


def same_settings(context: typer.Context, saved: "Checkpoint", settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint to go on with; what is typed again has to be the same."""
    if saved.resume is None:
        raise MusicgenError(
            f"its training is finished, after {len(saved.history)} epochs; train anew with more --epochs"
        )
    if not settings.keys() <= saved.settings.keys():
        raise MusicgenError("lacks settings of the training it began; train anew")
    for name, value in settings.items():
        then = saved.settings[name]
        if value != then and (option := typed(context, [name])):
            raise MusicgenError(f"was begun with {option[0]} {then}, not {value}; leave the option out")
    return saved.settings


def same_songs(music: "Corpus", saved: "Checkpoint", path: Path) -> dict[str, list[int]]:
    """The sides of a checkpoint's split as indices into the same corpus, in the order that the training knows."""
    indices: dict[str, list[int]] = {}
    for i in reversed(range(len(music))):
        indices.setdefault(music.digest(i), []).append(i)
    missing = sum(not indices.get(digest) for digests in saved.split.values() for digest in digests)
    if missing:
        raise MusicgenError(f"{path}: lacks {missing} songs that the training began with; name the same corpus")
    sides = {side: [indices[digest].pop() for digest in digests] for side, digests in saved.split.items()}
    if music.content(sides["train"] + sides["valid"]) != saved.content:
        now, then = music.content(sides["train"] + sides["valid"])[:8], saved.content[:8]
        raise MusicgenError(f"{path}: holds other music ({now}) than the training began with ({then})")
    return sides
