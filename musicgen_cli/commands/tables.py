"""Tables as text, coloured on a terminal."""

import io
import sys
from collections.abc import Iterable, Sequence

WIDTH = 140


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table under its title; the first column is of names, the others of figures."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        drawn.add_column(column, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    text = io.StringIO()  # Rich answers a closed pipe in a way of its own
    terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(file=text, width=WIDTH, force_terminal=terminal, highlight=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(drawn)
    return text.getvalue().rstrip()
