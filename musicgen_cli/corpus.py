"""Songs laid end to end in one .npy file: the music, where each song begins, and what the numbers mean.

The file is three arrays saved one after the other: the music, offsets, and a JSON text (see docs/formats.md).
Whoever only wants the notes says `np.load("rolls.npy")`.
"""

import hashlib
import json
import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import representations, roll, words
from musicgen_cli.errors import MusicgenError
from musicgen_cli.representations import FORMS
from musicgen_cli.score import DENOMINATORS, MAX_GRID, Score

FORMAT, VERSION = "musicgen-corpus", 1
MAX_HEADER = 4096  # bytes of a .npy header
MAX_TEXT = 1 << 14  # bytes of what is known of a song, and of all songs together
SLOWEST, FASTEST = 1e-3, 6e7  # quarter notes a minute; the fastest that MIDI can say lasts a microsecond
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
CHUNK = 1 << 20  # rows looked at, or moved, at once
LAST_CHARACTER = 0x10FFFF
MAX_WORD = 512  # letters: all 88 keys, and how long
FLAT = rb'[^{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^{}"]*+)*+'  # JSON without braces, but in strings
SONG = re.compile(rb"\s*+(\{%b(?:\{%b\}%b)*+\})\s*+(?:,(?=\s*+\{)|(?=\]))" % (FLAT, FLAT, FLAT), re.DOTALL)
SONGS = re.compile(rb'"songs"\s*+:\s*+\[')
SAID_VERSION = re.compile(rb'"version"\s*+:\s*+(\d{1,9})\b')
DECODER = json.JSONDecoder()


class Song(NamedTuple):
    """What is known of a song beside its notes."""

    name: str = "untitled"
    tempo: float = 120.0  # quarter notes per minute
    time_signature: tuple[int, int] = (4, 4)
    text: str = ""  # where it comes from, in a sentence; `decode` writes it into the MIDI file

    def check(self) -> None:
        """Raises ValueError for what a MIDI file cannot say."""
        numerator, denominator = self.time_signature
        if not (SLOWEST <= self.tempo <= FASTEST and 1 <= numerator <= 255 and denominator in DENOMINATORS):
            raise ValueError("has a tempo or a time signature that no MIDI file could say")


UNKNOWN = Song()


