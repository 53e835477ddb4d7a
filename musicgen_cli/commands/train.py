import contextlib
import io
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen_cli.commands.options import Device, Precision, Quiet, Seed, Threads, use
from musicgen_cli.commands.watch import Stop, ending, row, sparing, summary, watched, write_log
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE, alone, check_target, refuse_suffix, say

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
SETTINGS = ("model", "loss", "alpha", "gamma", "memory", "source", "target", "hop", *SIZES, *LEARNING)
MAX_STEPS = 1 << 17  # score.MAX_STEPS, which a checkpoint is held to: to import it would import NumPy
SAME = ("model_arguments", "loss_arguments", "form", "steps_per_quarter", "split", "content", "settings", "words")


def train(
    context: typer.Context,
    corpora: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CORPORA",
            help="Corpora, or folders of *.npy. Default: rolls.npy; for --model text words.npy.",
            allow_dash=True,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint to write.")] = Path("model.pt"),
    model: Annotated[
        Literal["text", "next", "seq2seq", "poly"] | None,
        typer.Option(
            help="text, next: one LSTM; seq2seq, poly: encoder-decoder. text reads words, the others both."
            " Default: poly; with --loss chord next."
        ),
    ] = None,
    loss: Annotated[
        Literal["cross-entropy", "bce", "focal", "chord"] | None,
        typer.Option(
            help="chord: whole chords, note by note. Default: poly on rolls: focal; else cross-entropy: one word, or"
            " one key, a step."
        ),
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Hear what followed the last time that the latest steps were the same.")
    ] = False,
    vocab: Annotated[
        Path | None, typer.Option(help="The words to know (`musicgen vocab`). Default: those of the training songs.")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.01, max=0.99, help="focal: weight of the set bits.")] = 0.75,
    gamma: Annotated[float, typer.Option(min=0, max=10, help="focal: how little the easy bits count.")] = 2.0,
    hidden: Annotated[
        int | None, typer.Option(min=1, help="Units of each LSTM layer. Default: 512; chord 256.")
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="LSTM layers, of encoder and decoder each. Default: 2; text 3; chord 1."),
    ] = None,
    dense: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Units between the LSTM and the output, and of the embedding of a word. Default: 256; chord 128.",
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.95, help="Between LSTM layers; chord: before each. Default: 0.2; text 0.3; chord 0.5."
        ),
    ] = None,
    dense_dropout: Annotated[
        float | None,
        typer.Option(min=0, max=0.95, help="After the dense layer; chord: after the LSTM. Default: 0.5; text 0.3."),
    ] = None,
    source: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_STEPS,
            help="Steps, or words, read before writing: 32 sixteenths are two bars; 0: songs from their beginning."
            " Default: 32; chord 0.",
        ),
    ] = None,
    target: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_STEPS, help="Steps, or words, written after each reading. Default: 32; chord 1024, at most."
        ),
    ] = None,
    hop: Annotated[
        int | None, typer.Option(min=1, help="Steps, or words, from one window to the next; default: a target.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Passes over the training songs. Default: 30; chord 40.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Stop in good order after this long; 0 is never.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Windows learned from at once, by all processes. Default: 8; chord 4.")
    ] = None,
    optimizer: Annotated[
        Literal["adamw", "rmsprop"], typer.Option(help="rmsprop is what the first experiment used.")
    ] = "adamw",
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate", "--lr", min=0, help="Its peak, after the warm-up. Default: 0.002; chord 0.004."
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=0, help="Batches until the learning rate's peak; a cosine falls from there. Default: 100; chord 20."
        ),
    ] = None,
    weight_decay: Annotated[float, typer.Option(min=0, help="adamw: how much weights are drawn to 0.")] = 0.01,
    clip: Annotated[float, typer.Option(min=1e-9, help="Largest norm of the gradient.")] = 1.0,
    teacher_forcing: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of steps that hear the truth, not the model's choice. Default: 1; poly 0.8.",
        ),
    ] = None,
    forcing_decay: Annotated[
        Literal["constant", "linear", "quadratic"],
        typer.Option(help="Whether and how that share falls to 0 with the epochs."),
    ] = "constant",
    transpose: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=24,
            help="Move each window at random, by up to so many keys, up or down; chord is told how far."
            " Default: 4; chord 5.",
        ),
    ] = None,
    patience: Annotated[
        int, typer.Option(min=0, help="Stop after so many epochs without a better one; 0 is never.")
    ] = 10,
    split: Annotated[
        Path | None, typer.Option(help='Who is on which side: JSON {"train": [names], "valid": [...], "test": [...]}.')
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Write the scores of each epoch to this CSV file.")] = None,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Save within epochs, too, after every so many batches; over another model only when one is done.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished checkpoint, with the settings it has.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    seed: Seed = 0,
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Train a model on a corpus, or on several as if they were one, and keep its best epoch.

    Songs are dealt onto training, validation and test by their content, near-copies together; `eval` knows them again.
    The checkpoint is written after every epoch. Ctrl-C ends the batch, saves, and `--resume` goes on as if it had not.

    \b
    Examples:
      musicgen train --model poly --loss focal
      musicgen train rolls.npy --loss chord --memory
      musicgen train rolls.npy -o small.pt --hidden 128 --epochs 10 --log small.csv
      musicgen train rolls.npy -o small.pt --resume
      musicgen train shards -o large.pt
      torchrun --nproc-per-node 4 -m musicgen_cli train rolls.npy --batch-size 64
    """
    from musicgen_cli import checkpoint, group, midi
    from musicgen_cli.commands.inputs import check_form, load_checkpoint, load_corpora, load_vocabulary, shards
    from musicgen_cli.models import CHORDS, DEFAULTS, MODELS
    from musicgen_cli.streams import naming
    from musicgen_cli.streams import output as open_output

    if output == PIPE:
        raise typer.BadParameter("a checkpoint is written after every epoch: -o has to name a file.")
    if resume and (split or vocab):
        raise typer.BadParameter("--resume keeps the split and the words that it began with: leave them out.")
    check_target(output)
    if not group.rank():
        context.with_resource(alone(output))
    saved = group.shared(lambda: load_checkpoint(output)) if resume else None
    model = model or ("next" if loss == "chord" else "poly")
    of_words = saved.vocabulary is not None if saved else model == "text"
    given = corpora or [Path("words.npy" if of_words else "rolls.npy")]
    corpus = given[0] if len(given) == 1 else Path(f"{given[0]} and {len(given) - 1} more")
    paths = shards(given)
    inputs = [*paths, *([split] if split else []), *([vocab] if vocab else [])]
    check_target(output, *inputs)
    refuse_suffix(output, ".npy", *midi.SUFFIXES)
    if log:
        check_target(log, output, *inputs)
        refuse_suffix(log, ".npy", ".pt", *midi.SUFFIXES)
    computer = use(device, threads, precision)
    settings: dict[str, Any] = {name: context.params[name] for name in SETTINGS} | {"model": model}
    own = CHORDS if loss == "chord" else MODELS[model].settings | ({"teacher_forcing": 1.0} if memory else {})
    for name, usual in (DEFAULTS | own).items():
        settings[name] = usual if settings[name] is None else settings[name]
    settings["hop"] = hop or settings["target"]
    if PIPE in inputs and group.size() > 1:
        raise MusicgenError("several processes cannot read one pipe: name a file")
    together = (saved.settings if saved else settings).get("batch_size", group.size())
    if together < group.size() > 1:
        wanted = f"--batch-size {together} is of all {group.size()} processes together"
        raise MusicgenError(f"{wanted}: take {group.size()} or more, or fewer processes")

    music = load_corpora(paths)
    known = load_vocabulary(vocab) if vocab else None
    with naming(corpus):
        if saved:
            check_form(music, saved)
        settings["loss"] = _fitting_loss(saved.model if saved else model, loss, music)
        if vocab and music.bits:
            raise MusicgenError("holds rolls: --vocab is for words")
        if memory and not music.bits:
            raise MusicgenError("holds words: --memory is for rolls")
        if not settings["source"] and not music.bits:
            raise MusicgenError("holds words: --source 0 is for rolls")
    if saved:
        with naming(output):
            settings = _same_settings(context, saved, settings)
        sides, known = _same_songs(music, saved, corpus), saved.vocabulary
    elif (memory or loss == "chord") and (settings["teacher_forcing"] < 1 or forcing_decay != "constant"):
        raise MusicgenError("--memory and --loss chord recall the true steps: they go with full --teacher-forcing only")
    else:
        sides = _deal(music, corpus, split)
    if not sides["train"]:
        raise MusicgenError(f"{corpus}: no song is on the training side of the split")
    with naming(corpus):
        material = _material(music, sides["train"], settings["transpose"], known)
    asked: Checkpoint = saved or _new_checkpoint(music, sides, settings, material)
    state: Checkpoint = group.shared(lambda: _begun(output, asked) or asked)
    if not _alike(state, asked):
        raise MusicgenError(f"{corpus}: other music, or other options, than the first process has; give all the same")
    if group.restarted() and state.history and state.resume is None:
        return say(f"{output}: this training is finished", quiet)
    if state.resume and not saved:
        saved = state
        say(f"{output}: this training, begun: goes on", quiet)
    with sparing(settings["batch_size"], resume), _going_on(output, saved):
        if saved and saved.resume is not None and not all(map(saved.fits, (saved.resume["weights"], saved.state_dict))):
            raise ValueError("has weights of another model")
        run = _prepare(state, material, sides, computer, corpus)
        if saved and saved.resume is not None:
            run.restore(checkpoint.tensors(saved.resume), checkpoint.tensors(saved.state_dict))
    if not saved:
        _check_fit(state, run, corpus)
    if material.unknown:
        moved = f" (moved by up to {settings['transpose']} keys)" if settings["transpose"] else ""
        hint = "; `vocab --transpose` counts such words" if moved else ""
        told = f"{material.unknown:.1%} of the words of the training songs{moved} are none of the vocabulary{hint}"
        say(told, quiet)
    say(summary(music, sides, run), quiet)

    fresh = saved is None and output.exists()
    with Stop(minutes) as stop, sparing(settings["batch_size"], resume):
        for epoch in watched(run, stop, quiet, save_every):
            if group.rank():
                continue
            if epoch:
                state.history.append(row(epoch, run.of_words))
            elif fresh and not run.best_epoch:
                continue  # nothing learned yet that is worth another model's place
            state.state_dict = run.best_weights or run.state()["weights"]
            state.resume = run.state()  # until the threshold is there: --resume fits it where that was interrupted
            with open_output(output) as file:
                checkpoint.save(state, file)
            if epoch and log:
                write_log(log, state.history)
    if run.best_epoch and not stop.code:
        state.threshold = group.shared(run.fit_threshold)
        state.resume = None if run.finished else run.state()
        if not group.rank():
            with open_output(output) as file:
                checkpoint.save(state, file)
    kept = fresh and not run.best_epoch
    say(ending(run, output) if not kept else f"no epoch finished: {output} is what it was", quiet)
    if stop.code:
        raise typer.Exit(stop.code)


def _begun(path: Path, training: "Checkpoint") -> "Checkpoint | None":
    """Under torchrun, which starts processes anew: the checkpoint at `path`, if it is of this training, unfinished.

    After such a start a finished one, too.
    """
    from musicgen_cli import group
    from musicgen_cli.commands.inputs import load_checkpoint

    with contextlib.suppress(MusicgenError):
        found = load_checkpoint(path) if group.there() else None
        unfinished = found is not None and (found.resume is not None or group.restarted())
        return found if unfinished and found and _alike(found, training) else None
    return None


def _alike(one: "Checkpoint", other: "Checkpoint") -> bool:
    """Whether both are of the same training, which comes to the same wherever it was interrupted."""
    return all(getattr(one, name) == getattr(other, name) for name in SAME)


@contextlib.contextmanager
def _going_on(path: Path, saved: "Checkpoint | None") -> Iterator[None]:
    """Say of a checkpoint whose settings or state cannot be gone on with that it is so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if not saved:
            raise
        raise MusicgenError(f"{path}: holds nothing that a training could go on from; train anew") from error


def _check_fit(state: "Checkpoint", run: "Training", path: Path) -> None:
    """Refuse, before it learns, a training that after its last epoch no checkpoint could hold."""
    import torch

    from musicgen_cli import archive, checkpoint
    from musicgen_cli.metrics import Counts
    from musicgen_cli.training import Epoch, Scores

    longest = max(map(len, state.words), default=0)
    values = len(state.words) * (3 + longest // 16) + sum(map(len, state.split.values())) + 40 * run.epochs
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


def _fitting_loss(model: str, loss: str | None, music: "Corpus") -> str:
    """The loss to train a model with on a corpus; refused where the three do not go together."""
    from musicgen_cli.losses import LOSSES
    from musicgen_cli.models import MODELS
    from musicgen_cli.representations import FORMS

    held, own = FORMS[music.form].name, MODELS[model].loss
    if held not in own:
        others = " or ".join(f"--model {name}" for name, recipe in MODELS.items() if held in recipe.loss)
        way = "encode it with --as words, or take" if held == "roll" else "take"
        raise MusicgenError(f"holds {music.form}, and --model {model} reads {' or '.join(own)}: {way} {others}")
    if loss and loss not in LOSSES[held]:
        raise MusicgenError(f"holds {music.form}, and --loss {loss} does not fit: take {' or '.join(LOSSES[held])}")
    return loss or own[held]


def _same_settings(context: typer.Context, saved: "Checkpoint", settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint to go on with; what is typed again has to be the same."""
    if saved.resume is None:
        raise MusicgenError(
            f"its training is finished, after {len(saved.history)} epochs; train anew with more --epochs"
        )
    if not settings.keys() <= saved.settings.keys():
        raise MusicgenError("lacks settings of the training it began; train anew")
    for name, value in settings.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and value != saved.settings.get(name, value):
            option = "--" + name.replace("_", "-")
            raise MusicgenError(f"was begun with {option} {saved.settings[name]}, not {value}; leave the option out")
    return saved.settings


def _same_songs(music: "Corpus", saved: "Checkpoint", path: Path) -> dict[str, list[int]]:
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


def _deal(music: "Corpus", path: Path, split_file: Path | None) -> dict[str, list[int]]:
    from musicgen_cli.split import read_split, split
    from musicgen_cli.streams import naming, read_bytes

    if split_file is None:
        return split(music)
    with naming(split_file):
        sides, missing = read_split(read_bytes(split_file), music)
    for what, number in missing.items():
        say(f"{path}: {number} {what}")
    return sides


def _material(music: "Corpus", songs: list[int], furthest: int, vocabulary: "Vocabulary | None") -> "Material":
    from musicgen_cli.material import of_rolls, of_words

    return of_rolls(music, songs) if music.bits else of_words(music, songs, furthest, vocabulary)


def _prepare(
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


def _new_checkpoint(
    music: "Corpus", sides: dict[str, list[int]], settings: dict[str, Any], material: "Material"
) -> "Checkpoint":
    from dataclasses import asdict, fields

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
