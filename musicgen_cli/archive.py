"""A .pt from a stranger: what can be known before PyTorch reads it, and what has to be true of what it reads.

PyTorch checks no checksum: a flipped bit would become another weight in silence. And what its unpickler lets through is
more than a checkpoint needs, which is plain values and dense tensors of finite numbers, nothing else.
"""

import hashlib
import itertools
import math
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import torch
from torch import Tensor

DTYPES = {torch.float32: "Float", torch.int64: "Long", torch.bool: "Bool"}  # and the names of their storages
RECORD = re.compile(
    r"data\.pkl|data/\d+|\.data/serialization_id|byteorder|version|\.format_version|\.storage_alignment"
)
END = struct.Struct("<4sQ2H2L4Q4sLQL4s4H2LH")  # of an archive, as PyTorch writes it: three records
MAX_PICKLE, MAX_CONTAINERS = 16 << 20, 100_000  # bytes, and what takes many times its place in memory
MAX_VALUES = 1 << 20  # a list in a list, twice, thirty times over, would be a billion

# What torch.save writes: names, opcodes, and what some of those may be of.
GLOBALS = {
    "torch._utils _rebuild_tensor_v2",
    "collections OrderedDict",
    *(f"torch {k}Storage" for k in DTYPES.values()),
}
CONTAINERS = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "MARK", "TUPLE1", "TUPLE2", "TUPLE3"}
OPCODES = CONTAINERS | {
    "STOP", "REDUCE", "BINPERSID", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINUNICODE", "BININT",
    "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE", "BINPUT", "LONG_BINPUT", "BINGET",
    "LONG_BINGET",
}  # fmt: skip
OPERANDS: dict[str, set[Any]] = {"PROTO": {2}, "GLOBAL": GLOBALS}


def check(file: BinaryIO) -> None:
    """Refuse, by ValueError, what is no checkpoint before any of it is made: its archive, checksums and pickle."""
    size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            records = {record.filename: record for record in archive.infolist()}
            folder = next(iter(records)).partition("/")[0] + "/"
            stored = all(record.compress_type == zipfile.ZIP_STORED for record in records.values())
            known = all(name.startswith(folder) and RECORD.fullmatch(name, len(folder)) for name in records)
            pickled = records[f"{folder}data.pkl"]
            if not stored or not known or len(records) < len(archive.infolist()) or pickled.file_size > MAX_PICKLE:
                raise ValueError("packed, too large, or of something else")
            if not _ends_once(file, size) or archive.testzip():
                raise ValueError("changed since it was written")
            with warnings.catch_warnings(action="error"):  # of names that are no names
                _check_pickle(archive.read(pickled))
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        LookupError,
        StopIteration,
        EOFError,
        Warning,
    ) as error:
        raise ValueError(str(error)) from None
    finally:
        file.seek(0)


def _ends_once(file: BinaryIO, size: int) -> bool:
    """Whether all that says where the list of what is in an archive stands says the same: right before its end.

    Else two readers could find two lists.
    """
    end = size - END.size
    file.seek(end)
    large, length, *_, listed, begin, where, _, at, _, small, _, _, _, _, listed_32, begin_32, comment = END.unpack(
        file.read(END.size)
    )
    marks = (large, where, small) == (b"PK\6\6", b"PK\6\7", b"PK\5\6")
    agree = (length, at, listed_32, begin_32, comment) == (44, end, listed, begin, 0)
    return bool(marks and agree and begin + listed == end)


def _check_pickle(data: bytes) -> None:
    containers = 0
    for opcode, operand, _ in pickletools.genops(data):
        containers += opcode.name in CONTAINERS
        needed = operand in OPERANDS[opcode.name] if opcode.name in OPERANDS else opcode.name in OPCODES
        if not needed or containers > MAX_CONTAINERS:
            raise ValueError("asks for more than a checkpoint needs")


def digest(values: Any) -> str:
    """A hash of plain values and tensors, order and all.

    Raises ValueError where something else is among them, or a number that is not finite.
    """
    whole = hashlib.blake2b(digest_size=16)
    _add(values, whole.update, itertools.count())
    return whole.hexdigest()


def _add(value: Any, update: Callable[[bytes | memoryview], None], count: Iterator[int]) -> None:
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
        if kind is float and not math.isfinite(value):
            raise ValueError("holds numbers that are not finite")
        update(f"{kind.__name__} {value!r}\n".encode("utf-8", "surrogatepass"))
    else:
        raise ValueError(f"holds a {kind.__name__}")


def _bytes(tensor: Tensor) -> memoryview:
    """The numbers of a tensor; refused where they are not all there, one after the other, and finite."""
    whole = tensor.layout == torch.strided and tensor.dtype in DTYPES and tensor.device.type == "cpu"
    if not whole or tensor.untyped_storage().nbytes() != tensor.nbytes or not tensor.is_contiguous():
        raise ValueError("holds a tensor of another kind")
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ValueError("holds numbers that are not finite")
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data
