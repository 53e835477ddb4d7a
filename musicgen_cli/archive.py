"""A .pt from a stranger, read without PyTorch: what `torch.save` makes of plain values and dense tensors, nothing else.

PyTorch itself checks no checksum: a flipped bit would become another weight in silence. What its unpickler lets through
is more than a checkpoint needs, and to import it takes longer than to play a song.
"""

import hashlib
import itertools
import math
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8"), "BoolStorage": np.dtype(bool)}
NAMES = {np.dtype("<f4"): "torch.float32", np.dtype("<i8"): "torch.int64", np.dtype(bool): "torch.bool"}
RECORD = re.compile(
    r"data\.pkl|data/\d+|\.data/serialization_id|byteorder|version|\.format_version|\.storage_alignment"
)
END = struct.Struct("<4sQ2H2L4Q4sLQL4s4H2LH")  # of an archive, as PyTorch writes it: three records
MAX_PICKLE, MAX_CONTAINERS = 16 << 20, 100_000  # bytes, and what takes many times its place in memory
MAX_LIST = 1 << 20  # bytes that list what is in an archive: in memory they are ten times as many
CHUNK = 1 << 20  # bytes that are read at once
MAX_VALUES = 1 << 20  # a list in a list, twice, thirty times over, would be a billion
REPEATED = "holds the same again and again"
SPOKEN = 16  # bytes that are hashed for one of the file: of a short name that a pickle says again by two bytes

# What torch.save writes: names, opcodes, and what some of those may be of.
GLOBALS = {
    "torch._utils _rebuild_tensor_v2",
    "collections OrderedDict",
    *(f"torch {name}" for name in DTYPES),
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
        if not _ends_once(file, size):
            raise ValueError("changed since it was written")
        with zipfile.ZipFile(file) as archive:
            records = {record.filename: record for record in archive.infolist()}
            folder = next(iter(records)).partition("/")[0] + "/"
            stored = all(record.compress_type == zipfile.ZIP_STORED for record in records.values())
            known = all(name.startswith(folder) and RECORD.fullmatch(name, len(folder)) for name in records)
            pickled = records[f"{folder}data.pkl"]
            if not stored or not known or len(records) < len(archive.infolist()) or pickled.file_size > MAX_PICKLE:
                raise ValueError("packed, too large, or of something else")
            if sum(record.file_size for record in records.values()) > size or archive.testzip():
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

    Else two readers could find two lists. One that is too long is none.
    """
    end = size - END.size
    file.seek(end)
    large, length, *_, listed, begin, where, _, at, _, small, _, _, _, _, listed_32, begin_32, comment = END.unpack(
        file.read(END.size)
    )
    marks = (large, where, small) == (b"PK\6\6", b"PK\6\7", b"PK\5\6")
    agree = (length, at, listed_32, begin_32, comment) == (44, end, listed, begin, 0)
    return bool(marks and agree and begin + listed == end and listed <= MAX_LIST)


def _check_pickle(data: bytes) -> None:
    containers = values = remembered = 0
    for opcode, operand, _ in pickletools.genops(data):
        containers += opcode.name in CONTAINERS
        needed = operand in OPERANDS[opcode.name] if opcode.name in OPERANDS else opcode.name in OPCODES
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            needed = operand == remembered  # one place after the other: they take memory
            remembered += 1
        else:
            values += 1
        if not needed or containers > MAX_CONTAINERS or max(values, remembered) > MAX_VALUES:
            raise ValueError("asks for more than a checkpoint needs")


def read(file: BinaryIO) -> Any:
    """The values in a file that `check` has let through, tensors as arrays."""
    with zipfile.ZipFile(file) as archive:
        return _Reader(archive).load()


class _Reader(pickle.Unpickler):
    """Knows the names that `check` lets through, and calls nothing but what is here."""

    def __init__(self, archive: zipfile.ZipFile):
        self.archive = archive
        self.folder = archive.namelist()[0].partition("/")[0]
        self.unread = {record.filename: record for record in archive.infolist()}
        self.arrays = list[NDArray[Any]]()
        if archive.read(f"{self.folder}/byteorder") != b"little":
            raise ValueError("its numbers begin with their large end")
        super().__init__(archive.open(f"{self.folder}/data.pkl"))

    def load(self) -> Any:
        values = super().load()
        for array in self.arrays:
            array.flags.writeable = True
        return values

    def find_class(self, module: str, name: str) -> Any:
        return {"OrderedDict": self._hooks, "_rebuild_tensor_v2": self._tensor}.get(name) or DTYPES[name]

    def _hooks(self) -> OrderedDict[Any, Any]:
        """Of a tensor: none. What could be made of an array would be many times as large."""
        return OrderedDict()

    def persistent_load(self, said: Any) -> tuple[str, np.dtype[Any], int]:
        _, dtype, key, _, count = said
        return key, dtype, count

    def _tensor(self, storage: Any, begin: int, shape: Any, strides: Any, *_: Any) -> NDArray[Any]:
        """All numbers of a storage, one after the other; nobody else has them, and no pickle sets them."""
        key, dtype, count = storage
        record = self.unread.pop(f"{self.folder}/data/{key}")
        if count * dtype.itemsize != record.file_size:
            raise ValueError("numbers are missing")
        numbers = np.empty(count, dtype)
        array, place = numbers.reshape(shape), numbers.view(np.uint8)
        steps = [(size, stride * array.itemsize) for size, stride in zip(shape, strides, strict=True) if size > 1]
        own = [(size, stride) for size, stride in zip(array.shape, array.strides) if size > 1]
        if begin or array.shape != shape or (array.size and steps != own):
            raise ValueError("holds a tensor of another kind")
        with self.archive.open(record) as opened:
            for at in range(0, len(place), CHUNK):
                part = opened.read(CHUNK)
                place[at : at + len(part)] = np.frombuffer(part, np.uint8)
        array.flags.writeable = False
        self.arrays.append(array)
        return array


def digest(values: Any, most: float = math.inf) -> tuple[str, int]:
    """A hash of plain values and arrays, order and all, and how many bytes were hashed for it.

    most: such bytes, where the values may be a stranger's: SPOKEN for each of their file
    Raises ValueError where something else is among them, a number that is not finite, or the same again and again.
    """
    whole, spoken = hashlib.blake2b(digest_size=16), 0

    def update(data: bytes | memoryview) -> None:
        nonlocal spoken
        spoken += len(data)
        if spoken > most:
            raise ValueError(REPEATED)
        whole.update(data)

    _add(values, update, itertools.count())
    return whole.hexdigest(), spoken


def _add(value: Any, update: Callable[[bytes | memoryview], None], count: Iterator[int]) -> None:
    if next(count) > MAX_VALUES:
        raise ValueError("holds too many values")
    kind = type(value)
    if kind in (dict, list, tuple):
        update(f"{kind.__name__} {len(value)}\n".encode())
        for inner in itertools.chain(*value.items()) if kind is dict else value:
            _add(inner, update, count)
    elif kind is np.ndarray and value.dtype in NAMES:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError("holds numbers that are not finite")
        update(f"{NAMES[value.dtype]} {[*value.shape]}\n".encode())
        update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif value is None or kind in (bool, int, float, str):
        if kind is float and not math.isfinite(value):
            raise ValueError("holds numbers that are not finite")
        update(f"{kind.__name__} {value!r}\n".encode("utf-8", "surrogatepass"))
    else:
        raise ValueError(f"holds a {kind.__name__}")
