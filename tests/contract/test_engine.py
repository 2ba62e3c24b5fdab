"""What every engine promises, kept by each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.support.speech import samples_of, speech

import verbatim
from verbatim.domain.audio import Pcm, Window, to_pcm
from verbatim.domain.errors import BadRequestError, ModelUnavailableError
from verbatim.domain.request import DecodeOptions, Task
from verbatim.domain.transcript import WarningCode, WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.fake import FakeEngine
from verbatim.engine.frames import WorkerSpec
from verbatim.engine.local import LocalEngine, devices
from verbatim.engine.process import ProcessEngine, Supervision
from verbatim.engine.protocol import Engine, LoadOptions

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"


ENGINES = ("fake", "local", "process")


async def make_engine(kind: str) -> Engine:
    if kind == "fake":
        return FakeEngine()
    if kind == "local":
        return LocalEngine.load(MODEL, "demo")
    return await ProcessEngine.start(WorkerSpec(MODEL, "demo"), Supervision(), time.monotonic)


@pytest_asyncio.fixture(params=ENGINES, scope="module", loop_scope="module")
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One for all tests: it holds no state of what it was asked."""
    made = await make_engine(request.param)
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    return LocalEngine.load(MODEL, "demo", LoadOptions(device="cpu"))


def spoken(language: str, place: int = 0) -> Pcm:
    return to_pcm(samples_of(speech("short", language)[place].name))


@pytest.mark.asyncio(loop_scope="module")
class TestEveryEngine:
    async def test_the_description_is_constant_and_whole(self, engine: Engine) -> None:
        description = engine.describe()
        assert description == engine.describe()
        assert description.batch_size > 0
        assert {"en", "zh", "ko"} <= set(description.languages)
        assert description.multilingual

    async def test_the_memory_that_it_takes_is_told(self, engine: Engine) -> None:
        if isinstance(engine, FakeEngine):
            assert engine.memory_bytes() == 0
        else:
            weights_bytes = (MODEL / "model.bin").stat().st_size
            assert weights_bytes <= engine.memory_bytes() < 1024**3

    async def test_one_result_a_window_in_order(self, engine: Engine) -> None:
        options = DecodeOptions(language="en", beam_size=1)
        windows = [Window(spoken("en", place), options=options) for place in range(6)]
        together = await engine.run(windows)
        alone = [(await engine.run([window]))[0] for window in windows]
        assert [r.tokens for r in together] == [r.tokens for r in alone]
        assert len({r.segments[0].text for r in together}) > 1

    async def test_no_window_no_result(self, engine: Engine) -> None:
        assert await engine.run([]) == []

    @pytest.mark.parametrize("length", [1, 159, 160, 1_000, 480_000])
    async def test_any_length_is_decoded(self, engine: Engine, length: int) -> None:
        noise = np.random.default_rng(0).integers(-3_000, 3_000, length).astype(np.int16)
        (result,) = await engine.run([Window(noise)])
        for segment in result.segments:
            assert 0 <= segment.start <= segment.end
            assert segment.text.strip()

    async def test_calls_may_overlap(self, engine: Engine) -> None:
        windows = [
            Window(spoken("en", place), options=DecodeOptions(beam_size=1)) for place in (0, 1)
        ]
        expected = await engine.run(windows)
        overlapping = await asyncio.gather(*(engine.run(windows) for _ in range(4)))
        assert all([r.tokens for r in each] == [r.tokens for r in expected] for each in overlapping)

    async def test_an_unknown_language_is_refused(self, engine: Engine) -> None:
        with pytest.raises(BadRequestError) as refused:
            await engine.run([Window(spoken("en"), options=DecodeOptions(language="xx"))])
        assert refused.value.param == "language"

    async def test_a_language_that_is_given_has_no_probabilities(self, engine: Engine) -> None:
        (given,) = await engine.run([Window(spoken("en"), options=DecodeOptions(language="en"))])
        (found,) = await engine.run([Window(spoken("en"))])
        assert (given.language, given.language_probability) == ("en", 1.0)
        assert given.language_probabilities == ()
        assert found.language == found.language_probabilities[0][0] == "en"


@pytest.mark.parametrize("kind", ENGINES)
async def test_closing_twice_is_fine(kind: str) -> None:
    engine = await make_engine(kind)
    await engine.aclose()
    await engine.aclose()


