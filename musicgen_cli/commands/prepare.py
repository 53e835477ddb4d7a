"""From songs and settings to a training, and to the checkpoint that it will fill."""

import io
import statistics
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen_cli.commands.watch import row
from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.material import Material
    from musicgen_cli.training import Training
    from musicgen_cli.vocabulary import Vocabulary

SIZES = ("hidden", "layers", "dense", "dropout", "dense_dropout")
LEARNING = (
    "epochs", "batch_size", "optimizer", "learning_rate", "warmup", "weight_decay", "clip", "teacher_forcing",
    "forcing_decay", "transpose", "patience", "seed", "precision",
)  # fmt: skip


def material_of(music: "Corpus", songs: list[int], furthest: int, vocabulary: "Vocabulary | None") -> "Material":
    from musicgen_cli.material import of_rolls, of_words

    return of_rolls(music, songs) if music.bits else of_words(music, songs, furthest, vocabulary)


def new_checkpoint(
    music: "Corpus", sides: dict[str, list[int]], settings: dict[str, Any], material: "Material"
) -> "Checkpoint":
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.losses import LOSSES
    from musicgen_cli.representations import FORMS

    about = [music.songs[i] for i in sides["train"]]
    loss_type = LOSSES[FORMS[music.form].name][settings["loss"]]
    known = {"alpha": settings["alpha"], "gamma": settings["gamma"], **material.loss}
    loss = loss_type(**{field.name: known[field.name] for field in fields(loss_type)})
    words = material.vocabulary
    return Checkpoint(
        model=settings["model"],
        model_arguments={
            "size": material.size,
            "outputs": loss.outputs(material.size),
            "ids": words is not None,
            "chords": settings["loss"] == "chord",
            "memory": settings["memory"],
            "tonality": settings["loss"] == "chord",
            "shifts": settings["transpose"] if settings["loss"] == "chord" else 0,
            **{name: settings[name] for name in SIZES},
        },
        loss=settings["loss"],
        loss_arguments=asdict(loss),
        form=music.form,
        steps_per_quarter=music.steps_per_quarter,
        tempo=statistics.median(song.tempo for song in about),
        time_signature=Counter(song.time_signature for song in about).most_common(1)[0][0],
        source=settings["source"],
        target=settings["target"],
        rates=material.rates.tolist(),
        split={side: [music.digest(i) for i in songs] for side, songs in sides.items()},
        content=music.content(sides["train"] + sides["valid"]),
        settings=settings,
        state_dict={},
        words=words.words.tolist() if words else [],
        counts=words.counts.tolist() if words else [],
    )


def prepare(
    state: "Checkpoint", material: "Material", sides: dict[str, list[int]], computer: Any, path: Path
) -> "Training":
    import torch

    from musicgen_cli.dataset import cover, inside, recalled
    from musicgen_cli.models import MODELS
    from musicgen_cli.training import Training

    settings, steps = state.settings, material.steps
    torch.manual_seed(settings["seed"])
    model = MODELS[state.model].network(**state.model_arguments)
    hears = {
        "hearing": model.hearing,
        "recalled": recalled(steps, sides["train"] + sides["valid"], model.hearing),
    }
    windows = inside(steps, sides["train"], state.source, state.target, settings["hop"], **hears)
    if not len(windows):
        raise MusicgenError(
            f"{path}: no training song is as long as a window of {state.target} steps; try a smaller --target"
        )
    valid = cover(steps, sides["valid"], state.source, state.target, **hears)
    return Training(
        model,
        state.build_loss(),
        windows,
        valid if len(valid) else None,
        material.rates,
        device=computer,
        move=material.move,
        **{name: settings[name] for name in LEARNING},
    )


def check_fit(state: "Checkpoint", run: "Training", path: Path) -> None:
    """Refuse, before it learns, a training that after its last epoch no checkpoint could hold."""
    import torch

    from musicgen_cli import archive, checkpoint
    from musicgen_cli.metrics import Counts
    from musicgen_cli.training import Epoch, Scores

    longest = max(map(len, state.words), default=0)
    digests = 3 * sum(map(len, state.split.values()))  # whose letters are too many before they themselves are
    values = len(state.words) * (3 + longest // 16) + digests + 40 * run.epochs
    if values < archive.MAX_VALUES // 2:
        return  # as nearly always; to make sure takes as long as to save so much

    def bare() -> dict[str, torch.Tensor]:
        return {name: torch.zeros(0) for name in run.model.state_dict()}

    told = Scores(1.0, 2, Counts(1, 1, 1, 4))
    rows = [row(Epoch(number, told, told, 0.5, 0.5, 0.5, best=True), of_words=False) for number in range(run.epochs)]
    going_on = {"weights": bare(), "optimizer": [bare() for _ in range(4)]}  # at most: three of each weight, and more
    try:
        checkpoint.save(replace(state, state_dict=bare(), history=rows, resume=going_on), io.BytesIO())
    except MusicgenError as error:
        words = "fewer words (`vocab --min-count` or `--size`, then --vocab), " if state.words else ""
        raise MusicgenError(f"{path}: {error}; take {words}fewer songs or fewer --epochs") from error
