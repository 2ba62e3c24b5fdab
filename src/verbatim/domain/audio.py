"""Audio as it crosses the modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.request import DecodeOptions
from verbatim.domain.units import SAMPLE_RATE_HZ

Samples: TypeAlias = NDArray[np.float32]
"""Waveform (n,), mono at 16 kHz, within ±1."""
Pcm: TypeAlias = NDArray[np.int16]
"""Waveform (n,), mono at 16 kHz."""

AnyAudio: TypeAlias = Samples | Pcm
"""Either of the two."""

PCM_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file says of its audio track.

    `duration_s` is the header's claim, None where there is none; only decoding knows the truth.
    """

    container: str
    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What an engine decodes at once: at most 30 s of audio with everything it needs to know.

    Attributes:
        samples: (n,) int16, mono at 16 kHz, 0 < n <= 480,000.
        start_s: where the window lies, for logs; results are relative to the window.
        options: how to decode it.
        context_tokens: what was said before, as the model's own tokens, oldest first.
    """

    samples: Pcm
    start_s: float = 0.0
    options: DecodeOptions = field(default_factory=DecodeOptions)
    context_tokens: tuple[int, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds of audio in the window."""
        return len(self.samples) / SAMPLE_RATE_HZ


def to_pcm(samples: Samples) -> Pcm:
    """Float samples (n,) within ±1 as int16 (n,), rounded; what is louder is clipped."""
    scaled: Samples = np.rint(samples * np.float32(PCM_FULL_SCALE))
    pcm: Pcm = np.clip(scaled, -32768, 32767).astype(np.int16)
    return pcm


def to_samples(pcm: Pcm) -> Samples:
    """int16 samples (n,) as float32 (n,) within ±1."""
    return pcm.astype(np.float32) / np.float32(PCM_FULL_SCALE)


def as_pcm(samples: AnyAudio) -> Pcm:
    """Samples (n,) of either kind as int16 (n,)."""
    if samples.dtype == np.int16:
        return cast(Pcm, samples)
    return to_pcm(cast(Samples, samples))