async def test_rows_of_different_options_share_a_batch(local: LocalEngine) -> None:
    """Language, task, prompt, beam and words differ by row; each row is as if it were alone."""
    windows = [
        Window(spoken("en"), options=DecodeOptions(beam_size=1, initial_prompt="Hello.")),
        Window(spoken("zh"), options=DecodeOptions(beam_size=1, task=Task.TRANSLATE)),
        Window(spoken("ko"), options=DecodeOptions(beam_size=1, word_timestamps=True)),
        Window(spoken("en", 1), options=DecodeOptions(beam_size=5, timestamps=False)),
        Window(spoken("zh", 1), options=DecodeOptions(beam_size=1), context_tokens=(440, 3440)),
        Window(spoken("en", 2), options=DecodeOptions(beam_size=1, token_logprobs=True)),
    ]
    together = await local.run(windows)
    alone = [(await local.run([window]))[0] for window in windows]
    assert [r.tokens for r in together] == [r.tokens for r in alone]
    assert [r.language for r in together] == ["en", "zh", "ko", "en", "zh", "en"]
    assert all(s.words for s in together[2].segments)
    assert together[0].segments[0].words is None
    logprobs = together[5].segments[0].logprobs
    assert logprobs
    assert b"".join(t.data for t in logprobs).decode() == together[5].segments[0].text
    assert all(t.logprob <= 0 for t in logprobs)


async def test_candidates_narrow_the_language_down(local: LocalEngine) -> None:
    options = DecodeOptions(candidate_languages=("zh", "ko"), beam_size=1)
    (result,) = await local.run([Window(spoken("en"), options=options)])
    assert result.language in {"zh", "ko"}
    assert {code for code, _ in result.language_probabilities} <= {"zh", "ko"}


async def test_a_failed_row_is_retried_alone(local: LocalEngine) -> None:
    """A row that passes keeps its greedy text while its neighbour goes through the ladder."""
    rng = np.random.default_rng(3)
    noise = (rng.standard_normal(4 * SAMPLE_RATE_HZ) * 4_000).astype(np.int16)
    options = DecodeOptions(beam_size=1, language="en")
    speaking = Window(spoken("en"), options=options)
    (alone,) = await local.run([speaking])
    first, second = await local.run([speaking, Window(noise, options=options)])
    assert first.tokens == alone.tokens
    assert first.temperature == 0.0
    assert second.temperature > 0 or not second.segments or second.avg_logprob >= -1


async def test_no_repeat_and_suppression_reach_the_model(local: LocalEngine) -> None:
    window = Window(spoken("en"), options=DecodeOptions(beam_size=1, language="en"))
    (plain,) = await local.run([window])
    first_word = next(t for t in plain.tokens if t < 50_257)
    options = DecodeOptions(
        beam_size=1,
        language="en",
        suppress_tokens=(-1, first_word),
        no_repeat_ngram_size=2,
        repetition_penalty=1.1,
        temperatures=(0.0,),
    )
    (without,) = await local.run([Window(window.samples, options=options)])
    assert first_word not in without.tokens


@pytest.mark.parametrize("timestamps", [True, False])
async def test_a_prefix_begins_the_text(local: LocalEngine, timestamps: bool) -> None:
    """And goes on after it, whether it was said or not."""
    options = DecodeOptions(beam_size=1, language="en", temperatures=(0.0,), timestamps=timestamps)
    for recording in speech("short", "en", 2):
        window = Window(to_pcm(samples_of(recording.name)), options=options)
        (plain,) = await local.run([window])
        first_words = " ".join(text_of(plain).split()[:2])
        for prefix in (first_words, "Hello"):
            asked = replace(window, options=replace(options, prefix=f" {prefix} "))
            (result,) = await local.run([asked])
            assert text_of(result).startswith(prefix)
            assert len(text_of(result)) > len(prefix)


def text_of(result: WindowResult) -> str:
    return "".join(segment.text for segment in result.segments).strip()


async def test_max_new_tokens_bounds_the_text(local: LocalEngine) -> None:
    options = DecodeOptions(
        beam_size=1, language="en", max_new_tokens=8, temperatures=(0.0,), timestamps=False
    )
    (result,) = await local.run([Window(spoken("en", 5), options=options)])
    assert 0 < len(result.tokens) <= 8


def test_without_a_gpu_the_cpu_serves_and_says_so() -> None:
    assert "cpu" in devices().compute_types
    if devices().cuda_devices:
        description = LocalEngine.load(MODEL, "demo", LoadOptions(device="cuda")).describe()
        assert description.device == "cuda"
        return
    description = LocalEngine.load(
        MODEL, "demo", LoadOptions(device="cuda", compute_type="float16")
    ).describe()
    assert description.device == "cpu"
    assert [warning.code for warning in description.warnings] == [WarningCode.DEVICE_FALLBACK]


@pytest.mark.parametrize("compute_type", ["float32", "int8", "int8_float32"])
async def test_number_formats_of_the_cpu(compute_type: str) -> None:
    engine = LocalEngine.load(MODEL, "demo", LoadOptions(device="cpu", compute_type=compute_type))
    (result,) = await engine.run([Window(spoken("en"), options=DecodeOptions(beam_size=1))])
    assert result.segments
    await engine.aclose()


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        LocalEngine.load(tmp_path, "empty", LoadOptions(device="cpu"))
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelUnavailableError):
        LocalEngine.load(tmp_path, "broken", LoadOptions(device="cpu"))
