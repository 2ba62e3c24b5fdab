"""A voice of pulses and formants: Silero VAD takes it for speech, and it needs no file."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from verbatim.domain.audio import Samples
from verbatim.domain.units import SAMPLE_RATE_HZ

PITCH_HZ = 110.0
LOUDNESS = 0.3
VOWELS_HZ = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
"""First three formants of five vowels of men (Peterson and Barney 1952)."""
BANDWIDTHS_HZ = (80, 100, 120)
SYLLABLE_S = (0.08, 0.2)


def voice(seconds: float, seed: int = 0) -> Samples:
    """Vowels one after another without a pause, (n,) float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    length = round(seconds * SAMPLE_RATE_HZ)
    time = np.arange(length) / SAMPLE_RATE_HZ
    pitch = PITCH_HZ + 20 * np.sin(2 * np.pi * 0.7 * time)
    pulses = np.diff(np.floor(np.cumsum(pitch) / SAMPLE_RATE_HZ), prepend=0.0)
    source = lfilter([1.0], [1.0, -0.97], pulses) + 0.003 * random.standard_normal(length)
    out = np.zeros(length)
    at = 0
    while at < length:
        end = min(length, at + round(random.uniform(*SYLLABLE_S) * SAMPLE_RATE_HZ))
        formants = VOWELS_HZ[random.integers(len(VOWELS_HZ))]
        syllable = source[at:end]
        for formant, bandwidth in zip(formants, BANDWIDTHS_HZ, strict=True):
            radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE_HZ)
            angle = 2 * np.pi * formant / SAMPLE_RATE_HZ
            syllable = lfilter(
                [1 - radius], [1.0, -2 * radius * np.cos(angle), radius**2], syllable
            )
        out[at:end] = LOUDNESS * syllable / (np.abs(syllable).max() + 1e-9)
        at = end
    samples: Samples = out.astype(np.float32)
    return samples


def silence(seconds: float) -> Samples:
    """Digital silence, (n,) float32 at 16 kHz."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def noise(seconds: float, level_db: float = -40.0, seed: int = 0) -> Samples:
    """White noise of this level (0 is full scale), (n,) float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(seconds * SAMPLE_RATE_HZ)) * 10 ** (level_db / 20)
    loud: Samples = samples.astype(np.float32)
    return loud
