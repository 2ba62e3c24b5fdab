"""Cheap changes to sound, made while training: noise, hum, rooms, telephones, speed."""

from __future__ import annotations

from typing import Final

import numpy as np
from speech import RATE_HZ, Samples

NOISE_KINDS: Final = ("white", "brown", "hum", "tones", "clicks")
_TELEPHONE_HZ: Final = (300.0, 3400.0)


def noise(rng: np.random.Generator, size: int, kind: str | None = None) -> Samples:
    """Noise (size,) of unit power, of the given or a random kind."""
    kind = kind or str(rng.choice(NOISE_KINDS, p=(0.4, 0.3, 0.15, 0.1, 0.05)))
    if kind in ("white", "brown"):
        white = rng.standard_normal(size, dtype=np.float32)
        width = 1 if kind == "white" else int(rng.integers(2, 16))
        sound = np.convolve(white, np.ones(width, np.float32), mode="same") if width > 1 else white
    elif kind == "clicks":
        sound = np.zeros(size, np.float32)
        sound[rng.integers(0, size, max(size // RATE_HZ, 1))] = 1.0
        sound = np.convolve(sound, rng.standard_normal(40).astype(np.float32), mode="same")
    else:
        base = float(rng.choice((50.0, 60.0, 100.0, 120.0)))
        pitches = base * np.arange(1, 6) if kind == "hum" else rng.uniform(100, 3000, 2)
        phase = np.arange(size, dtype=np.float32) * (2 * np.pi / RATE_HZ)
        sound = np.zeros(size, np.float32)
        for i, pitch_hz in enumerate(pitches):
            strength = rng.uniform(0.2, 1.0) / (i + 1)
            sound += strength * np.sin(phase * np.float32(pitch_hz) + rng.uniform(0, 6))
    power = float(np.sqrt(np.mean(sound**2)))
    return (sound / max(power, 1e-6)).astype(np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples played `factor` times as fast, and so at a higher pitch, by linear interpolation."""
    size = int(samples.size / factor)
    at = np.arange(size, dtype=np.float32) * np.float32(factor)
    left = np.minimum(at.astype(np.int64), samples.size - 2)
    part = at - left
    mixed: Samples = (samples[left] * (1 - part) + samples[left + 1] * part).astype(np.float32)
    return mixed


def room(rng: np.random.Generator, samples: Samples) -> Samples:
    """Samples with a few early echoes."""
    out = samples.copy()
    for _ in range(int(rng.integers(1, 4))):
        delay = int(rng.uniform(0.004, 0.06) * RATE_HZ)
        out[delay:] += np.float32(rng.uniform(0.1, 0.4)) * samples[:-delay]
    return out


def telephone(samples: Samples) -> Samples:
    """Samples with only a telephone's band of frequencies."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    spectrum[(hz < _TELEPHONE_HZ[0]) | (hz > _TELEPHONE_HZ[1])] = 0
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)


def colour(rng: np.random.Generator, samples: Samples) -> Samples:
    """Sometimes a room, sometimes a telephone, mostly nothing."""
    chance = rng.random()
    if chance < 0.12:
        return room(rng, samples)
    return telephone(samples) if chance < 0.2 else samples
