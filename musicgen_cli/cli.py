"""The `musicgen` command: its subcommands, and the one place where an error becomes a sentence and an exit code."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from musicgen_cli import __version__
from musicgen_cli.commands.decode import decode
from musicgen_cli.commands.encode import encode
from musicgen_cli.commands.eval import evaluate
from musicgen_cli.commands.sample import sample
from musicgen_cli.commands.show import show
from musicgen_cli.commands.songs import songs
from musicgen_cli.commands.train import train
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import say

COMMANDS: dict[str, Callable[..., Any]] = {
    "songs": songs,
    "encode": encode,
    "train": train,
    "sample": sample,
    "decode": decode,
    "eval": evaluate,
    "show": show,
}
FAILED, BUG, INTERRUPTED, TERMINATED, READER_GONE = 1, 70, 130, 143, 141

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"musicgen {__version__}")
        raise typer.Exit


@app.callback()
def musicgen(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Music from the shell: MIDI to arrays, arrays to models, models to new music.

    \b
    musicgen encode songs/*.mid -o rolls.npy        MIDI -> piano rolls
    musicgen train --model poly --loss focal        rolls.npy -> model.pt
    musicgen sample | musicgen decode -o out.mid    model.pt -> new music -> MIDI
    musicgen eval model.pt rolls.npy                how good is it, honestly
    """


def guarded(command: Callable[..., Any]) -> Callable[..., None]:
    """A command whose errors end as one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except MusicgenError as error:
            fail(str(error), FAILED, error)
        except BrokenPipeError:  # the reader has what it wanted
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor shall Python complain as it ends
            sys.exit(READER_GONE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except MemoryError as error:
            fail("out of memory; try a smaller --batch-size, or fewer songs", FAILED, error)
        except OSError as error:
            fail(f"{error.filename or 'input or output'}: {error.strerror or error}", FAILED, error)
        except Exception as error:
            fail(
                f"a bug in musicgen: {type(error).__name__}: {error}; run it again with MUSICGEN_DEBUG=1 and report it",
                BUG,
                error,
            )

    return run


def fail(message: str, code: int, error: BaseException) -> None:
    if os.environ.get("MUSICGEN_DEBUG"):
        raise error
    say(f"musicgen: error: {message}")
    sys.exit(code)


for name, command in COMMANDS.items():
    app.command(name)(guarded(command))


def main() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)  # so that unfinished files are taken away

    signal.signal(signal.SIGTERM, end)
    app(prog_name="musicgen")
