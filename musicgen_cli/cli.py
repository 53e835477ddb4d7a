"""The `musicgen` command: its subcommands, and the one place where an error becomes a sentence and an exit code."""

import contextlib
import functools
import gc
import math
import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
import typer.core

from musicgen_cli import __version__
from musicgen_cli.errors import MusicgenError, is_out_of_memory
from musicgen_cli.group import joined
from musicgen_cli.streams import say

COMMANDS = {  # each is a module of `commands`, and of it this function
    "songs": "songs",
    "encode": "encode",
    "cat": "cat",
    "dedupe": "dedupe",
    "vocab": "vocab",
    "train": "train",
    "sample": "sample",
    "decode": "decode",
    "eval": "evaluate",
    "show": "show",
    "plot": "plot",
    "quiz": "quiz",
}
FAILED, USAGE, BUG, INTERRUPTED, READER_GONE, TERMINATED = 1, 2, 70, 130, 141, 143
OUT_OF_MEMORY = "out of memory; try a smaller --batch-size or --hidden, or fewer songs"
UsageError: type[Any] = typer.BadParameter.__bases__[0]  # of click, wherever this typer keeps it


class Command(typer.core.TyperCommand):
    """A command that takes no "nan" or "inf" for a number."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        context = super().make_context(*arguments, **settings)
        for name, value in context.params.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"--{name.replace('_', '-')} has to be a finite number.", context)
        return context


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"musicgen {__version__}")
        raise typer.Exit


def musicgen(
    context: typer.Context,
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
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@functools.cache
def command_line(*names: str) -> Any:
    """`musicgen` with the commands of these names: no other is loaded, which takes time before each begins."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback(invoke_without_command=True)(musicgen)
    for name in names:
        app.command(name, cls=Command)(getattr(import_module(f"musicgen_cli.commands.{name}"), COMMANDS[name]))
    return typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; whatever goes wrong is one line on stderr."""
    try:
        alone = arguments[:1] != ["train"] or "--help" in arguments  # whatever RANK and WORLD_SIZE say
        with contextlib.nullcontext() if alone else joined():
            return _invoke(arguments)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "musicgen"
        return _fail(f"{error.format_message().rstrip('.')}; see `{path} --help`", USAGE, error)
    except MusicgenError as error:
        return _fail(str(error), FAILED, error)
    except BrokenPipeError:  # the reader has what it wanted
        _abandon_stdout()
        return READER_GONE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", FAILED, error)
    except Exception as error:
        if is_out_of_memory(error):
            return _fail(OUT_OF_MEMORY, FAILED, error)
        cause = f"{type(error).__name__}: {error}"
        return _fail(f"a bug in musicgen: {cause}; run it again with MUSICGEN_DEBUG=1 and report it", BUG, error)


def _invoke(arguments: list[str]) -> int:
    try:
        command = command_line(*(arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS))
        with command.make_context("musicgen", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt | SystemExit):  # Python 3.11 tells so of one in __set_name__
            raise error.__cause__ from None
        raise
    finally:
        if sys.stdout is not None:
            try:
                sys.stdout.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                _abandon_stdout()
                raise MusicgenError(f"standard output: {error.strerror}") from None
    return 0


def _fail(message: str, code: int, error: BaseException) -> int:
    if os.environ.get("MUSICGEN_DEBUG"):
        raise error
    say(f"musicgen: error: {message}")
    return code


def _abandon_stdout() -> None:
    """Nothing more can be written; nor shall Python complain of that as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)  # so that unfinished files are taken away

    signal.signal(signal.SIGTERM, end)
    if "_MUSICGEN_COMPLETE" in os.environ:  # a shell asks how to complete a command line
        command_line(*COMMANDS)(prog_name="musicgen")
    try:
        code = run(sys.argv[1:])
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to take away
    gc.freeze()  # what is left goes with the process; to search it for cycles takes a third as long as to import torch
    sys.exit(code)
