"""Where commands read and write: a path, or `-` for the pipe. Data goes to stdout, talk to stderr."""

import contextlib
import errno
import fcntl
import io
import json
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from musicgen_cli.errors import MusicgenError
from musicgen_cli.signals import uninterrupted

PIPE = Path("-")
TEMPORARY = ".musicgen-"  # how the names of unfinished files, and of locks, begin


def say(text: str, quiet: bool = False) -> None:
    """Tell the user something, on stderr."""
    if not quiet and sys.stderr is not None:  # print would take None for stdout
        print(printable(text), file=sys.stderr)


def counted(number: int, noun: str) -> str:
    """`1 song`, `2 songs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def interactive() -> bool:
    """Whether somebody watches stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey: control characters and surrogates escaped, one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def name_of(path: Path, pipe: str = "standard input") -> str:
    return pipe if path == PIPE else str(path)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of the file before whatever is wrong with it."""
    try:
        yield
    except MusicgenError as error:
        raise MusicgenError(f"{name_of(path)}: {error}") from None


def open_input(path: Path, made_by: str = "", limit: int = -1) -> BinaryIO:
    """A seekable file of the bytes at `path`; what comes through a pipe is read into memory.

    made_by: the command that makes such a file, for the message where there is none
    limit: read no more than about so many bytes of a pipe
    """
    enough = limit + 1 if limit >= 0 else -1
    if path == PIPE:
        if sys.stdin is None or sys.stdin.isatty():
            raise MusicgenError("nothing to read: name a file, or pipe one in")
        return io.BytesIO(sys.stdin.buffer.read(enough))
    try:
        file = path.open("rb")
        return file if file.seekable() else io.BytesIO(file.read(enough))
    except FileNotFoundError:
        hint = f"; `{made_by}` makes it" if made_by else "; is the name right?"
        raise MusicgenError(f"{path}: no such file{hint}") from None
    except OSError as error:
        cause = "is a folder, not a file" if os.path.isdir(path) else error.strerror or error
        raise MusicgenError(f"{path}: {cause}") from None


def read_bytes(path: Path, made_by: str = "", limit: int = -1) -> bytes:
    """All that is at `path`; refused where that is more than `limit` bytes, unread."""
    try:
        with open_input(path, made_by, limit) as file:
            size = file.seek(0, os.SEEK_END)  # 0 where there is none, as of devices
            file.seek(0)
            data = b"" if 0 <= limit < size else file.read(size or (limit + 1 if limit >= 0 else -1))
            if 0 <= limit < max(size, len(data)):
                raise MusicgenError(f"{name_of(path)}: larger than {limit >> 20} MiB")
            return data
    except OSError as error:
        raise MusicgenError(f"{name_of(path)}: {error.strerror or error}") from None


def show(text: str) -> None:
    """Print a result on stdout."""
    if sys.stdout is None:
        raise MusicgenError("standard output is closed")
    data = memoryview(f"{text}\n".encode(sys.stdout.encoding, "backslashreplace"))
    try:
        sys.stdout.flush()
        while data:  # unbuffered, it may take fewer bytes than it is given
            data = data[sys.stdout.buffer.write(data) or 0 :]
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MusicgenError(f"standard output: {error.strerror}") from None


def show_json(facts: Any) -> None:
    """Print facts on stdout as JSON, with null for what is undefined: JSON has no nan."""
    show(json.dumps(_defined(facts), indent=2))


def _defined(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _defined(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_defined(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def check_target(path: Path, *inputs: Path) -> None:
    """Refuse what could not be written later, or is being read, before work is done for it."""
    if path != PIPE and not _special(path):
        there, name = _at_target(path), os.path.realpath(path)
        for given in inputs:  # there may be very many
            read = status(given) if there else None
            if os.path.samestat(there, read) if there and read else os.path.realpath(given) == name:
                raise MusicgenError(f"{path}: is read by this very command; name another output")
    if path == PIPE:
        if sys.stdout is None:
            raise MusicgenError("standard output is closed: use -o FILE")
        if sys.stdout.isatty():
            raise MusicgenError("binary data is not written to a terminal: use -o FILE, or pipe it on")
    elif os.path.isdir(path):
        raise MusicgenError(f"{path} is a folder; name a file")
    elif not _special(path):
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise MusicgenError(f"{path.parent}: no such folder; make it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise MusicgenError(f"{path}: nothing may be written into its folder; name another")


def _at_target(path: Path) -> os.stat_result | None:
    """What is at a path that is to be written, None for nothing; refused where nothing could be."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a name too long, links in a circle
        raise MusicgenError(f"{path}: {error.strerror or error}") from None


