import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musicgen_cli.commands.options import Device, Json, Quiet, Seed, Threads, use
from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen_cli.evaluation import Row

TABLE_WIDTH = 112


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint; - is stdin.", allow_dash=True)] = Path("model.pt"),
    corpus: Annotated[Path, typer.Argument(help="A corpus.", allow_dash=True)] = Path("rolls.npy"),
    split: Annotated[
        Literal["train", "valid", "test", "all"],
        typer.Option(help="Which songs; songs that the checkpoint never saw count as test."),
    ] = "test",
    threshold: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Output above which a bit is set; default: the model's own."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=10, help="Running free; 0 is the threshold alone.")] = 0.0,
    prime_steps: Annotated[int, typer.Option(min=1, help="Running free: steps of each song read first.")] = 128,
    length: Annotated[int, typer.Option(min=1, help="Running free: steps made, and compared with what came.")] = 128,
    json_: Json = False,
    device: Device = "auto",
    seed: Seed = 0,
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Score a model on songs it never trained on, beside predictors that know nothing.

    One step ahead, it hears the true steps so far; running free, only its own. Per step: the loss it was trained by,
    comparable between models with the same loss; and nats, the negative log-likelihood of what came, comparable
    between all. Accuracy is over all bits, and high for silence. `± sd`: mean and standard deviation over songs.

    \b
    Examples:
      musicgen eval model.pt rolls.npy
      musicgen eval model.pt rolls.npy --split valid --json
    """
    import json

    from musicgen_cli.commands.inputs import check_grid, load_checkpoint, load_corpus
    from musicgen_cli.evaluation import choose_songs, free_running, one_step
    from musicgen_cli.sampling import threshold as above
    from musicgen_cli.streams import counted, naming, say, show

    computer = use(device, threads)
    trained, music = load_checkpoint(model), load_corpus(corpus)
    with naming(corpus):
        check_grid(music, trained)
    songs = choose_songs(trained, music, split)
    if not songs:
        others = [side for side in trained.split if choose_songs(trained, music, side)]
        hint = f"; there are some on {' and '.join(others)}" if others else ""
        raise MusicgenError(f"{corpus}: no song is on the {split} side of {model}{hint}")
    threshold = threshold or trained.threshold
    network = trained.build(computer)
    ahead = one_step(trained, network, music, songs, above(threshold), computer)
    free = free_running(
        trained,
        network,
        music,
        songs,
        computer,
        prime=prime_steps,
        length=length,
        threshold=threshold,
        temperature=temperature,
        seed=seed,
    )
    if json_:
        tables = {"one_step": [row.as_dict() for row in ahead], "free_running": [row.as_dict() for row in free]}
        show(json.dumps({"split": split, "songs": len(songs), **tables}, indent=2))
        return
    noun = "song" if split == "all" else f"{split} song"
    density = ahead[0].all.actual / ahead[0].all.bits
    show(_table(f"One step ahead: {counted(len(songs), noun)}, density {density:.4f}", ahead))
    if free:
        show(_table(f"\nRunning free: {length} steps after {prime_steps}, {counted(len(free[0].songs), noun)}", free))
    else:
        say(f"no song lasts {prime_steps + length} steps: not run free; try a smaller --prime-steps or --length", quiet)


def _table(title: str, rows: "list[Row]") -> str:
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("predictor", no_wrap=True)
    for name in ("loss", "nats", "accuracy", "recall", "precision", "F1", "density", "recall ± sd", "precision ± sd"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    drawn = io.StringIO()  # Rich answers a closed pipe in a way of its own
    terminal = sys.stdout is not None and sys.stdout.isatty()
    Console(file=drawn, width=TABLE_WIDTH, force_terminal=terminal).print(table)
    return drawn.getvalue().rstrip()


def _cells(row: "Row") -> list[str]:
    """A predictor's scores over all bits, then the mean and standard deviation over songs of two of them."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    counts = row.all
    spreads = [f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in map(row.spread, ("recall", "precision"))]
    scores = [counts.accuracy, counts.recall, counts.precision, counts.f1]
    return [row.name, number(row.loss), number(row.nats), *map(number, scores), f"{counts.density:.4f}", *spreads]
