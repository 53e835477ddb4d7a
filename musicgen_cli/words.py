"""A score as words: what is struck together, then how long it lasts, `E-4.G4.B-4:2`; a rest is `R:1`.

The plain form has no lengths and no rests: a note is `C#4`, a chord the normal order of its pitch classes, `0.4.7`.
"""

import re
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import END, KEYS, LOWEST, MAX_STEPS, PITCH, START, Score

NAME = "words"
REST = "R"
SPELLINGS = ["C", "C#", "D", "E-", "E", "F", "F#", "G", "G#", "A", "B-", "B"]  # as music21 has them
NAMES = {pitch: f"{SPELLINGS[pitch % 12]}{pitch // 12 - 1}" for pitch in range(LOWEST, LOWEST + KEYS)}
PITCHES = {name: pitch for pitch, name in NAMES.items()}
CLASSES = {str(pitch_class): pitch_class for pitch_class in range(12)}
OCTAVE = 60  # a pitch class is played from C4 up
WORD = re.compile("([^:]+)(?::([1-9][0-9]{0,5}))?")  # a chord and, after a colon, its steps
MAX_BYTES = 1 << 25  # of a song's words
KNOWN = 1 << 15  # words whose spelling is kept in mind
HALF = KEYS // 2  # of the keys, as bits of an integer that NumPy can hold
BITS = np.array([[1 << key, 0] for key in range(HALF)] + [[0, 1 << key] for key in range(HALF)])


def encode(score: Score, plain: bool = False) -> NDArray[np.str_]:
    """Write a quantised score as words, <U (N,); raises MusicgenError where they take too much memory.

    A chord lasts as long as its longest note, or until the next is struck; what is silent then is one rest. So the
    lengths add up to the score's. The plain form has a word for each step on which something is struck.
    """
    onset, first, end = _chords(score)
    keys = np.bitwise_or.reduceat(BITS.take(score.notes[:, PITCH] - LOWEST, 0), first)
    until = np.append(onset, score.length)

    rows = np.zeros((2 * len(onset) + 1, 3), np.int64)  # rest, chord, rest, ...: lower keys, upper keys, steps
    rows[1::2, :2] = keys
    rows[1::2, 2] = end - onset
    rows[::2, 2] = until - np.append(0, end)
    if plain:
        rows = rows[1::2]
        rows[:, 2] = 0
    else:
        rows = rows[rows[:, 2] > 0]
    if len(SPELT) > KNOWN:
        SPELT.clear()
    spelt = [SPELT[row] for row in np.ascontiguousarray(rows).view("V24")[:, 0].tolist()]
    longest = max(map(len, spelt), default=0)
    size = 4 * longest * len(spelt)  # NumPy gives each word the room of the longest
    if size > MAX_BYTES:
        raise MusicgenError(f"takes {size >> 20} MiB as words, for each has the room of its longest chord; take rolls")
    return np.array(spelt, f"U{max(longest, 1)}")


def changed(score: Score) -> int:
    """How many notes of a quantised score `encode` cuts or draws out to the length of their chord."""
    _, first, end = _chords(score)
    notes = np.diff(first, append=len(score.notes))
    return int(np.count_nonzero(np.repeat(end, notes) != score.notes[:, END]))


def decode(
    words: ArrayLike, steps_per_quarter: int, tempo: float = 120.0, time_signature: tuple[int, int] = (4, 4)
) -> Score:
    """Read words of either form, (N,), as the score that they stand for; without a length, a word lasts a step.

    Pitch classes are played from C4 up, one that stands alone in octaves. Raises MusicgenError where a word is none or
    all together are longer than MAX_STEPS.
    """
    keys, steps, inverse = _read(words)
    end = np.cumsum(steps[inverse])
    length = int(end.max(initial=0))
    if length > MAX_STEPS:
        raise MusicgenError(f"lasts {length} steps, more than {MAX_STEPS}")
    word, key = np.nonzero(keys[inverse])
    notes = np.stack([end[word] - steps[inverse[word]], end[word], key + LOWEST], 1)
    return Score(notes, steps_per_quarter, length, tempo, time_signature)


def lengths(words: ArrayLike) -> NDArray[np.int64]:
    """The steps that each word lasts, (N,); raises MusicgenError where one is none."""
    _, steps, inverse = _read(words)
    return steps[inverse]


def notes(words: ArrayLike) -> NDArray[np.int64]:
    """How many notes each word strikes, (N,), none in a rest; raises MusicgenError where one is none."""
    struck, _, inverse = _read(words)
    many: NDArray[np.int64] = struck.sum(1)
    return many[inverse]


def keys(words: ArrayLike) -> NDArray[np.bool_]:
    """Which keys each word strikes, (N, 88); raises MusicgenError where one is none."""
    struck, _, inverse = _read(words)
    return struck[inverse]


