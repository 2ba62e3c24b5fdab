"""Sequential decoding, token by token and second by second, against faster-whisper 1.2.1.

Both get the same model, samples and options. faster-whisper takes its log-mel over the whole
recording, so its dynamic range is floored by the loudest moment of all of it, and a window sees its
neighbours at its edges; ours sees the window alone, as the model was trained. Where that makes a
difference, the file is compared again with our features given to both: nothing but them may differ.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel
from tests.support.speech import samples_of, speech

import verbatim
from verbatim.domain.audio import Samples, to_pcm, to_samples
from verbatim.domain.request import (
    DecodeOptions,
    Gates,
    Strategy,
    TranscriptionRequest,
    VadOptions,
)
from verbatim.domain.transcript import Segment
from verbatim.domain.units import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_FRAMES, WINDOW_SAMPLES
from verbatim.engine.features import FeatureExtractor
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.pipeline.front_end import FrontEnd
from verbatim.pipeline.strategies import decode_sequential
from verbatim.pipeline.threads import ReadAhead

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
OWN_FEATURES_AT_LEAST = 0.8
"""Share of the recordings of one window whose int8 results agree with each side's own features.

In float32 all must. Both sides' features are off from those in double precision by 1e-7 on average,
each in its own way: enough for a number to be rounded to another int8, and for the small model to
take another turn.
"""

Decoded = list[tuple[float, float, tuple[int, ...]]]


def files() -> list[tuple[str, Samples]]:
    """44 recordings: sentences and long files in three languages, silence, noise, real speech."""
    chosen = [s for language in ("en", "zh", "ko") for s in speech("short", language, 11)]
    chosen += [s for language in ("en", "zh", "ko") for s in speech("long", language, 2)]
    rng = np.random.default_rng(0)
    white = rng.standard_normal(35 * SAMPLE_RATE_HZ).astype(np.float32)
    tone = np.sin(2 * np.pi * 120 * np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    made = [
        ("silence", np.zeros(40 * SAMPLE_RATE_HZ, np.float32)),
        ("short silence", np.zeros(SAMPLE_RATE_HZ // 2, np.float32)),
        ("noise", 0.03 * white),
        ("quiet noise", 0.001 * white),
        ("hum", (0.2 * tone).astype(np.float32)),
    ]
    spoken = [(s.name, samples_of(s.name)) for s in chosen]
    # Whole numbers of 16 bits on both sides: what a window is made of.
    return [(name, to_samples(to_pcm(samples))) for name, samples in (*spoken, *made)]


def load(compute_type: str) -> tuple[LocalEngine, WhisperModel]:
    """The demo model, ours and theirs; one thread for each, since both work at the same time."""
    options = LoadOptions(
        device="cpu",
        cpu_threads=1,
        short_context=False,
        encoder="ctranslate2",
        compute_type=compute_type,
    )
    theirs = WhisperModel(str(MODEL), device="cpu", compute_type=compute_type, cpu_threads=1)
    return LocalEngine.load(MODEL, "verbatim-demo", options), theirs


@pytest.fixture(scope="module")
def loaded() -> tuple[LocalEngine, WhisperModel]:
    return load("int8")


@pytest.fixture
def engine(loaded: tuple[LocalEngine, WhisperModel]) -> LocalEngine:
    return loaded[0]


@pytest.fixture
def reference(loaded: tuple[LocalEngine, WhisperModel]) -> WhisperModel:
    return loaded[1]


async def ours(engine: LocalEngine, samples: Samples, options: DecodeOptions) -> Decoded:
    request = TranscriptionRequest(
        decode=options,
        strategy=Strategy.SEQUENTIAL,
        condition_on_previous_text=True,
        vad=False,
    )
    segments: list[Segment] = []
    async with ReadAhead(
        lambda: iter(FrontEnd([samples], None, VadOptions())), 8, "front-end"
    ) as chunks:
        async for text in decode_sequential(chunks, engine, request):
            segments += text.segments
    return [(s.start, s.end, s.tokens) for s in segments]


def theirs(model: WhisperModel, samples: Samples, options: DecodeOptions) -> Decoded:
    segments, _ = model.transcribe(
        samples,
        beam_size=options.beam_size,
        temperature=list(options.temperatures),
        initial_prompt=options.initial_prompt,
        prefix=options.prefix,
        word_timestamps=False,
    )
    # The model may place an end in the padding; ours is never after the recording's.
    length = len(samples) / SAMPLE_RATE_HZ
    return [(min(s.start, length), min(s.end, length), tuple(s.tokens)) for s in segments]


class _OurFeatures:
    """Makes faster-whisper encode our log-mel of the very window that it asks for.

    Its features become the numbers of their frames, so that each slice says where it lies.
    """

    def __init__(self, model: WhisperModel, samples: Samples) -> None:
        self._model, self._pcm = model, to_pcm(samples)
        self._extractor = FeatureExtractor(model.model.n_mels)
        self._own = (model.feature_extractor, model.encode)

    def __enter__(self) -> None:
        extractor = self._own[0]
        model: Any = self._model
        frames = len(self._pcm) // HOP_SAMPLES

        class Numbered(type(extractor)):  # type: ignore[misc] # a class known at run time only
            def __call__(self, *_: object, **__: object) -> Any:
                return np.arange(1, frames + 2, dtype=np.float32)[None]

        model.feature_extractor = Numbered()
        model.encode = self._encode

    def __exit__(self, *_: object) -> None:
        model: Any = self._model
        model.feature_extractor, model.encode = self._own

    def _encode(self, numbers: Any) -> Any:
        first = int(numbers[0, 0]) - 1
        window = self._pcm[first * HOP_SAMPLES :][: WINDOW_FRAMES * HOP_SAMPLES]
        return self._own[1](self._extractor.batch([window])[0])


def same(found: Decoded, expected: Decoded) -> bool:
    return [part[2] for part in found] == [part[2] for part in expected] and all(
        a[:2] == pytest.approx(b[:2], abs=1e-6) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("beam_size", [1, 5])
async def test_tokens_and_times_are_equal(
    engine: LocalEngine, reference: WhisperModel, beam_size: int
) -> None:
    options = DecodeOptions(
        beam_size=beam_size, temperatures=(0.0,), gates=Gates(sure_no_speech=None)
    )
    recordings = files()
    assert len(recordings) >= 40
    differing: list[str] = []
    for name, samples in recordings:
        found, expected = await asyncio.gather(
            ours(engine, samples, options),
            asyncio.to_thread(theirs, reference, samples, options),
        )
        if same(found, expected):
            continue
        with _OurFeatures(reference, samples):
            expected = theirs(reference, samples, options)
        assert same(found, expected), name
        differing.append(name)
    short = [name for name, samples in recordings if len(samples) <= WINDOW_SAMPLES]
    apart = [name for name in differing if name in short]
    assert len(apart) <= (1 - OWN_FEATURES_AT_LEAST) * len(short), apart


@pytest.mark.timeout(600)
@pytest.mark.parametrize("beam_size", [1, 5])
async def test_in_float32_they_are_equal_with_own_features_too(beam_size: int) -> None:
    engine, reference = load("float32")
    options = DecodeOptions(
        beam_size=beam_size, temperatures=(0.0,), gates=Gates(sure_no_speech=None)
    )
    short = [each for each in files() if len(each[1]) <= WINDOW_SAMPLES]
    assert len(short) >= 30
    differing: list[str] = []
    for name, samples in short:
        found, expected = await asyncio.gather(
            ours(engine, samples, options),
            asyncio.to_thread(theirs, reference, samples, options),
        )
        if not same(found, expected):
            differing.append(name)
    await engine.aclose()
    assert differing == []


EXACT = DecodeOptions(beam_size=1, temperatures=(0.0,), gates=Gates(sure_no_speech=None))


@pytest.mark.parametrize(
    "options",
    [replace(EXACT, initial_prompt="My name is Maria."), replace(EXACT, prefix="Hello")],
    ids=["prompt", "prefix"],
)
async def test_a_text_before_gives_the_same_tokens(
    engine: LocalEngine, reference: WhisperModel, options: DecodeOptions
) -> None:
    for recording in (*speech("short", "en", 4), *speech("long", "en", 1)):
        samples = to_samples(to_pcm(samples_of(recording.name)))
        with _OurFeatures(reference, samples):
            expected = theirs(reference, samples, options)
        assert same(await ours(engine, samples, options), expected), recording.name
