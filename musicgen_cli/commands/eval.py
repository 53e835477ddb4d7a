from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen_cli.commands.options import Device, Json, Quiet, Seed, Threads, refuse_typed, typed, use
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus
    from musicgen_cli.evaluation import Report, Row

RUNNING_FREE = ("threshold", "temperature", "prime_steps", "length")


def evaluate(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Checkpoints and the corpus, or folder of *.npy, to score them on, or a corpus of samples."
            " Default: model.pt and rolls.npy (words.npy for a model that reads words).",
            allow_dash=True,
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Samples: compare them with the real music in this corpus.", allow_dash=True)
    ] = None,
    copied_from: Annotated[
        Path | None, typer.Option(help="Samples: what they copy from the songs in this corpus.", allow_dash=True)
    ] = None,
    split: Annotated[
        Literal["train", "valid", "test", "all"],
        typer.Option(help="Which songs; songs that the checkpoint never saw count as test."),
    ] = "test",
    threshold: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Output above which a bit is set; default: the model's own."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, max=10, help="Running free. Default: the likeliest steps, and drawn as `sample` draws."),
    ] = None,
    prime_steps: Annotated[int, typer.Option(min=1, help="Running free: steps of each song read first.")] = 128,
    length: Annotated[int, typer.Option(min=1, help="Running free: steps made, and compared with what came.")] = 128,
    json_: Json = False,
    device: Device = "auto",
    seed: Seed = 0,
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Score a model on songs it never trained on, or samples against real music.

    A model stands beside predictors that know nothing: by likelihood (nats of what came, with a 95 % interval over
    songs), one step ahead (it hears the true steps so far) and running free (only its own). Of several models the
    probabilities are averaged. Samples stand beside the range of real music, metric by metric.

    \b
    Examples:
      musicgen eval model.pt rolls.npy
      musicgen eval a.pt b.pt c.pt rolls.npy --split valid --json
      musicgen eval samples.npy --against rolls.npy --copied-from rolls.npy
    """
    given = files or []
    refuse_typed(
        {
            "standard input can be read once only.": [*given, against, copied_from].count(PIPE) > 1,
            "--against and --copied-from are for a corpus of samples: name it.": (against or copied_from) and not given,
            "a file is named twice.": len(set(given)) < len(given),
        }
    )
    models, corpora = _named(given or [Path("model.pt")])
    of_models = typed(context, (*RUNNING_FREE, "split"))
    if against or copied_from:
        if models:
            raise typer.BadParameter("--against and --copied-from are for a corpus of samples: name it, and no model.")
        if of_models:
            raise typer.BadParameter(f"{' and '.join(of_models)} are for models: samples are compared with all songs.")
        (samples,) = corpora.values()
        _samples(samples, against, copied_from, json_=json_, seed=seed, quiet=quiet)
        return
    if not models:
        raise typer.BadParameter(
            "a corpus of samples is compared with another: --against REAL or --copied-from TRAINED."
        )
    from musicgen_cli.streams import say, show, show_json

    path, music = _music(models, corpora)
    songs = _songs(models, path, music, split)
    computer = use(device, threads)
    if len(models) > 1:
        if set(of_models) - {"--split"}:
            raise typer.BadParameter(f"several models are scored by likelihood alone: no {' and '.join(of_models)}.")
        reports = _averaged(models, music, songs, computer)
    else:
        running = {"prime": prime_steps, "length": length, "seed": seed}
        reports = _scored(models, music, songs, computer, threshold, temperature, running)
    trained = list(models.values())
    if json_:
        show_json(_facts(reports, split, len(songs), trained))
        return
    show("\n".join(_tables(reports, split, len(songs), trained, f"{length} steps after {prime_steps}")))
    if len(models) == 1 and "free_running" not in reports:
        longer = prime_steps + length
        say(f"no song lasts {longer} steps: not run free; try a smaller --prime-steps or --length", quiet)


def _named(files: list[Path]) -> "tuple[dict[Path, Checkpoint], dict[Path, Corpus]]":
    """The checkpoints among these files, and the corpus, or folder of one, if there is any."""
    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.commands.inputs import load_any, load_corpora, shards

    def loaded(path: Path) -> "Checkpoint | Corpus":
        return load_corpora(shards([path])) if path.is_dir() else load_any(path, "musicgen train")

    named = {path: loaded(path) for path in files}
    models = {path: file for path, file in named.items() if isinstance(file, Checkpoint)}
    corpora = {path: file for path, file in named.items() if not isinstance(file, Checkpoint)}
    if len(corpora) > 1:
        raise typer.BadParameter(f"{' and '.join(map(str, corpora))} are corpora: name one, or a folder of them.")
    return models, corpora


def _samples(
    samples: "Corpus", against: Path | None, copied_from: Path | None, *, json_: bool, seed: int, quiet: bool
) -> None:
    from musicgen_cli.commands.against import compare
    from musicgen_cli.commands.inputs import load_corpus

    real, training = (load_corpus(path) if path else None for path in (against, copied_from))
    compare(samples, real, training, json_=json_, seed=seed, quiet=quiet)


def _music(models: "dict[Path, Checkpoint]", corpora: "dict[Path, Corpus]") -> "tuple[Path, Corpus]":
    """The corpus that was named, or the usual one of the first model."""
    from musicgen_cli.commands.inputs import load_corpus

    if corpora:
        return next(iter(corpora.items()))
    first = next(iter(models.values()))
    usual = Path("words.npy" if first.vocabulary else "rolls.npy")
    return usual, load_corpus(usual)


def _songs(models: "dict[Path, Checkpoint]", path: Path, music: "Corpus", split: str) -> list[int]:
    """The songs that are on this side of every model's split."""
    from musicgen_cli.commands.inputs import check_form
    from musicgen_cli.evaluation import choose_songs
    from musicgen_cli.streams import naming

    for model, trained in models.items():
        with naming(path):
            check_form(music, trained)
        if len(models) > 1 and trained.vocabulary:
            raise MusicgenError(f"{model}: reads words: only models of rolls are averaged")

    def on(side: str) -> list[int]:
        return sorted(set.intersection(*(set(choose_songs(trained, music, side)) for trained in models.values())))

    if not (songs := on(split)):
        others = [side for side in next(iter(models.values())).split if on(side)]
        hint = f"; there are some on {' and '.join(others)}" if others else ""
        raise MusicgenError(f"{path}: no song is on the {split} side of {' and '.join(map(str, models))}{hint}")
    return songs


