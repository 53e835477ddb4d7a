"""A listening test as one HTML page that tells nothing of its answers, and the key that tells them."""

import base64
import hashlib
import io
import json
import wave
from collections.abc import Iterable
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen_cli import sound
from musicgen_cli.errors import MusicgenError
from musicgen_cli.piano import RATE
from musicgen_cli.quiz import Pair, Piece
from musicgen_cli.quiz_score import ANSWERS, HEARD, KEY, SAME, VERSION
from musicgen_cli.score import END, PITCH, START

LOUDNESS = 0.07  # of the frames that sound, root mean square
FRAME = 4 * RATE // 10  # samples
GATE = 0.1  # of the loudest frame; below it nothing sounds
FADE = RATE // 2  # samples
DOTS = 1000  # the width of a roll
SMALL = 0.9  # how much less than it could an MP3 keeps: 56 kbit/s


def page(pairs: Iterable[Pair], settings: dict[str, Any]) -> tuple[bytes, bytes]:
    """The page of these pairs and its key, which tells the settings too, as the bytes of two files.

    Everything is named by what it sounds like, and stands in the order of its name. Raises MusicgenError where two
    pairs sound alike: no answer would say which of them it is to.
    """
    encode, kind = (_mp3, "audio/mpeg") if sound.packs() else (_wav, "audio/wav")
    clips: dict[str, dict[str, Any]] = {}
    asked, key = [], []
    for pair in pairs:
        names, length = [], _samples(pair.clips[0])
        for clip in pair.clips:
            audio = encode(heard(clip, length))
            names.append(_name(audio))
            clips[names[-1]] = {"audio": base64.b64encode(audio).decode(), "notes": _notes(clip)}
        number, person = _name("".join(sorted(names)).encode()), None if pair.kind == SAME else names[0]
        asked.append({"id": number, "clips": sorted(names)})
        sources = [clip.source for clip in pair.clips]
        key.append({**asked[-1], "kind": pair.kind, "person": person, "alike": pair.alike, "sources": sources})
    if len({pair["id"] for pair in asked}) < len(asked):
        raise MusicgenError("two pairs sound alike: take away songs that are copies, or another --seed")
    asked.sort(key=lambda pair: str(pair["id"]))
    quiz = {"format": ANSWERS, "version": VERSION, "id": _name(json.dumps(asked).encode()), "heard": HEARD}
    quiz |= {"type": kind, "pairs": asked, "clips": dict(sorted(clips.items()))}
    html = resources.files("musicgen_cli").joinpath("quiz.html").read_text("utf-8").replace("QUIZ", json.dumps(quiz), 1)
    about = {"format": KEY, "version": VERSION, "quiz": quiz["id"], "settings": settings, "pairs": key}
    return html.encode(), (json.dumps(about, indent=1) + "\n").encode()


def _name(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def heard(clip: Piece, length: int) -> NDArray[np.float32]:
    """A clip as it is played: so many samples, mono, as loud as any other, (N,)."""
    blocks = np.concatenate([block.mean(1) for block in sound.render(clip.score)])
    samples = np.zeros(length)
    samples[: len(blocks)] = blocks[:length]
    samples[-FADE:] *= np.linspace(1, 0, FADE)
    frames = np.sqrt((samples[: length // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(1))
    loud = frames[frames > GATE * frames.max()]
    gain = LOUDNESS / np.sqrt((loud**2).mean()) if len(loud) else 0.0
    return sound.bent(gain * samples).astype(np.float32)


def _samples(clip: Piece) -> int:
    score = clip.score
    return round(60 * RATE * score.length / (score.ticks_per_quarter * score.tempo)) + RATE


def _mp3(samples: NDArray[np.float32]) -> bytes:
    """In as many bytes as any other music of that length."""
    return sound.encoded([samples], "mp3", SMALL, channels=1, steady=True)


def _wav(samples: NDArray[np.float32]) -> bytes:
    """At half the rate, a quarter of the size: a piano has little above it."""
    file = io.BytesIO()
    half = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(1)
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE // 2, 0, "NONE", ""))
        out.writeframes(np.rint(half * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _notes(clip: Piece) -> list[list[int]]:
    """Notes as [start, length, pitch], times in thousandths of the clip."""
    times = np.rint(clip.score.notes[:, [START, END]] * (DOTS / clip.score.length)).astype(int)
    table = np.column_stack([times[:, 0], times[:, 1] - times[:, 0], clip.score.notes[:, PITCH]])
    return [[int(value) for value in row] for row in table]
