"""Nobody spoke, so nothing is written: an hour each of silence, noise and a hum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.speech import samples_of, speech, wav_of_pcm

import verbatim
from verbatim.domain.audio import Pcm, to_pcm
from verbatim.domain.events import Finished
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.transcribe import Frontend, transcribe

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
HOUR = 3_600 * SAMPLE_RATE_HZ
MINUTE = 60 * SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load(MODEL, "verbatim-demo", LoadOptions(device="cpu"))


def nothing(kind: str, length: int) -> Pcm:
    """Sound without speech, int16 (length,)."""
    if kind == "silence":
        return np.zeros(length, np.int16)
    if kind == "noise":
        return np.random.default_rng(0).normal(0, 1_000, length).astype(np.int16)
    # A mains hum with its harmonics, swelling slowly.
    at = np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    partials = (np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 6))
    swell = 1 + 0.5 * np.sin(2 * np.pi * 0.1 * at)
    hum = (sum(partials, np.zeros(len(at))) * swell * 3_000).astype(np.int16)
    return np.tile(hum, length // len(hum))


async def transcript(
    engine: LocalEngine, pcm: Pcm, request: TranscriptionRequest, folder: Path
) -> Transcript:
    path = folder / "sound.wav"
    path.write_bytes(wav_of_pcm(pcm))
    async for event in transcribe(path, request, engine, Frontend(SileroVad())):
        if isinstance(event, Finished):
            return event.transcript
    raise AssertionError("no end")


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
async def test_an_hour_of_nothing_has_no_words(
    engine: LocalEngine, kind: str, tmp_path: Path
) -> None:
    found = await transcript(engine, nothing(kind, HOUR), TranscriptionRequest(), tmp_path)
    assert found.text == ""
    assert found.duration_s == pytest.approx(3_600)


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
async def test_the_gates_hold_without_voice_activity_detection(
    engine: LocalEngine, kind: str, tmp_path: Path
) -> None:
    request = TranscriptionRequest(vad=False, decode=DecodeOptions(beam_size=1))
    found = await transcript(engine, nothing(kind, 2 * MINUTE), request, tmp_path)
    assert found.text == ""


async def test_a_sentence_in_an_hour_of_noise_is_found_in_its_place(
    engine: LocalEngine, tmp_path: Path
) -> None:
    said = speech("short", "en")[0]
    pcm = nothing("silence", HOUR // 6) + 0
    voice = to_pcm(samples_of(said.name))
    start = 7 * MINUTE
    pcm[start : start + len(voice)] = voice
    found = await transcript(engine, pcm, TranscriptionRequest(), tmp_path)
    assert found.text == said.text
    (segment,) = found.segments
    assert segment.start == pytest.approx(7 * 60 + said.sentences[0].start, abs=0.6)
    assert found.speech_duration_s < len(voice) / SAMPLE_RATE_HZ + 1
