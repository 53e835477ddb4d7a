import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen_cli.commands.options import Device, Json, Quiet, Seed, Threads, use
from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen_cli.evaluation import Report, Row

TABLE_WIDTH = 140


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint; - is stdin.", allow_dash=True)] = Path("model.pt"),
    corpus: Annotated[
        Path | None,
        typer.Argument(
            help="A corpus. Default: rolls.npy, or words.npy for a model that reads words.", allow_dash=True
        ),
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
    """Score a model on songs it never trained on, beside predictors that know nothing.

    One step ahead, it hears the true steps so far; running free, only its own. The loss it was trained by is comparable
    between models with the same loss; nats, the negative log-likelihood of what came, between all: per step (or word),
    per note, per quarter note. Accuracy is over all bits, and high for silence, or over words. `± sd`: mean and
    standard deviation over songs.

    \b
    Examples:
      musicgen eval model.pt rolls.npy
      musicgen eval text.pt words.npy --split valid --json
    """
    import json

    from musicgen_cli.commands.inputs import check_form, load_checkpoint, load_corpus
    from musicgen_cli.evaluation import choose_songs, free_running, one_step
    from musicgen_cli.sampling import usual_temperature
    from musicgen_cli.streams import counted, naming, say, show

    computer = use(device, threads)
    trained = load_checkpoint(model)
    corpus = corpus or Path("words.npy" if trained.vocabulary else "rolls.npy")
    music = load_corpus(corpus)
    with naming(corpus):
        check_form(music, trained)
        songs = choose_songs(trained, music, split)
    if not songs:
        others = [side for side in trained.split if choose_songs(trained, music, side)]
        hint = f"; there are some on {' and '.join(others)}" if others else ""
        raise MusicgenError(f"{corpus}: no song is on the {split} side of {model}{hint}")
    if threshold and not trained.sets_bits:
        raise MusicgenError(f"{model}: makes one choice a step: --threshold is for bce and focal")
    threshold = threshold or trained.threshold
    usual = {"model": 0.0, "model, drawn": usual_temperature(trained.build_loss())}
    temperatures = usual if temperature is None else {"model": temperature}
    network = trained.build(computer)
    ahead = one_step(trained, network, music, songs, threshold, computer)
    free = free_running(
        trained,
        network,
        music,
        songs,
        computer,
        prime=prime_steps,
        length=length,
        threshold=threshold,
        temperatures=temperatures,
        seed=seed,
    )
    if json_:
        facts: dict[str, Any] = {"split": split, "songs": len(songs), f"{ahead.unit}s": ahead.steps}
        facts |= {"unknown_words": ahead.unknown} if trained.vocabulary else {}
        facts |= {"notes": ahead.notes, "quarters": ahead.quarters, "trained": trained.progress}
        tables = {"one_step": ahead.as_dicts(), "free_running": free.as_dicts() if free else []}
        show(json.dumps(facts | tables, indent=2))
        return
    noun = "song" if split == "all" else f"{split} song"
    counts = ahead.rows[0].all
    told = f", density {counts.actual / counts.bits:.4f}" if not trained.vocabulary else ""
    told += f", {ahead.unknown} of {counted(ahead.steps, 'word')} unknown" if trained.vocabulary else ""
    show(_table(f"One {ahead.unit} ahead: {counted(len(songs), noun)}{told}", ahead))
    if free:
        among = counted(len(free.rows[0].songs), noun)
        show(_table(f"\nRunning free: {length} steps after {prime_steps}, {among}", free))
    else:
        say(f"no song lasts {prime_steps + length} steps: not run free; try a smaller --prime-steps or --length", quiet)


def _table(title: str, report: "Report") -> str:
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = [_cells(report, row) for row in report.rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("predictor", no_wrap=True)
    columns = [name for name in rows[0] if any(row.get(name) for row in rows)]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row, cells in zip(report.rows, rows):
        table.add_row(row.name, *(cells.get(name, "") for name in columns))
    drawn = io.StringIO()  # Rich answers a closed pipe in a way of its own
    terminal = sys.stdout is not None and sys.stdout.isatty()
    Console(file=drawn, width=TABLE_WIDTH, force_terminal=terminal).print(table)
    return drawn.getvalue().rstrip()


def _cells(report: "Report", row: "Row") -> dict[str, str]:
    """A predictor's scores by column, over all songs; of two of them also mean and standard deviation over songs."""
    counts, nats = row.all, list(report.nats(row).values())
    cells = {"loss": f"{row.loss:.3f}"} if row.loss is not None and report.unit == "step" else {}
    columns = (f"nats/{report.unit}", "/note", "/quarter", "perplexity")
    cells |= {name: f"{value:.3f}" if value < 1e6 else f"{value:.1e}" for name, value in zip(columns, nats)}
    scores = {"accuracy": row.accuracy, "recall": counts.recall, "precision": counts.precision, "F1": counts.f1}
    cells |= {name: f"{value:.3f}" for name, value in scores.items()}
    cells |= {"density": f"{counts.density:.4f}"}
    spreads = (("recall ± sd", "recall"), ("precision ± sd", "precision"))
    return cells | {name: "{:.3f} ± {:.3f}".format(*row.spread(score)) for name, score in spreads}
