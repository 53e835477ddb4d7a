"""A .pt from a stranger: what can be known before PyTorch reads it, and what has to be true of what it reads.

PyTorch checks no checksum: a flipped bit would become another weight in silence. And what its unpickler lets through is
more than a checkpoint needs, which is plain values and dense tensors of finite numbers, nothing else.
"""

import hashlib
import itertools
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import torch
from torch import Tensor

DTYPES = {torch.float32: "Float", torch.int64: "Long", torch.bool: "Bool"}  # and the names of their storages
GLOBALS = {
    "torch._utils _rebuild_tensor_v2",
    "collections OrderedDict",
    *(f"torch {k}Storage" for k in DTYPES.values()),
}
CONTAINERS = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "MARK", "TUPLE1", "TUPLE2", "TUPLE3"}
OPCODES = CONTAINERS | {  # of what torch.save writes
    "STOP", "REDUCE", "BINPERSID", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINUNICODE",
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE", "BINPUT", "LONG_BINPUT",
    "BINGET", "LONG_BINGET",
}  # fmt: skip
MAX_PICKLE, MAX_CONTAINERS = 16 << 20, 100_000  # bytes, and what takes many times its place in memory
MAX_VALUES = 1 << 20  # a list in a list, twice, thirty times over, would be a billion


def check(file: BinaryIO) -> None:
    """Refuse, by ValueError, what is no checkpoint before any of it is made: its archive, checksums and pickle."""
    size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            names = [record.filename for record in records]
            stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
            if not stored or len(set(names)) < len(names) or sum(record.file_size for record in records) > size:
                raise ValueError("packed, or twice there")
            (pickled,) = (record for record in records if record.filename.endswith("data.pkl"))
            folder = pickled.filename.removesuffix("data.pkl")
            if (
                pickled.file_size > MAX_PICKLE
                or not all(name.startswith(folder) for name in names)
                or archive.testzip()
            ):
                raise ValueError("too large, strangely named, or changed since it was written")
            _check_pickle(archive.read(pickled))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OverflowError) as error:
        raise ValueError(str(error)) from None
    finally:
        file.seek(0)


def _check_pickle(data: bytes) -> None:
    containers = 0
    for opcode, argument, _ in pickletools.genops(data):
        containers += opcode.name in CONTAINERS
        needed = {"GLOBAL": argument in GLOBALS, "PROTO": argument == 2}.get(opcode.name, opcode.name in OPCODES)
        if not needed or containers > MAX_CONTAINERS:
            raise ValueError("asks for more than a checkpoint needs")


def digest(values: Any) -> str:
    """A hash of plain values and tensors, order and all; raises ValueError where something else is among them."""
    whole = hashlib.blake2b(digest_size=16)
    _add(values, whole.update, itertools.count())
    return whole.hexdigest()


def _add(value: Any, update: Callable[[bytes], None], count: Iterator[int]) -> None:
    if next(count) > MAX_VALUES:
        raise ValueError("holds too many values")
    kind = type(value)
    if kind in (dict, list, tuple):
        update(f"{kind.__name__} {len(value)}\n".encode())
        for inner in itertools.chain(*value.items()) if kind is dict else value:
            _add(inner, update, count)
    elif kind is Tensor:
        update(f"{value.dtype} {[*value.shape]}\n".encode())
        update(_bytes(value))
    elif value is None or kind in (bool, int, float, str):
        update(f"{kind.__name__} {value!r}\n".encode("utf-8", "surrogatepass"))
    else:
        raise ValueError(f"holds a {kind.__name__}")


def _bytes(tensor: Tensor) -> bytes:
    """The numbers of a tensor; refused where they are not all there, one after the other, and finite."""
    whole = tensor.layout == torch.strided and tensor.dtype in DTYPES and tensor.device.type == "cpu"
    if not whole or tensor.untyped_storage().nbytes() != tensor.nbytes or not tensor.is_contiguous():
        raise ValueError("holds a tensor of another kind")
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ValueError("holds numbers that are not finite")
    return tensor.numpy(force=True).tobytes()
