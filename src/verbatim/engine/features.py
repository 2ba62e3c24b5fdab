"""Whisper's log-mel spectrogram, fast on one CPU core.

The same numbers as openai-whisper's `log_mel_spectrogram` (tests hold the difference under 3e-5):
a 25 ms periodic Hann window every 10 ms, power spectrum, Slaney mel filters, log10, floored 8
decades below the loudest point, and scaled. Frames that have no audio are 0, as openai-whisper's
`transcribe` pads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.audio import PCM_FULL_SCALE, Pcm
from verbatim.domain.units import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_FRAMES

FFT_SAMPLES: Final = 400
_EDGE_SAMPLES: Final = FFT_SAMPLES // 2
BLOCK_FRAMES: Final = 32
"""Frames computed at once: they stay in the processor's cache, and are too few for BLAS to wake
threads, which would take time from the inference that runs beside."""
_POWER_FLOOR: Final = 1e-10
_DYNAMIC_RANGE_DECADES: Final = 8.0

# The mel scale of Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
_LINEAR_HZ_PER_MEL: Final = 200.0 / 3.0
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP: Final = np.log(6.4) / 27.0

Mel = NDArray[np.float32]


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, above)


def mel_filters(mels: int) -> Mel:
    """Triangular filters of equal area, (mels, 201), from 0 Hz to half the sample rate.

    Source: the definition behind librosa's `filters.mel(htk=False, norm="slaney")`, with which
    openai-whisper's filter file was made.
    """
    top_mel = _BREAK_MEL + np.log(SAMPLE_RATE_HZ / 2 / _BREAK_HZ) / _LOG_STEP
    corners = _mel_to_hz(np.linspace(0.0, top_mel, mels + 2))
    bins = np.fft.rfftfreq(FFT_SAMPLES, 1 / SAMPLE_RATE_HZ)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (high - low))).astype(np.float32)


class FeatureExtractor:
    """Log-mel of windows; holds only constants, so any thread may use it."""

    def __init__(self, mels: int) -> None:
        self.mels = mels
        self._filters = np.ascontiguousarray(mel_filters(mels).T)
        # Scaling by the window costs nothing where int16 has to become float anyway.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)
        self._taper = (hann / PCM_FULL_SCALE).astype(np.float32)

    def log_mel(self, pcm: Pcm) -> Mel:
        """One window's frames without padding: int16 (n,) -> float32 (frames, mels).

        `frames` is n // 160; beyond the end the signal counts as silence, before its start as its
        mirror image, as in openai-whisper.
        """
        frames = len(pcm) // HOP_SAMPLES
        if frames == 0:
            return np.zeros((0, self.mels), np.float32)
        padded = np.zeros(_EDGE_SAMPLES + len(pcm) + FFT_SAMPLES, np.float32)
        padded[_EDGE_SAMPLES : _EDGE_SAMPLES + len(pcm)] = pcm
        mirror = padded[_EDGE_SAMPLES + 1 : 2 * _EDGE_SAMPLES + 1]
        padded[:_EDGE_SAMPLES] = mirror[::-1]
        views = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][
            :frames
        ]
        mel = np.empty((frames, self.mels), np.float32)
        # One array for all blocks: the transform is a quarter faster than into a new one each time.
        spectra = np.empty((BLOCK_FRAMES, FFT_SAMPLES // 2 + 1), np.complex64)
        for first in range(0, frames, BLOCK_FRAMES):
            block = slice(first, min(first + BLOCK_FRAMES, frames))
            spectrum = spectra[: block.stop - first]
            np.fft.rfft(
                views[block] * self._taper,
                axis=1,
                out=spectrum,  # type: ignore[arg-type]  # the stubs know double precision only
            )
            power = spectrum.real**2 + spectrum.imag**2
            np.matmul(power, self._filters, out=mel[block])
        np.maximum(mel, _POWER_FLOOR, out=mel)
        np.log10(mel, out=mel)
        np.maximum(mel, mel.max() - _DYNAMIC_RANGE_DECADES, out=mel)
        mel += 4.0
        mel *= 0.25
        return mel

    def columns(self, pcm: Pcm) -> Mel:
        """One window's frames as the model takes them: int16 (n,) -> float32 (mels, frames)."""
        return np.ascontiguousarray(self.log_mel(pcm).T)

    def batch(self, windows: Sequence[Pcm], frames: int = WINDOW_FRAMES) -> Mel:
        """Windows of at most `frames` frames each -> float32 (len(windows), mels, frames)."""
        return stack([self.columns(pcm) for pcm in windows], frames)


def stack(windows: Sequence[Mel], frames: int) -> Mel:
    """One or more windows' frames (mels, n), padded with 0 -> float32 (windows, mels, frames)."""
    out = np.zeros((len(windows), len(windows[0]), frames), np.float32)
    for row, mel in zip(out, windows, strict=True):
        row[:, : mel.shape[1]] = mel[:, :frames]
    return out