def refuse_suffix(path: Path, *suffixes: str) -> None:
    """Refuse a name that promises another kind of file."""
    if path.suffix.lower() in suffixes:
        raise MusicgenError(f"{path}: the name of another kind of file than this command writes; see its --help")


def status(path: Path) -> os.stat_result | None:
    """What the system knows of a path, None where it is not there or out of reach: who opens it will say so."""
    try:
        return path.stat()
    except OSError:
        return None


def _special(path: Path) -> bool:
    """Whether a path is there and no regular file: a device or a named pipe."""
    there = status(path)
    return there is not None and not stat.S_ISREG(there.st_mode)


@contextlib.contextmanager
def output(path: Path, failed: str = "nothing written") -> Iterator[BinaryIO]:
    """A seekable file that appears at `path` whole, when the block ends well, or not at all.

    `-` is stdout, where a terminal is refused. Links are followed; devices and named pipes are written, not replaced.

    failed: what there is if the disk is full, say
    """
    path = PIPE if str(path) in ("/dev/stdout", "/dev/fd/1") else path
    check_target(path)
    target = None if path == PIPE else Path(os.path.realpath(path))
    try:
        if target is None or _special(path):
            yield from _copied_at_the_end(sys.stdout.fileno() if target is None else path)
        else:
            yield from _renamed_at_the_end(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        own = (path, target, target and _beside(target))
        if isinstance(error.filename, str) and Path(error.filename) not in own:  # of another file, which it names
            raise
        raise MusicgenError(f"{name_of(path, 'standard output')}: {error.strerror or error}; {failed}") from None


def _copied_at_the_end(target: int | Path) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        # Unbuffered, and written until every byte is out: a raw stream may take fewer than it is given.
        with open(target, "wb", buffering=0, closefd=isinstance(target, Path)) as out:
            while chunk := file.read(1 << 20):
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) or 0 :]


def _renamed_at_the_end(target: Path) -> Iterator[BinaryIO]:
    temporary = _beside(target)
    try:
        with claimed(temporary) as descriptor, open(descriptor, "w+b", closefd=False) as file:
            if there := status(target):
                os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
            yield file
            file.flush()
            os.fsync(descriptor)
            os.replace(temporary, target)
    except Claimed:
        raise MusicgenError(f"{target}: another musicgen is writing it; name another output") from None
    try:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):  # where folders cannot be confirmed, or not by us
            said = error.strerror or error
            raise MusicgenError(f"{target}: is written, but the disk does not confirm it: {said}") from None


class Claimed(Exception):
    """Another process has the file; its argument is what stands in it, as far as it is there."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Long work on `path` that no other process may do meanwhile; raises MusicgenError that says which one does."""
    if _special(path):
        yield
        return
    try:
        with claimed(_beside(Path(os.path.realpath(path)), ".lock")) as descriptor:
            try:
                os.write(descriptor, f"process {os.getpid()}".encode())
            except OSError as error:
                raise MusicgenError(f"{path}: {error.strerror}; nothing written") from None
            yield
    except Claimed as error:
        who = str(error) or "another process"
        raise MusicgenError(f"{path}: {who} is at work on it; wait for it, or name another -o") from None


def _beside(target: Path, suffix: str = "") -> Path:
    """Where to write what will be at `target`, or a lock of it: names have 255 bytes at most."""
    return target.with_name(TEMPORARY + os.fsdecode(os.fsencode(target.name)[:200]) + suffix)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[int]:
    """A new file at `path` that this process alone has, gone in the end if it was not renamed: its descriptor.

    What a killed process left there is taken away. Raises Claimed while another process has it.
    """
    descriptor = None
    try:
        with uninterrupted():  # or the file may be there, and nobody know of it
            descriptor = _claim(path)
        yield descriptor
    finally:
        if descriptor is not None:
            with uninterrupted():
                if _is_at(path, descriptor):
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                os.close(descriptor)


def _claim(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _sweep(path)
            continue
        if _lock(descriptor) and _is_at(path, descriptor):  # nobody took it for a leftover meanwhile
            return descriptor
        os.close(descriptor)


def _sweep(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # its owner is done
        return
    try:
        if not _lock(descriptor):
            raise Claimed(os.read(descriptor, 100).decode(errors="replace"))
        if _is_at(path, descriptor):
            os.unlink(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether nobody else has the file; where the file system knows no locks, nobody is taken to have it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def write_bytes(path: Path, data: bytes, failed: str = "nothing written") -> None:
    with output(path, failed) as file:
        shutil.copyfileobj(io.BytesIO(data), file)
