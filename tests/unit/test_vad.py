from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.synthetic_voice import noise, silence, voice

from verbatim.domain.audio import Samples
from verbatim.domain.errors import InternalError
from verbatim.engine.vad import BATCH_FRAMES, CONTEXT_SAMPLES, SileroVad, VadState
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

TOLERANCE = 1e-5
"""Of a probability: float32 sums in another order, through an LSTM."""

VAD = SileroVad()


def recording() -> Samples:
    """Speech, silence and noise, loud and quiet; 20 s, longer than a batch, with a broken frame."""
    parts = [
        silence(0.7), voice(3.2, 1), noise(1.1), voice(1.0, 2) * np.float32(0.05), silence(2.0),
        voice(0.4, 3), noise(2.6, -25.0), voice(6.0, 4) + noise(6.0, -30.0), silence(3.005),
    ]  # fmt: skip
    return np.concatenate(parts)


def one_shot(samples: Samples) -> Probabilities:
    probabilities, state = VAD.advance(samples, VadState())
    return np.concatenate((probabilities, VAD.finish(state)))


RECORDING = recording()
EXPECTED = one_shot(RECORDING)


def test_equals_the_original_graph() -> None:
    """Against faster-whisper 1.2.1, its code on its copy of Silero's model."""
    original = SileroVADModel(Path(get_assets_path()) / "silero_vad_v6.onnx")
    missing = -len(RECORDING) % FRAME_SAMPLES
    # It overwrites the last 64 samples it is given with zeros, so they must be padding.
    assert missing >= CONTEXT_SAMPLES
    theirs = original(np.pad(RECORDING, (0, missing)))
    assert len(RECORDING) > BATCH_FRAMES * FRAME_SAMPLES
    assert EXPECTED.shape == theirs.shape
    np.testing.assert_allclose(EXPECTED, theirs, atol=TOLERANCE, rtol=0)


def test_hears_speech_where_there_is_speech() -> None:
    assert EXPECTED.dtype == np.float32
    seconds = np.arange(len(EXPECTED)) * FRAME_SAMPLES / 16_000
    in_voice = (seconds > 0.9) & (seconds < 3.8)
    in_silence = (seconds > 6.4) & (seconds < 7.9)
    assert (EXPECTED[in_voice] > 0.5).mean() > 0.95
    assert (EXPECTED[in_silence] < 0.35).all()


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(RECORDING)), max_size=12))
def test_the_cut_into_blocks_changes_nothing(cuts: list[int]) -> None:
    state = VadState()
    found: list[Probabilities] = []
    for block in np.split(RECORDING, sorted(cuts)):
        probabilities, state = VAD.advance(block, state)
        found.append(probabilities)
    found.append(VAD.finish(state))
    np.testing.assert_allclose(np.concatenate(found), EXPECTED, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("size", [1, 63, 160, FRAME_SAMPLES, FRAME_SAMPLES + CONTEXT_SAMPLES])
def test_small_blocks(size: int) -> None:
    samples = RECORDING[8_000:11_000]
    expected = one_shot(samples)
    state = VadState()
    found: list[Probabilities] = []
    for at in range(0, len(samples), size):
        probabilities, state = VAD.advance(samples[at : at + size], state)
        found.append(probabilities)
    found.append(VAD.finish(state))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=TOLERANCE, rtol=0)


def test_a_state_can_be_gone_on_from_twice() -> None:
    _, state = VAD.advance(RECORDING[:50_001], VadState())
    first, _ = VAD.advance(RECORDING[50_001:90_000], state)
    VAD.finish(state)
    second, _ = VAD.advance(RECORDING[50_001:90_000], state)
    np.testing.assert_array_equal(first, second)


def test_the_last_frame_is_filled_up_with_zeros() -> None:
    samples = RECORDING[: 40 * FRAME_SAMPLES + 100]
    _, state = VAD.advance(samples, VadState())
    filled, _ = VAD.advance(np.pad(samples, (0, FRAME_SAMPLES - 100)), VadState())
    last = VAD.finish(state)
    assert last.shape == (1,)
    np.testing.assert_allclose(last, filled[-1:], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("frames", [0, 3])
def test_whole_frames_leave_nothing_to_finish(frames: int) -> None:
    probabilities, state = VAD.advance(RECORDING[: frames * FRAME_SAMPLES], VadState())
    assert probabilities.shape == (frames,)
    assert VAD.finish(state).shape == (0,)


def test_streams_in_many_threads_share_one_model() -> None:
    vad = SileroVad()
    streams = [RECORDING[start : start + 64_000] for start in range(0, 160_000, 16_000)]

    def hear(samples: Samples) -> Probabilities:
        found, state = [], VadState()
        for at in range(0, len(samples), 4_000):
            probabilities, state = vad.advance(samples[at : at + 4_000], state)
            found.append(probabilities)
        return np.concatenate(found)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(hear, streams))
    for samples, probabilities in zip(streams, together, strict=True):
        np.testing.assert_array_equal(probabilities, hear(samples))


def test_a_model_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    vad = SileroVad(tmp_path / "gone.onnx")
    with pytest.raises(InternalError, match=r"gone\.onnx cannot be loaded .*vad=false"):
        vad.advance(RECORDING, VadState())


def test_a_broken_model_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(InternalError, match=r"broken\.onnx cannot be loaded"):
        SileroVad(broken).advance(RECORDING, VadState())


def test_the_model_card_names_the_bundled_file() -> None:
    folder = resources.files("verbatim") / "assets" / "silero-vad"
    digest = hashlib.sha256((folder / "silero_vad_v6.onnx").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text("utf-8")
    assert "Silero Team" in (folder / "LICENSE").read_text("utf-8")