def cut(words: ArrayLike, steps: int) -> NDArray[np.str_]:
    """The first words, as far as `steps` go: the last one is shortened where it lasts longer."""
    words = np.asarray(words, np.str_)
    end = np.cumsum(lengths(words))
    kept = words[: np.count_nonzero(end < steps) + (steps > 0)].copy()
    over = int(end[: len(kept)].max(initial=0)) - steps
    if len(kept) and over > 0:
        chord, _, lasts = kept[-1].partition(":")
        kept[-1] = f"{chord}:{int(lasts) - over}"
    return kept


def is_plain(words: ArrayLike) -> bool:
    """Whether there are words and none has a length."""
    words = np.asarray(words, np.str_)
    return words.size > 0 and bool((np.strings.find(words, ":") < 0).all())


def transpose(words: ArrayLike, shift: int) -> NDArray[np.str_]:
    """Words moved up by `shift` keys, (N,); one that leaves the 88 keys becomes "", and "" stays."""
    distinct, inverse = np.unique(np.asarray(words, np.str_), return_inverse=True)
    return np.array([_move(word, shift) for word in distinct.tolist()], np.str_)[inverse]


@cache
def normal_order(pitch_classes: int) -> tuple[int, ...]:
    """Pitch classes laid out as closely as they can be: least from first to last, then from first to second, ...

    pitch_classes: 12 bits, bit 0 is C. Of equals the one that starts lowest; so has music21, after Forte (1973).
    """
    classes = [c for c in range(12) if pitch_classes >> c & 1]

    def above(first: int) -> list[int]:
        return sorted((c - first) % 12 for c in classes)

    first = min(classes, key=lambda c: (above(c)[-1], above(c)), default=0)
    return tuple((first + interval) % 12 for interval in above(first))


def _chords(score: Score) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.int64]]:
    """Of each chord the onset, the first note, and the end: of its longest note, or the next onset, each (N,)."""
    start = score.notes[:, START]
    first = np.flatnonzero(np.append(True, start[1:] != start[:-1])[: len(start)])
    onset = start[first]
    longest = np.maximum.reduceat(score.notes[:, END], first)
    return onset, first, np.minimum(longest, np.append(onset[1:], score.length)[: len(onset)])


class _Spelt(dict[bytes, str]):
    """The words that were met, by what they are made of: three int64, lower keys, upper keys and steps, 0 if plain."""

    def __missing__(self, row: bytes) -> str:
        low, high, steps = memoryview(row).cast("q")
        pitches = _pitches(low | high << HALF)
        word = _names(pitches) if steps or len(pitches) == 1 else _classes(pitches)
        self[row] = word = f"{word}:{steps}" if steps else word
        return word


SPELT = _Spelt()


def _pitches(keys: int) -> list[int]:
    pitches = []
    while keys:
        pitches.append(LOWEST - 1 + (keys & -keys).bit_length())
        keys &= keys - 1
    return pitches


def _names(pitches: list[int]) -> str:
    return ".".join(NAMES[pitch] for pitch in pitches) or REST


def _classes(pitches: list[int]) -> str:
    return ".".join(map(str, normal_order(sum({1 << pitch % 12 for pitch in pitches}))))


def _parse(word: str) -> tuple[dict[str, int], list[int], int]:
    """PITCHES or CLASSES, which of them a word names, and its steps."""
    match = WORD.fullmatch(word)
    chord, steps = match.groups("1") if match else ("", "1")
    names = [] if chord == REST else chord.split(".")
    for table in (PITCHES, CLASSES):
        if table.keys() >= set(names) and int(steps) <= MAX_STEPS:
            return table, sorted({table[name] for name in names}), int(steps)
    raise MusicgenError(f"{repr(word)[:40]} is no word; `musicgen encode --as words` writes them")


def _read(words: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.intp]]:
    """The keys that each distinct word strikes, (D, 88), and its steps, (D,); which of these each word is, (N,)."""
    distinct, inverse = np.unique(np.asarray(words, np.str_), return_inverse=True)
    keys, steps = np.zeros((len(distinct), KEYS), bool), np.zeros(len(distinct), np.int64)
    for i, word in enumerate(distinct.tolist()):
        table, numbers, steps[i] = _parse(word)
        if table is CLASSES:
            octaves = (OCTAVE, OCTAVE + 12) if len(numbers) == 1 else (OCTAVE,)
            numbers = [octave + c for octave in octaves for c in numbers]
        keys[i, np.array(numbers, int) - LOWEST] = True
    return keys, steps, inverse


def _move(word: str, shift: int) -> str:
    if not word:
        return word
    table, numbers, _ = _parse(word)
    moved = [number + shift for number in numbers]
    if table is PITCHES and not NAMES.keys() >= set(moved):
        return ""
    chord = _names(moved) if table is PITCHES else _classes(moved)
    return chord + "".join(word.partition(":")[1:])
