"""One key of a piano as a sum of damped partials, in NumPy alone.

A struck string sounds at the partials of a stiff string, sharper than whole multiples (Fletcher and Rossing, "The
Physics of Musical Instruments", ch. 12). Its strings are a little out of tune with each other: they die away fast
together, then slowly apart (Weinreich 1977, "Coupled piano strings").
"""

import numpy as np
from numpy.typing import NDArray

RATE = 44_100  # samples a second
PARTIALS, HIGHEST = 40, 9_000.0  # hertz
STRIKE = 8  # the hammer strikes at an eighth of the string, which silences each eighth partial
ATTACK = 0.003  # seconds that the hammer stays on the string
UNDAMPED = 89  # the lowest pitch without a damper
GRAIN = 256  # samples: a tone is the product of two small matrices, one step long and one grain wide

# By MIDI pitch, linear in between.
STIFFNESS = ((21, 40, 60, 84, 108), (-3.5, -3.9, -3.4, -2.5, -1.6))  # inharmonicity, a power of ten
RINGING = ((21, 48, 60, 72, 84, 108), (12.0, 10.0, 8.5, 6.0, 3.0, 0.9))  # seconds until 60 dB are lost
SLOPE = ((21, 60, 108), (4.5, 7.5, 13.0))  # dB that the partials lose an octave
DAMPING = ((21, 60, 88), (0.11, 0.06, 0.035))  # seconds until a damper leaves 1/e
STRINGS = ((0.0, 0.56, 1.5), (0.9, 0.26, 0.75), (-0.7, 0.18, 0.6))  # of a key: cents, share, how fast it dies away
KNOCK = ((86.0, 0.020), (173.0, 0.016), (297.0, 0.012), (458.0, 0.009), (731.0, 0.006))  # of key and case: hertz, 1/e
KNOCKING = 0.06  # of the loudness


def tone(pitch: int, velocity: int, samples: int) -> NDArray[np.float32]:
    """A key struck and held, float32 (N,): so many samples, or fewer where it has died away before.

    pitch: MIDI, 60 is C4; velocity: 1 to 127, higher is louder and brighter. Partials add up to a power of 1 at 127.
    """
    start, rate = _modes(pitch, velocity)
    samples = min(samples, ringing(pitch))
    coarse = start * np.exp(rate * GRAIN * np.arange(-(-samples // GRAIN))[:, None])
    fine = np.exp(rate[:, None] * np.arange(GRAIN))
    sound = (coarse.real @ fine.real - coarse.imag @ fine.imag).ravel()[:samples]
    rise = round(ATTACK * RATE)
    sound[:rise] *= np.linspace(0, 1, rise)[:samples] ** 2
    sound *= 1 - np.arange(samples) / ringing(pitch)
    return np.asarray(sound, np.float32)


def ringing(pitch: int) -> int:
    """Samples after which a held key is not heard any more."""
    return round(_at(pitch, RINGING) * RATE)


def damper(pitch: int) -> NDArray[np.float64]:
    """What is left of a tone, sample for sample, from when its key is let go; empty where nothing damps it."""
    if pitch >= UNDAMPED:
        return np.zeros(0)
    lasts = _at(pitch, DAMPING) * RATE
    left = np.exp(-np.arange(round(7 * lasts)) / lasts)
    return left * np.linspace(1, 0, len(left))


def _at(pitch: int, table: tuple[tuple[int, ...], tuple[float, ...]]) -> float:
    return float(np.interp(pitch, *table))


def _modes(pitch: int, velocity: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """All that swings when a key is struck: how it starts, and the exponent by which it goes on, sample by sample."""
    force = velocity / 127
    n = np.arange(1, PARTIALS + 1)
    hertz = n * 440 * 2 ** ((pitch - 69) / 12) * np.sqrt(1 + 10 ** _at(pitch, STIFFNESS) * n**2)
    n, hertz = n[hertz < HIGHEST], hertz[hertz < HIGHEST]
    lost = (_at(pitch, SLOPE) + 2.5 * (0.5 - force)) * np.log2(n) + (2.4 - 1.5 * force) * hertz / 1000  # dB
    size = 10 ** (-lost / 20) * (0.25 + np.abs(np.sin(np.pi * n / STRIKE)))
    size[0] *= 10 ** (min(pitch - 45, 0) * 0.35 / 20)  # a soundboard is too small for the lowest
    fading = np.log(1000) / _at(pitch, RINGING) * (1 + 0.12 * (n - 1) + (hertz / 5000) ** 2)  # a second

    cents, share, faster = np.array(STRINGS).T[:, :, None]
    knock, lasts = np.array(KNOCK).T
    phase = np.tile(np.pi * (5**0.5 - 1) * n, len(STRINGS))  # all over the circle, the strings of a partial together
    loudness = (0.06 + 0.94 * force**1.7) / np.sqrt((size**2).sum())
    start = np.concatenate([(loudness * share * size).ravel() * np.exp(1j * phase), np.full(len(knock), -1j)])
    start[-len(knock) :] *= KNOCKING * (0.06 + 0.94 * force**1.7) * force
    turning = np.concatenate([(hertz * 2 ** (cents / 1200)).ravel(), knock])
    dying = np.concatenate([(fading * faster).ravel(), 1 / lasts])
    return start, (2j * np.pi * turning - dying) / RATE