def _averaged(
    models: "dict[Path, Checkpoint]", music: "Corpus", songs: list[int], computer: "torch.device"
) -> "dict[str, Report]":
    from musicgen_cli.evaluation import averaged

    return {"one_step": averaged({str(path): trained for path, trained in models.items()}, music, songs, computer)}


def _scored(
    models: "dict[Path, Checkpoint]",
    music: "Corpus",
    songs: list[int],
    computer: "torch.device",
    threshold: float | None,
    temperature: float | None,
    running: dict[str, int],
) -> "dict[str, Report]":
    """The one model one step ahead, and running free where songs are long enough."""
    from musicgen_cli.evaluation import free_running, one_step
    from musicgen_cli.temperature import usual

    ((path, trained),) = models.items()
    if threshold and not trained.sets_bits:
        raise MusicgenError(f"{path}: chooses words or notes: --threshold is for bce and focal")
    threshold = threshold or trained.threshold
    both = {"model": 0.0, "model, drawn": usual(trained.loss)}
    temperatures = both if temperature is None else {"model": temperature}
    network = trained.build(computer)
    reports = {"one_step": one_step(trained, network, music, songs, threshold, computer)}
    free = free_running(
        trained, network, music, songs, computer, threshold=threshold, temperatures=temperatures, **running
    )
    return reports | ({"free_running": free} if free else {})