class Songs(Sequence[Song]):
    """What a file says of its songs, each made where it is asked for: made, they take many times their place.

    text: JSON, and where what is said of each begins in it
    """

    def __init__(self, text: memoryview, begins: "array[int]"):
        self.text, self.begins = text, begins

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        found = SONG.match(self.text, self.begins[index])
        assert found
        return _song(found[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Corpus:
    """music: bool (T, 88, 2) or (T, 88), packed uint8 (T, 22), or words <U (N,); Joined where it lies in several files.

    Song i is music[offsets[i] : offsets[i + 1]].
    """

    music: NDArray[Any]
    offsets: NDArray[np.int64]
    songs: Sequence[Song]
    steps_per_quarter: int = 4

    def __len__(self) -> int:
        return len(self.songs)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """The music of one song, as it is stored."""
        return self.music[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def form(self) -> str:
        """What the music is, a key of FORMS; "" where it has no notes."""
        return representations.form_of(next(filter(len, self.parts), self.parts[0]))

    @property
    def parts(self) -> list[NDArray[Any]]:
        """The music of each file."""
        return self.music.parts if isinstance(self.music, Joined) else [self.music]

    @property
    def bits(self) -> int:
        """Bits of a key: 2, start and continue, or 1, sounds; 0 where the music is words."""
        return FORMS[self.form].bits

    @property
    def packed(self) -> bool:
        return self.music.dtype == np.uint8

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each song: steps, or words."""
        return np.diff(self.offsets)

    def roll(self, index: int) -> NDArray[np.bool_]:
        """One song as a roll, unpacked: bool (T, 88, 2) or (T, 88)."""
        return representations.as_roll(self[index])

    def score(self, index: int) -> Score:
        song = self.songs[index]
        return representations.decode(self[index], self.steps_per_quarter, song.tempo, song.time_signature)

    def find(self, song: str) -> int:
        """The index of a song by its name, or by its number from 1."""
        for i, known in enumerate(self.songs):
            if known.name == song:
                return i
        digits = song.lstrip("0")  # of which Python reads 4,300 at most
        if digits.isdecimal() and len(digits) < 19 and int(digits) <= len(self):
            return int(digits) - 1
        raise MusicgenError(f"no song {song!r} among {len(self)}; `musicgen show` lists them")

    def content(self, songs: Iterable[int]) -> str:
        """A hash of these songs, note for note, in this order."""
        whole = hashlib.blake2b(digest_size=16)
        for i in songs:
            whole.update(f"{len(self[i])} ".encode() + np.packbits(self.roll(i)).tobytes())
        return whole.hexdigest()

    def digest(self, index: int) -> str:
        """A name that a song bears in rolls and in words on this grid: a hash of which notes begin when."""
        return hashlib.blake2b(np.packbits(roll.struck(self.roll(index))).tobytes(), digest_size=8).hexdigest()


def gather(songs: Iterable[tuple[Song, NDArray[Any]]], steps_per_quarter: int = 4) -> Corpus:
    """A corpus in memory from songs and their music, all of one form."""
    about, music = zip(*songs)
    offsets = np.cumsum([0, *map(len, music)], dtype=np.int64)
    return Corpus(np.concatenate(music), offsets, list(about), steps_per_quarter)


class Joined:
    """Arrays of songs, one after the other, indexed as if they were one; nothing is moved in memory."""

    def __init__(self, parts: list[NDArray[Any]]):
        self.parts, self.starts = parts, np.cumsum([0, *map(len, parts)])
        self.dtype = np.result_type(*parts)
        self.shape: tuple[int, ...] = (int(self.starts[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows of one song, or any, in any shape."""
        if isinstance(rows, slice):
            part = int(self.starts[1:-1].searchsorted(rows.start, "right"))
            return self.parts[part][rows.start - self.starts[part] : rows.stop - self.starts[part]]
        part_of = self.starts[1:-1].searchsorted(rows, "right")
        some = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        for part in np.unique(part_of):
            here = part_of == part
            some[here] = self.parts[part][rows[here] - self.starts[part]]
        return some


def join(corpora: Sequence[Corpus]) -> Corpus:
    """Corpora of one form and grid as one, song after song; their music stays where it is."""
    first, *more = corpora
    if not more:
        return first
    parts = [part for corpus in corpora for part in corpus.parts]
    lengths = np.concatenate([[0], *(corpus.lengths for corpus in corpora)])
    songs = [song for corpus in corpora for song in corpus.songs]
    return Corpus(cast(Any, Joined(parts)), np.cumsum(lengths), songs, first.steps_per_quarter)


class Writer:
    """Writes a corpus song by song, so that memory holds one song; `file` must be seekable.

    NumPy leaves room in a .npy header for the length of the first axis to grow: it is filled in by `finish`.
    """

    def __init__(self, file: BinaryIO, steps_per_quarter: int):
        self.file, self.steps_per_quarter = file, steps_per_quarter
        self.offsets, self.about = array("q", [0]), bytearray()
        self.like: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def add(self, song: Song, music: NDArray[Any]) -> None:
        """Raises MusicgenError where `load` would refuse the song."""
        about = json.dumps(song._asdict()).encode()
        _check_song(song, about, music)
        if self.like is None:
            self.like = music[:0]
            _write_header(self.file, music.dtype, music.shape)
        elif music.dtype.itemsize > self.like.itemsize:
            self._widen(music.dtype)
        self.file.write(np.ascontiguousarray(music, self.like.dtype).data)
        self.about += b", " * bool(self.about) + about
        self.offsets.append(self.offsets[-1] + len(music))

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Make room for longer words in those that are written, from the last to the first."""
        assert self.like is not None
        narrow, self.like = self.like.dtype, self.like.astype(dtype)
        begin = self.file.tell() - self.offsets[-1] * narrow.itemsize
        for end in range(self.offsets[-1], 0, -CHUNK):
            first = max(end - CHUNK, 0)
            self.file.seek(begin + first * narrow.itemsize)
            some = np.frombuffer(self.file.read((end - first) * narrow.itemsize), narrow)
            self.file.seek(begin + first * dtype.itemsize)
            self.file.write(some.astype(dtype).tobytes())
        self.file.seek(begin + self.offsets[-1] * dtype.itemsize)

    def finish(self) -> None:
        if self.like is None:
            raise MusicgenError("no songs to write")
        self.file.seek(0)
        _write_header(self.file, self.like.dtype, (self.offsets[-1], *self.like.shape[1:]))
        self.file.seek(0, 2)
        about = {
            "format": FORMAT,
            "version": VERSION,
            "representation": _representation(self.like),
            "steps_per_quarter": self.steps_per_quarter,
            "songs": [],
        }
        write_array(np.array(self.offsets, np.int64), self.file)
        begin = json.dumps(about).encode().removesuffix(b"]}")
        _write_header(self.file, np.dtype(f"S{len(begin) + len(self.about) + 2}"), ())
        for part in (begin, self.about, b"]}"):
            self.file.write(part)


def _check_song(song: Song, about: bytes, music: NDArray[Any]) -> None:
    cause = ""
    try:
        song.check()
    except ValueError as error:
        cause = str(error)
    if len(about) > MAX_TEXT - 2:  # between what is said of others
        cause = f"has {len(about):,} bytes of text, and {MAX_TEXT - 2:,} are the most"
    elif music.dtype.kind == "U" and music.dtype.itemsize > 4 * MAX_WORD:
        cause = f"has words of {music.dtype.itemsize // 4} letters, and {MAX_WORD} are the most"
    if cause:
        raise MusicgenError(f"song {song.name[:40]!r} {cause}: it is not written")


def save(corpus: Corpus, file: BinaryIO) -> None:
    """Write a corpus to a seekable file."""
    writer = Writer(file, corpus.steps_per_quarter)
    for i, song in enumerate(corpus.songs):
        writer.add(song, corpus[i])
    writer.finish()


def load(file: BinaryIO) -> Corpus:
    """Read a corpus from a seekable file; the music of a file on disk is memory-mapped.

    A bare `np.save` of a roll is a corpus of one song at 4 steps per quarter note and tempo 120.
    Raises MusicgenError for whatever else the file may be.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if not size:
        raise MusicgenError("is empty; did the command before it fail?")
    music = _read_music(file, size)
    if file.tell() == size:
        return Corpus(music, np.array([0, len(music)]), [Song()])
    offsets, text = read_array(file, size), read_array(file, size)
    if file.tell() != size:
        raise MusicgenError("is no musicgen corpus, or a damaged one; `musicgen encode` makes one")
    try:
        about, songs = _read_about(text, offsets.size + 2)  # of one too many more can be said
        if about["format"] != FORMAT:
            raise ValueError
        per_quarter, representation = int(about["steps_per_quarter"]), str(about["representation"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MusicgenError("is no musicgen corpus; `musicgen encode` makes one") from None
    ascending = offsets.dtype == np.int64 and offsets.ndim == 1 and not (offsets[1:] < offsets[:-1]).any()
    if not ascending or len(offsets) != len(songs) + 1 or offsets[0] != 0 or offsets[-1] != len(music):
        raise MusicgenError("is damaged: its songs do not add up to its music; encode it again")
    if representation != _representation(music) or not 1 <= per_quarter <= MAX_GRID:
        raise MusicgenError(
            f"is damaged: it says {representation!r} and holds {_representation(music)}; encode it again"
        )
    return Corpus(music, offsets, songs, per_quarter)


def _representation(music: NDArray[Any]) -> str:
    return words.NAME if music.dtype.kind == "U" else roll.NAME


def _read_about(text: NDArray[Any], most: int) -> tuple[dict[str, Any], Songs]:
    """What a corpus says of itself and, checked, of its songs; raises ValueError where these are more, or too wordy."""
    said = text.reshape(1).view(np.uint8).data if text.dtype.kind == "S" else memoryview(text.item().encode())
    opened, version = SONGS.search(said), SAID_VERSION.search(said)
    if version and int(version[1]) > VERSION:  # whatever it says of its songs
        raise MusicgenError("was made by a newer musicgen; upgrade this one")
    if not opened or not version:
        raise ValueError
    begins, at = array("q"), opened.end()
    while len(begins) < most and (found := SONG.match(said, at)) and found.end() - at <= MAX_TEXT:
        _song(found[1])
        begins.append(at)
        at = found.end()
    if opened.end() + len(said) - at > MAX_TEXT:
        raise ValueError
    about = json.loads(b"".join([said[: opened.end()], said[at:]]).decode())
    if about["songs"]:
        raise ValueError
    return about, Songs(said, begins)


@lru_cache(1 << 8)
def _song(text: bytes) -> Song:
    fields, _ = DECODER.raw_decode(text.decode())
    numerator, denominator = fields.get("time_signature", UNKNOWN.time_signature)
    song = Song(
        str(fields.get("name", UNKNOWN.name)),
        float(fields.get("tempo", UNKNOWN.tempo)),
        (int(numerator), int(denominator)),
        str(fields.get("text", UNKNOWN.text)),
    )
    song.check()
    return song


def write_array(array: NDArray[Any], file: BinaryIO) -> None:
    """`np.save`, without its surprises."""
    _write_header(file, array.dtype, array.shape)
    file.write(array.tobytes())


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def read_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of the array that comes next in a file of `size` bytes.

    Raises MusicgenError before anything is allocated where the file is too short.
    """
    try:
        reader = READERS[np.lib.format.read_magic(file)]
        shape, fortran, dtype = reader(file, max_header_size=MAX_HEADER)
        if min(shape, default=0) < 0 or bool in map(type, shape):
            raise ValueError
    except Exception:  # NumPy: ValueError, EOFError, SyntaxError, TypeError, TokenError, ... for damaged headers
        raise MusicgenError("is no .npy file; `musicgen encode` makes one") from None
    if fortran or dtype.hasobject:
        raise MusicgenError("is a .npy file of another kind; `musicgen encode` makes the right one")
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise MusicgenError("is cut short; did the command before it fail, or the disk fill up?")
    return shape, dtype


def read_array(file: BinaryIO, size: int) -> NDArray[Any]:
    """The array that comes next in a file of `size` bytes; raises MusicgenError where that is none."""
    shape, dtype = read_header(file, size)
    try:
        array = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
    except ValueError:  # items without size, dimensions beyond NumPy's
        raise MusicgenError("is no musicgen corpus; `musicgen encode` makes one") from None
    _check_values(array.ravel())
    return array


def _read_music(file: BinaryIO, size: int) -> NDArray[Any]:
    shape, dtype = read_header(file, size)
    if not representations.form_of(np.empty((0, *shape[1:]) if shape else (), dtype)) or not dtype.itemsize:
        raise MusicgenError(
            f"holds {dtype} {shape}, which is no roll, bool (T, 88, 2) or (T, 88) or uint8 (T, 22), nor words <U (N,)"
        )
    if dtype.kind == "U" and dtype.itemsize > 4 * MAX_WORD:
        raise MusicgenError(f"has room for words of {dtype.itemsize // 4} letters, {MAX_WORD} are the most")
    try:
        file.fileno()
    except OSError:  # in memory: it came through a pipe
        music = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
    else:
        start = file.tell()
        music = np.memmap(file, dtype, "r", start, shape) if math.prod(shape) else np.zeros(shape, dtype)
        file.seek(start + math.prod(shape) * dtype.itemsize)
    for begin in range(0, len(music), CHUNK):
        some = music[begin : begin + CHUNK]
        _check_values(some)
        if dtype.kind == "U":
            words.lengths(some)  # which names what is no word
    return music


def _check_values(array: NDArray[Any]) -> None:
    """Refuse bits and letters that are none: NumPy doesn't, and goes wrong later."""
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise MusicgenError("is damaged: a bit of its roll is neither 0 nor 1; encode it again")
    letters = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
    if array.dtype.kind == "U" and (array.view(letters) > LAST_CHARACTER).any():
        raise MusicgenError("is damaged: a letter of its words is none; encode it again")
