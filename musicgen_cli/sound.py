"""A score as sound: keys of a piano in a small room, made block by block, so that memory does not grow with length.

All is computed in double precision and rounded once, at the end: the same score is the same samples everywhere.
"""

import io
import wave
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from musicgen_cli.errors import MusicgenError
from musicgen_cli.piano import RATE, damper, ringing, tone
from musicgen_cli.score import END, LOWEST, PITCH, START, Score, on_keyboard
from musicgen_cli.signals import uninterrupted

Blocks = Iterable[NDArray[np.float32]]  # (n, 2) of left and right, -1 to 1, one after the other

BLOCK = 1 << 16  # samples
TAIL = 3 * RATE // 2  # samples after the end of the score, in which the last notes die away
LONGEST = 6 * 60 * 60  # seconds; a WAV file ends at 4 GiB
ROOM, WET, LATER = 6 * RATE // 5, 0.13, RATE // 80  # samples it rings, how loud, until its first answer
LEVEL, KNEE = 0.45, 0.7  # of a full chord; above the knee peaks are bent, not cut
SOUNDFILE = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "flac": ("FLAC", "PCM_16")}
FORMATS = ("wav", *SOUNDFILE)
GOOD, SMALL = 0.3, 0.8  # how much less than they could .mp3 and .ogg keep, 0 to 1: an MP3 of some 95, some 60 kbit/s


def render(score: Score, velocity: int = 80) -> Iterator[NDArray[np.float32]]:
    """A score as blocks of stereo sound, float32 (n, 2) at RATE; notes without a key on the piano are silent.

    velocity: 1 to 127, how hard all keys are struck. Raises MusicgenError where it would last too long.
    """
    check_length(score)
    return _in_the_room(_played(score, velocity))


def check_length(score: Score) -> None:
    """Raise MusicgenError where sound would last too long."""
    second = score.tempo * score.ticks_per_quarter / 60  # in ticks
    if score.length > LONGEST * second:
        raise MusicgenError(f"lasts {score.length / second / 3600:.0f} hours, sound six at most: a higher --tempo")


def _played(score: Score, velocity: int) -> Iterator[NDArray[np.float64]]:
    """The piano alone, in blocks of BLOCK samples, the last one shorter."""
    notes = score.notes[on_keyboard(score)]
    sample = 60 * RATE / (score.tempo * score.ticks_per_quarter)
    starts, ends = (np.rint(notes[:, column] * sample).astype(int) for column in (START, END))
    at_once = np.searchsorted(starts, starts, "right") - np.searchsorted(np.sort(ends), starts, "right")
    level = LEVEL / np.sqrt(at_once.max(initial=1))
    longest = {int(p): int((ends - starts)[notes[:, PITCH] == p].max()) for p in np.unique(notes[:, PITCH])}
    tones: dict[int, NDArray[np.float32]] = {}

    ahead = np.zeros((BLOCK + ringing(LOWEST), 2))
    total = round(score.length * sample) + TAIL
    for begin in range(0, total, BLOCK):
        first, last = np.searchsorted(starts, [begin, begin + BLOCK])
        for i in range(first, last):
            pitch, held, at = int(notes[i, PITCH]), int(ends[i] - starts[i]), int(starts[i]) - begin
            left = damper(pitch)
            if pitch not in tones:
                tones[pitch] = tone(pitch, velocity, longest[pitch] + len(left) if len(left) else ringing(pitch))
            sound = tones[pitch][: held + len(left)] if len(left) else tones[pitch]
            sound = sound * level
            sound[held:] *= left[: max(len(sound) - held, 0)] if len(left) else 1
            ahead[at : at + len(sound)] += sound[:, None] * _place(pitch)
        yield ahead[: min(BLOCK, total - begin)]
        ahead = np.concatenate([ahead[BLOCK:], np.zeros((BLOCK, 2))])


def _place(pitch: int) -> NDArray[np.float64]:
    """How loud a key is on the left and on the right."""
    angle = np.pi / 4 + (pitch - 64) / 120
    return np.array([np.cos(angle), np.sin(angle)])


def _in_the_room(blocks: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.float32]]:
    """Add what comes back from the walls: each block convolved, what lies beyond it kept for the next."""
    size = 2 * BLOCK  # the room rings for less than a block
    room = np.fft.rfft(_room(), size, axis=0)
    later = np.zeros((BLOCK, 2))
    for block in blocks:
        answer = np.fft.irfft(np.fft.rfft(block, size, axis=0) * room, size, axis=0)
        yield bent(block + answer[: len(block)] + later[: len(block)]).astype(np.float32)
        later = answer[BLOCK:]


def _room() -> NDArray[np.float64]:
    """How a small room answers a click, float64 (N, 2): noise that dies away, the same on every machine."""
    noise = np.random.PCG64(1).random_raw(2 * ROOM).astype(np.float64).reshape(ROOM, 2) / 2**63 - 1
    noise = np.cumsum(noise, 0)
    noise[16:] -= noise[:-16]  # the mean of 16 samples: walls are dull
    noise *= np.exp(-np.log(1000) * np.arange(ROOM) / ROOM)[:, None]
    noise[:LATER] = 0
    return np.asarray(WET * noise / np.sqrt((noise**2).sum(0)))


def bent(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks above the knee, pressed together below 1."""
    over = np.maximum(np.abs(sound) - KNEE, 0) / (1 - KNEE)
    return np.where(over > 0, np.sign(sound) * (KNEE + (1 - KNEE) * np.tanh(over)), sound)


# --- files ---


def encoded(blocks: Blocks, form: str, packing: float = GOOD, channels: int = 2, steady: bool = False) -> bytes:
    """Sound as the bytes of a file: see `write`."""
    file = io.BytesIO()
    write(file, blocks, form, packing, channels, steady)
    return file.getvalue()


def write(
    file: BinaryIO, blocks: Blocks, form: str, packing: float = GOOD, channels: int = 2, steady: bool = False
) -> None:
    """Sound as a file, 16 bits a sample where nothing is lost.

    form: one of FORMATS; packing: GOOD or SMALL; steady: any second takes as many bytes
    Raises MusicgenError where soundfile is missing, or cannot.
    """
    if form == "wav":
        with wave.open(file, "wb") as out:
            out.setparams((channels, 2, RATE, 0, "NONE", ""))
            for block in blocks:
                out.writeframesraw(np.rint(block * 32767).astype("<i2").tobytes())
        return
    if not packs():
        raise MusicgenError(f".{form} is written by soundfile: pip install 'musicgen-cli[audio]', or write .wav")
    import soundfile

    name, kind = SOUNDFILE[form]
    how = {"format": name, "subtype": kind, "compression_level": packing}
    how |= {"bitrate_mode": "CONSTANT"} if steady else {}
    packed = io.BytesIO()  # not the file: what goes wrong in a callback of soundfile's is lost, so are signals
    try:
        with uninterrupted():
            out = soundfile.SoundFile(packed, "w", RATE, channels, **how)
        for block in blocks:
            with uninterrupted():
                out.write(block)
        with uninterrupted():
            out.close()
    except soundfile.LibsndfileError as error:
        raise MusicgenError(f"cannot be written as .{form}: {error.error_string}") from None
    file.write(packed.getbuffer())


def packs() -> bool:
    """Whether there is a library that writes other sound than WAV."""
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError):  # OSError: without the C library that it drives
        return False
    return True