def _facts(reports: "dict[str, Report]", split: str, songs: int, models: "list[Checkpoint]") -> dict[str, Any]:
    ahead, trained = reports["one_step"], models[0]
    facts: dict[str, Any] = {"split": split, "songs": songs, f"{ahead.unit}s": ahead.steps}
    facts |= {"unknown_words": ahead.unknown} if trained.vocabulary else {}
    facts |= {"memory": _remember(models), "notes": ahead.judged.notes, "quarters": ahead.judged.quarters}
    facts |= {"trained": trained.progress, "free_running": []} if len(models) == 1 else {}
    return facts | {name: report.as_dicts() for name, report in reports.items()}


def _remember(models: "list[Checkpoint]") -> bool:
    return any(model.model_arguments.get("memory") for model in models)


def _tables(
    reports: "dict[str, Report]", split: str, songs: int, models: "list[Checkpoint]", free: str
) -> "Iterator[str]":
    """free: how far the model ran free, and after how many steps."""
    from musicgen_cli.streams import counted

    ahead, words = reports["one_step"], models[0].vocabulary
    noun = "song" if split == "all" else f"{split} song"
    told = f"{counted(songs, noun)}, {counted(ahead.steps, ahead.unit)}"
    told += f", {ahead.unknown} unknown" if words else ""
    told += "; with memory" if _remember(models) else ""
    yield _table(f"Negative log-likelihood in nats: {told}", ahead, _likelihood)
    if len(models) == 1:
        counts = ahead.rows[0].all
        density = f", density {counts.actual / counts.bits:.4f}" if not words else ""
        yield _table(f"\nOne {ahead.unit} ahead{density}", ahead, _bits)
    if report := reports.get("free_running"):
        yield _table(f"\nRunning free: {free}, {counted(len(report.rows[0].songs), noun)}", report, _bits)


def _table(title: str, report: "Report", cells: "Callable[[Report, Row], dict[str, str]]") -> str:
    from musicgen_cli.commands.tables import table

    rows = {row.name: found for row in report.rows if (found := cells(report, row))}
    columns = list(next(iter(rows.values())))
    told = ([name, *(found.get(column, "") for column in columns)] for name, found in rows.items())
    return table(title, ["predictor", *columns], told)


def _likelihood(report: "Report", row: "Row") -> dict[str, str]:
    """A predictor's nats by column; nothing where it has none."""
    from musicgen_cli.likelihood import summary

    if row.nats is None:
        return {}
    values, unit = summary(row.nats, report.judged), report.unit
    told = {name: f"{value:.3f}" if abs(value) < 1e6 else f"{value:.1e}" for name, value in values.items()}
    ranges = (f"nats_per_{unit}", "nats_without_first")
    for name in ranges:
        told[f"{name}_range"] = f"{told[f'{name}_low']} to {told[f'{name}_high']}"
    columns = {
        f"nats/{unit}": f"nats_per_{unit}",
        "95 % interval": f"nats_per_{unit}_range",
        "without the first": "nats_without_first",
        "95 %": "nats_without_first_range",
        "/note": "nats_per_note",
        "/quarter": "nats_per_quarter",
        "changed": "nats_per_changed_step",
        "repeated": "nats_per_repeated_step",
        "perplexity": "perplexity",
    }
    return {title: told[name] for title, name in columns.items() if name in told}


def _bits(report: "Report", row: "Row") -> dict[str, str]:
    """A predictor's scores by column, over all songs; of two of them also mean and standard deviation over songs."""
    counts = row.all
    if not row.songs:
        return {}
    cells = {"loss": f"{row.loss:.3f}" if row.loss is not None else ""} if report.rows[0].loss is not None else {}
    scores = {"accuracy": row.accuracy, "recall": counts.recall, "precision": counts.precision, "F1": counts.f1}
    cells |= {name: f"{value:.3f}" for name, value in scores.items()}
    cells |= {"density": f"{counts.density:.4f}"}
    spreads = (("recall ± sd", "recall"), ("precision ± sd", "precision"))
    return cells | {name: "{:.3f} ± {:.3f}".format(*row.spread(score)) for name, score in spreads}
