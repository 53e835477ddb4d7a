"""A `musicgen` that starts in no time: a process that has imported torch once forks for each command line.

For tests of whole scripts, whose commands would else spend most of their time on importing. `python forks.py SOCKET`
serves; `python -S -E forks.py SOCKET ARGUMENTS` is the command: same folder, same files, same exit code.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any


def call(path: str, arguments: list[str]) -> int:
    """Have a command line run by the server at this socket, with this process's files, folder and environment."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(request)
        return server.recv(1)[0]


def end(main: Callable[[], None]) -> None:
    """Run the command and leave at once: to take down a process that has imported torch takes seconds."""
    try:
        main()
        code: Any = 0
    except SystemExit as ended:
        code = ended.code
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else code is not None)


def serve(path: str) -> None:
    import torch
    import torch._dynamo  # which the first step of an optimiser imports

    from musicgen_cli.cli import main

    torch.set_num_threads(1)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
        print("ready", flush=True)
        while True:
            client, _ = door.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                size, files, _, _ = socket.recv_fds(client, 4, 3)
                data = b""
                while len(data) < int.from_bytes(size, "big"):
                    data += client.recv(1 << 16)
                child = os.fork()
                if child:
                    _, status = os.waitpid(child, 0)
                    client.sendall(bytes([os.waitstatus_to_exitcode(status) & 255]))
                    os._exit(0)
                client.close()
                arguments, folder, environment = json.loads(data)
                for target, file in enumerate(files):
                    os.dup2(file, target)
                    os.close(file)
                os.chdir(folder)
                os.environ.clear()
                os.environ.update(environment)
                sys.argv = ["musicgen", *arguments]
                end(main)
            client.close()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    sys.exit(call(sys.argv[1], sys.argv[2:]))
