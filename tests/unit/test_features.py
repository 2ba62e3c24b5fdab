"""Log-mel against openai-whisper's own numbers and an independent computation."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.audio import Pcm
from verbatim.domain.units import FRAMES_PER_SECOND, HOP_SAMPLES, WINDOW_FRAMES
from verbatim.engine.features import FFT_SAMPLES, FeatureExtractor, mel_filters

DATA = Path(__file__).parents[1] / "data"
STRIDE = 7
TOLERANCE = 3e-5


def real_speech() -> Pcm:
    with wave.open(str(DATA / "jfk.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").copy()


@pytest.mark.parametrize("mels", [80, 128])
def test_equals_openai_whisper(mels: int) -> None:
    expected = np.load(DATA / "mel_reference.npz")[f"mel_{mels}"]
    found = FeatureExtractor(mels).log_mel(real_speech())[::STRIDE]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE


def test_filters_cover_the_band_with_equal_area() -> None:
    filters = mel_filters(80)
    assert filters.shape == (80, FFT_SAMPLES // 2 + 1)
    assert (filters >= 0).all()
    peaks = filters.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()
    # Slaney's normalisation: each triangle has area 1 over Hz; wide ones are sampled well.
    area = filters[50:].sum(axis=1) * 40.0
    assert np.abs(area - 1).max() < 0.02


def test_a_tone_is_loudest_in_its_own_band() -> None:
    seconds = np.arange(16_000) / 16_000
    pcm = (8_000 * np.sin(2 * np.pi * 1_000 * seconds)).astype(np.int16)
    mel = FeatureExtractor(80).log_mel(pcm)[20:80]
    band = int(mel.mean(axis=0).argmax())
    centre_hz = mel_filters(80)[band].argmax() * 40
    assert abs(centre_hz - 1_000) <= 40


def test_batch_pads_with_zeros_and_keeps_rows_apart() -> None:
    extractor = FeatureExtractor(80)
    speech = real_speech()
    short, long = speech[: 16_000 * 2], speech
    both = extractor.batch([short, long])
    assert both.shape == (2, 80, WINDOW_FRAMES)
    assert (both[0, :, 2 * FRAMES_PER_SECOND :] == 0).all()
    assert np.array_equal(both[0, :, : 2 * FRAMES_PER_SECOND], extractor.log_mel(short).T)
    assert np.array_equal(both[1], extractor.batch([long])[0])


@given(st.integers(0, 5 * HOP_SAMPLES))
def test_any_length_gives_whole_frames(length: int) -> None:
    mel = FeatureExtractor(80).log_mel(np.ones(length, np.int16))
    assert mel.shape == (length // HOP_SAMPLES, 80)
    assert np.isfinite(mel).all()


def test_silence_is_the_floor() -> None:
    mel = FeatureExtractor(80).log_mel(np.zeros(16_000, np.int16))
    # log10 of the power floor 1e-10, scaled: (-10 + 4) / 4.
    assert np.allclose(mel, -1.5)
