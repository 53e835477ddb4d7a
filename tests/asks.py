"""The `musicgen` that a server of forks.py makes: `python -I -S asks.py SOCKET ...` has it run a command line.

That gets this process's arguments, files, folder and environment, and the signals that this process gets. Imported is
only what Python starts with or is built in: `socket` and `signal` would take longer than all the rest.
"""

import _signal
import _socket
import marshal
import os
import sys

KILLED = 128 + _signal.SIGKILL


def call(path: str, arguments: list[str]) -> int:
    """The exit code of a command line that is run by the server at this socket."""
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(path)
    request = marshal.dumps((arguments, os.getcwd(), dict(os.environ)))
    files = b"".join(file.to_bytes(4, sys.byteorder) for file in (0, 1, 2))
    server.sendmsg([len(request).to_bytes(4)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    server.sendall(request)
    pid = int.from_bytes(server.recv(4))
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, lambda number, _: os.kill(pid, number))
    code = server.recv(1)
    server.recv(1)  # until it is gone
    return code[0] if code else KILLED


os._exit(call(sys.argv[1], sys.argv[2:]))
