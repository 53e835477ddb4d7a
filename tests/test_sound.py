"""The piano, the room and the files they fill, beside plain and slow versions of themselves."""

import hashlib
import io
import os
import subprocess
import sys
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import piano, sound
from musicgen_cli.errors import MusicgenError
from musicgen_cli.piano import RATE, damper, ringing, tone
from musicgen_cli.score import Score
from tests.strategies import scores
from tests.tunes import tune


def played(notes, length=0, tempo=60.0, velocity=80):
    """Notes in quarters of a second, at tempo 60, as samples (N, 2)."""
    return np.concatenate(list(sound.render(Score(np.array(notes), 4, length, tempo), velocity)))


def pitch_of(samples):
    """The hertz at which most of the sound is."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def brightness(samples):
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    return (spectrum * np.fft.rfftfreq(len(samples), 1 / RATE)).sum() / spectrum.sum()


# -- a key


@pytest.mark.parametrize("pitch", [21, 60, 108])
def test_a_tone_is_the_sum_of_its_partials(pitch):
    start, rate = piano._modes(pitch, 90)
    plain = sum(s * np.exp(r * np.arange(3000)) for s, r in zip(start, rate)).real
    plain = plain * np.linspace(1, 0, ringing(pitch) + 1)[:3000]
    rise = round(piano.ATTACK * RATE)
    made = tone(pitch, 90, 3000)
    assert np.allclose(made[rise:], plain[rise:], atol=1e-6)
    assert made[0] == 0
    assert (np.abs(made[:rise]) <= np.abs(plain[:rise]) + 1e-6).all()


@pytest.mark.parametrize("pitch", [48, 60, 69, 81])
def test_a_key_is_in_tune(pitch):
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    cents = 1200 * np.log2(pitch_of(tone(pitch, 60, 2 * RATE)) / hertz)
    assert min(abs(cents - 1200 * np.log2(n)) for n in (1, 2)) < 5  # a low key is loudest an octave higher


def test_a_key_struck_harder_is_louder_and_brighter():
    soft, hard = (tone(60, velocity, RATE) for velocity in (30, 120))
    assert (hard**2).sum() > 4 * (soft**2).sum()
    assert brightness(hard) > 1.1 * brightness(soft)


def test_a_shorter_tone_is_the_beginning_of_a_longer_one():
    assert (tone(50, 80, 1000) == tone(50, 80, 5000)[:1000]).all()
    assert len(tone(108, 80, 1 << 30)) == ringing(108) < ringing(21)


def test_dampers_end_a_tone_but_in_the_highest_octaves():
    assert damper(60)[0] == 1
    assert damper(60)[-1] == 0
    assert (np.diff(damper(60)) < 0).all()
    assert len(damper(21)) > len(damper(60)) > 0 == len(damper(piano.UNDAMPED))


# -- a score


def test_what_is_played_is_heard_when_it_is_written():
    dry = np.concatenate(list(sound._played(Score(np.array([[4, 8, 69]]), 4, 12, 60.0), 80)))
    assert len(dry) >= 3 * RATE
    assert not dry[:RATE].any()
    assert np.abs(dry[RATE : RATE + 500]).max() > 0.01
    assert not dry[2 * RATE + len(damper(69)) :].any()
    assert abs(pitch_of(dry[RATE : 2 * RATE, 0]) - 440) < 3


@pytest.mark.slow
@settings(max_examples=5)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 8), st.integers(21, 108)), max_size=6))
def test_blocks_are_the_whole_cut_up(notes):
    score = Score(np.array([(start, start + held, pitch) for start, held, pitch in notes]), 4, 0, 60.0)
    made = np.concatenate(list(sound.render(score)))

    dry = np.zeros((len(made) + ringing(21), 2))
    most = max((sum(start <= at < end for start, end, _ in score.notes) for at in score.notes[:, 0]), default=1)
    for start, end, pitch in score.notes.tolist():
        left = damper(pitch)
        held = tone(pitch, 80, RATE * (end - start) // 4 + len(left) if len(left) else ringing(pitch))
        held = held * sound.LEVEL / np.sqrt(most)
        if len(left):
            silenced = held[RATE * (end - start) // 4 :]
            silenced *= left[: len(silenced)]
        dry[RATE * start // 4 :][: len(held)] += held[:, None] * sound._place(pitch)
    dry = dry[: len(made)]
    size = 1 << (len(dry) + sound.ROOM).bit_length()
    answer = np.fft.irfft(np.fft.rfft(dry, size, axis=0) * np.fft.rfft(sound._room(), size, axis=0), size, axis=0)
    assert np.allclose(made, sound.bent(dry + answer[: len(dry)]), atol=1e-5)


@pytest.mark.slow
@settings(max_examples=10)
@given(scores(), st.integers(1, 127))
def test_any_score_is_sound_that_stays_in_its_bounds(score, velocity):
    blocks = list(sound.render(Score(score.notes % 500, score.ticks_per_quarter, 0, max(score.tempo, 240)), velocity))
    assert all(block.dtype == np.float32 and block.shape[1] == 2 for block in blocks)
    assert all(np.abs(block).max(initial=0) <= 1 for block in blocks)


def test_peaks_bend_and_do_not_break():
    loud = np.linspace(-3, 3, 601)
    bent = sound.bent(loud)
    assert (np.diff(bent) > 0).all()
    assert np.abs(bent).max() < 1
    quiet = np.abs(loud) <= sound.KNEE
    assert (bent[quiet] == loud[quiet]).all()
    assert 0.3 < np.abs(played([(0, 4, pitch) for pitch in range(21, 109, 4)], velocity=127)).max() < 1


def test_one_voice_is_about_as_loud_as_four():
    one, four = (np.sqrt((played(tune(4, voices).notes, tempo=180.0) ** 2).mean()) for voices in (1, 4))
    assert 0.5 < four / one < 2


def test_low_keys_are_on_the_left_and_high_ones_on_the_right():
    low, high = ((played([(0, 4, pitch)]) ** 2).sum(0) for pitch in (30, 90))
    assert low[0] > low[1]
    assert high[0] < high[1]


def test_notes_without_a_key_are_silent_and_nothing_is_silence():
    assert not played([(0, 4, 110)]).any()
    assert not played(np.zeros((0, 3), int), length=8).any()


def test_sound_without_end_is_refused_before_it_is_made():
    with pytest.raises(MusicgenError, match="lasts 7 hours, sound six at most"):
        sound.render(Score(np.zeros((0, 3)), 4, 7 * 60 * 60 * 4, 60.0))


HASH = """
import hashlib
from musicgen_cli import sound
from tests.tunes import tune
print(hashlib.sha256(sound.encoded(sound.render(tune(4, bars=2)), "wav")).hexdigest())
"""


def test_another_processor_makes_the_same_bytes():
    other = os.environ | {
        "OPENBLAS_CORETYPE": "Nehalem",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, env=other, check=True)
    here = sound.encoded(sound.render(tune(4, bars=2)), "wav")
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


# -- files


def test_a_wav_file_holds_the_samples():
    blocks = list(sound.render(tune(1, bars=2)))
    with wave.open(io.BytesIO(sound.encoded(blocks, "wav"))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(data / 32767 - np.concatenate(blocks)).max() <= 0.51 / 32767


@pytest.mark.parametrize("form", [form for form in sound.FORMATS if form != "wav"])
def test_other_files_sound_the_same(form):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    blocks = list(sound.render(tune(1, bars=1)))
    data = sound.encoded(blocks, form)
    again, rate = soundfile.read(io.BytesIO(data))
    made = np.concatenate(blocks)
    assert rate == RATE
    assert again.shape == made.shape
    assert ((again - made) ** 2).sum() < 0.02 * (made**2).sum()
    assert form == "ogg" or data == sound.encoded(blocks, form)  # an .ogg gets a number at random
    assert form == "flac" or len(sound.encoded(blocks, form, sound.SMALL)) < len(data)


def test_without_soundfile_there_is_wav_and_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert not sound.packs()
    with pytest.raises(MusicgenError, match=r"pip install 'musicgen-cli\[audio\]', or write .wav"):
        sound.encoded([], "mp3")
    assert sound.encoded([], "wav")[:4] == b"RIFF"
