"""A `musicgen` that starts in no time: a process that has imported torch once forks for each command line.

Nearly all tests that run the command run this one (see tunes.py): they would else spend most of their time on imports.
`python forks.py` serves, until its stdin ends, and prints a folder in which there is a `musicgen`: the same arguments,
folder, environment, stdin, stdout, stderr and exit code, signals passed on (see asks.py). It imports nothing until it
is first asked. But Python itself has started before: what the environment, closed files, other open files or limits
change in that is for tests with a process of their own.
"""

import contextlib
import functools
import gc
import marshal
import os
import select
import shutil
import socket
import sys
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

SCRIPT = '#!/bin/sh\nexec {} -I -S {} {} "$@"\n'
LATE = ("torch._dynamo", "numpy.ma", "rich.progress", "rich.table", "typer._adapters", "soundfile")


def serve() -> None:
    folder = tempfile.mkdtemp()  # not one that goes with a process: each child would take it away
    with socket.socket(socket.AF_UNIX) as door:
        path = Path(folder, "socket")
        door.bind(str(path))
        door.listen(16)
        command = path.with_name("musicgen")
        command.write_text(SCRIPT.format(sys.executable, Path(__file__).with_name("asks.py").resolve(), path))
        command.chmod(0o755)
        print(folder, flush=True)
        if asked(door):
            prepare()
            weakref.finalize._registry.clear()  # torch would take itself to pieces at the end of each command
            gc.freeze()
        while asked(door):
            client, _ = door.accept()
            if os.fork() == 0:
                door.close()
                become(client)
            client.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    shutil.rmtree(folder)


def asked(door: socket.socket) -> bool:
    """Wait until somebody asks, or nobody will any more."""
    return door in select.select([door, sys.stdin], [], [])[0]


@functools.cache
def prepare() -> None:
    """Do once what each command would do anew."""
    import pkgutil
    from importlib import import_module

    import musicgen_cli

    for module in pkgutil.walk_packages(musicgen_cli.__path__, "musicgen_cli."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in LATE:  # what else commands import as they go
        with contextlib.suppress(ImportError):
            import_module(name)
    import torch

    from musicgen_cli.cli import COMMANDS, command_line

    torch.set_num_threads(1)
    command_line(*COMMANDS)
    for name in COMMANDS:
        command_line(name)


def become(client: socket.socket) -> None:
    """Be the command that a client asks for."""
    from musicgen_cli.cli import main

    size, files, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as request:
        sys.argv[1:], folder, environment = marshal.loads(request.read(int.from_bytes(size)))
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    client.sendall(os.getpid().to_bytes(4))
    code = end(main)
    with contextlib.suppress(BrokenPipeError):  # where the client was killed
        client.sendall(bytes([code]))
    os._exit(code)


def end(main: Callable[[], None]) -> int:
    """Run the command: its exit code, when all is done but to take the process down, which takes torch seconds."""
    import atexit
    import threading

    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code & 255


if __name__ == "__main__":
    serve()
