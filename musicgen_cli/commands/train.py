from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen_cli.commands.going_on import alike, begun, check_weights, going_on, restore, same_settings, same_songs
from musicgen_cli.commands.options import Device, Precision, Quiet, Seed, Threads, use
from musicgen_cli.commands.prepare import LEARNING, SIZES, check_fit, material_of, new_checkpoint, prepare
from musicgen_cli.commands.watch import Stop, ending, row, sparing, summary, watched, write_log
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE, alone, check_target, refuse_suffix, say

if TYPE_CHECKING:
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.material import Material
    from musicgen_cli.training import Epoch, Training

SETTINGS = ("model", "loss", "alpha", "gamma", "memory", "source", "target", "hop", *SIZES, *LEARNING)
MAX_STEPS = 1 << 17  # score.MAX_STEPS, which a checkpoint is held to: to import it would import NumPy


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
    from musicgen_cli import group
    from musicgen_cli.commands.inputs import check_form, load_checkpoint, load_corpora, load_vocabulary, shards
    from musicgen_cli.streams import naming

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
    inputs = [*paths, *filter(None, (split, vocab))]
    _check_names(output, log, inputs)
    computer = use(device, threads, precision)
    settings = _settings(context.params, model)
    _refuse_processes(inputs, saved.settings if saved else settings)

    music = load_corpora(paths)
    known = load_vocabulary(vocab) if vocab else None
    with naming(corpus):
        if saved:
            check_form(music, saved)
        settings["loss"] = _fitting_loss(saved.model if saved else model, loss, music)
        _check_fitting(settings, vocab, music)
    if saved:
        with naming(output):
            settings = same_settings(context, saved, settings)
        sides, known = same_songs(music, saved, corpus), saved.vocabulary
    else:
        _check_forcing(settings)
        sides = _deal(music, corpus, split)
    if not sides["train"]:
        raise MusicgenError(f"{corpus}: no song is on the training side of the split")
    with naming(corpus):
        material = material_of(music, sides["train"], settings["transpose"], known)

    asked: Checkpoint = saved or new_checkpoint(music, sides, settings, material)
    state: Checkpoint = group.shared(lambda: begun(output, asked) or asked)
    if not alike(state, asked):
        raise MusicgenError(f"{corpus}: other music, or other options, than the first process has; give all the same")
    if group.restarted() and state.history and state.resume is None:
        return say(f"{output}: this training is finished", quiet)
    if state.resume and not saved:
        saved = state
        say(f"{output}: this training, begun: goes on", quiet)
    with sparing(settings["batch_size"], resume), going_on(output, saved):
        if saved:
            check_weights(saved)
        run = prepare(state, material, sides, computer, corpus)
        if saved:
            restore(run, saved)
    if not saved:
        check_fit(state, run, corpus)
    _tell_unknown(material, settings["transpose"], quiet)
    say(summary(music, sides, run), quiet)

    fresh = saved is None and output.exists()
    with Stop(minutes) as stop, sparing(settings["batch_size"], resume):
        _learn(run, state, watched(run, stop, quiet, save_every), output, log, fresh)
    if run.best_epoch and not stop.code:
        _finish(run, state, output)
    kept = fresh and not run.best_epoch
    say(ending(run, output) if not kept else f"no epoch finished: {output} is what it was", quiet)
    if stop.code:
        raise typer.Exit(stop.code)


def _check_names(output: Path, log: Path | None, inputs: list[Path]) -> None:
    """Refuse to write over what is read, or under a name that says something else."""
    from musicgen_cli import midi

    check_target(output, *inputs)
    refuse_suffix(output, ".npy", *midi.SUFFIXES)
    if log:
        check_target(log, output, *inputs)
        refuse_suffix(log, ".npy", ".pt", *midi.SUFFIXES)


def _settings(params: dict[str, Any], model: str) -> dict[str, Any]:
    """The settings of a training by the names of its options: what was typed, or the defaults of its model and loss."""
    from musicgen_cli.models import CHORDS, DEFAULTS, MODELS

    settings = {name: params[name] for name in SETTINGS} | {"model": model}
    recalling = {"teacher_forcing": 1.0} if settings["memory"] else {}
    own = CHORDS if settings["loss"] == "chord" else MODELS[model].settings | recalling
    for name, usual in (DEFAULTS | own).items():
        settings[name] = usual if settings[name] is None else settings[name]
    settings["hop"] = settings["hop"] or settings["target"]
    return settings


def _refuse_processes(inputs: list[Path], settings: dict[str, Any]) -> None:
    """Refuse several processes where they could not share what they read, or a batch."""
    from musicgen_cli import group

    if PIPE in inputs and group.size() > 1:
        raise MusicgenError("several processes cannot read one pipe: name a file")
    together = settings.get("batch_size", group.size())
    if together < group.size() > 1:
        wanted = f"--batch-size {together} is of all {group.size()} processes together"
        raise MusicgenError(f"{wanted}: take {group.size()} or more, or fewer processes")


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


def _check_fitting(settings: dict[str, Any], vocab: Path | None, music: "Corpus") -> None:
    """Refuse options that are for music of another form."""
    if vocab and music.bits:
        raise MusicgenError("holds rolls: --vocab is for words")
    if settings["memory"] and not music.bits:
        raise MusicgenError("holds words: --memory is for rolls")
    if not settings["source"] and not music.bits:
        raise MusicgenError("holds words: --source 0 is for rolls")


def _check_forcing(settings: dict[str, Any]) -> None:
    recalls = settings["memory"] or settings["loss"] == "chord"
    if recalls and (settings["teacher_forcing"] < 1 or settings["forcing_decay"] != "constant"):
        raise MusicgenError("--memory and --loss chord recall the true steps: they go with full --teacher-forcing only")


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


def _tell_unknown(material: "Material", furthest: int, quiet: bool) -> None:
    if not material.unknown:
        return
    moved = f" (moved by up to {furthest} keys)" if furthest else ""
    hint = "; `vocab --transpose` counts such words" if moved else ""
    told = f"{material.unknown:.1%} of the words of the training songs{moved} are none of the vocabulary{hint}"
    say(told, quiet)


def _learn(
    run: "Training",
    state: "Checkpoint",
    events: "Iterable[Epoch | None]",
    output: Path,
    log: Path | None,
    fresh: bool,
) -> None:
    """Save after each event, but over another model (fresh) only once an epoch is done; in a group the first does."""
    from musicgen_cli import group

    for epoch in events:
        if group.rank():
            continue
        if epoch:
            state.history.append(row(epoch, run.of_words))
        elif fresh and not run.best_epoch:
            continue  # nothing learned yet that is worth another model's place
        state.state_dict = run.best_weights or run.state()["weights"]
        state.resume = run.state()  # until the threshold is there: --resume fits it where that was interrupted
        _save(state, output)
        if epoch and log:
            write_log(log, state.history)


def _finish(run: "Training", state: "Checkpoint", output: Path) -> None:
    """Fit the threshold and save for the last time."""
    from musicgen_cli import group

    state.threshold = group.shared(run.fit_threshold)
    state.resume = None if run.finished else run.state()
    if not group.rank():
        _save(state, output)


def _save(state: "Checkpoint", path: Path) -> None:
    from musicgen_cli import checkpoint
    from musicgen_cli.streams import output

    with output(path) as file:
        checkpoint.save(state, file)
