"""How windows follow each other, against an engine that says what the test wants."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from verbatim.domain.audio import Pcm, Window
from verbatim.domain.request import DecodeOptions, Strategy, TranscriptionRequest
from verbatim.domain.transcript import Segment, WindowResult, Word
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from verbatim.engine.fake import FAKE_DESCRIPTION
from verbatim.engine.protocol import EngineDescription
from verbatim.pipeline.strategies import (
    LanguageVote,
    WindowText,
    decode_parallel,
    decode_sequential,
)
from verbatim.pipeline.threads import ReadAhead
from verbatim.stages.speech import SpeechChunk
from verbatim.stages.windows import pack


def segment(text: str, start: float, end: float, words: tuple[Word, ...] | None = None) -> Segment:
    return Segment(0, 0, start, end, text, (len(text),), 0.0, -0.1, 1.0, 0.0, words)


def said(
    *segments: Segment,
    tail: Segment | None = None,
    advance_s: float | None = None,
    language: str = "en",
    probability: float = 1.0,
    temperature: float = 0.0,
) -> WindowResult:
    return WindowResult(
        segments=segments,
        tail=tail,
        tokens=(),
        language=language,
        language_probability=probability,
        language_probabilities=((language, probability),),
        no_speech_prob=0.0,
        avg_logprob=-0.1,
        compression_ratio=1.0,
        temperature=temperature,
        advance_s=30.0 if advance_s is None else advance_s,
        heard_out=advance_s is None,
    )


@dataclass
class Scripted:
    """Answers each window with what `answer` makes of it and its number."""

    answer: Callable[[int, Window], WindowResult]
    batch_size: int = 4
    replicas: int = 1
    windows: list[Window] = field(default_factory=list)

    def describe(self) -> EngineDescription:
        indexes = tuple(range(self.replicas))
        return replace(FAKE_DESCRIPTION, batch_size=self.batch_size, device_indexes=indexes)

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        results = []
        for window in windows:
            results.append(self.answer(len(self.windows), window))
            self.windows.append(window)
        return results

    def memory_bytes(self) -> int:
        return 0

    async def aclose(self) -> None:
        return None


def chunk(start_s: float, length_s: float, gap_s: float = 5.0) -> SpeechChunk:
    samples = np.ones(round(length_s * SAMPLE_RATE_HZ), np.int16)
    return SpeechChunk(samples, round(start_s * SAMPLE_RATE_HZ), gap_s)


async def run(
    engine: Scripted, chunks: list[SpeechChunk], request: TranscriptionRequest
) -> list[WindowText]:
    if request.strategy is Strategy.SEQUENTIAL:
        async with ReadAhead(lambda: iter(chunks), 8, "test") as source:
            return [text async for text in decode_sequential(source, engine, request)]
    async with ReadAhead(lambda: iter(pack(chunks)), 8, "test") as planned:
        return [text async for text in decode_parallel(planned, engine, request)]


ENGLISH = DecodeOptions(language="en")
FULL = [chunk(i * 100, 30) for i in range(6)]


async def test_windows_come_back_in_order_and_in_time() -> None:
    engine = Scripted(lambda n, w: said(segment(f" {n}", 1, 2)))
    texts = await run(engine, FULL, TranscriptionRequest(decode=ENGLISH))
    assert [text.segments[0].text for text in texts] == [" 0", " 1", " 2", " 3", " 4", " 5"]
    assert [text.segments[0].start for text in texts] == [1, 101, 201, 301, 401, 501]
    assert [text.segments[0].seek for text in texts] == [i * 10_000 for i in range(6)]
    assert [text.done_s for text in texts] == [30, 130, 230, 330, 430, 530]


@pytest.mark.parametrize("replicas", [1, 2])
async def test_two_batches_a_replica_are_in_flight(replicas: int) -> None:
    """While one is decoded the next is there already, and memory stays bounded."""
    waiting: list[asyncio.Future[None]] = []

    @dataclass
    class Slow(Scripted):
        async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
            waiting.append(asyncio.get_running_loop().create_future())
            await waiting[-1]
            return await super().run(windows)

    engine = Slow(lambda n, w: said(segment(" x", 1, 2)), batch_size=2, replicas=replicas)
    windows = [chunk(i * 100, 30) for i in range(20)]
    texts = asyncio.create_task(run(engine, windows, TranscriptionRequest(decode=ENGLISH)))
    most = 2 * 2 * replicas
    for begun in range(0, 20, most):
        while len(waiting) < min(20, begun + most):  # noqa: ASYNC110 - a thread brings them
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert len(waiting) == min(20, begun + most)
        for future in waiting[begun:]:
            future.set_result(None)
    assert len(await texts) == 20


async def test_the_language_of_the_first_window_holds_for_all() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 1, 2), language=w.options.language or "ko"))
    texts = await run(engine, FULL, TranscriptionRequest())
    assert [window.options.language for window in engine.windows] == [None, *["ko"] * 5]
    assert {text.language for text in texts} == {"ko"}


async def test_an_uncertain_start_is_put_to_the_vote_and_heard_again() -> None:
    heard = ["ko", "en", "en"]

    def answer(number: int, window: Window) -> WindowResult:
        language = window.options.language or heard[number]
        return said(segment(f" {language}", 1, 2), language=language, probability=0.4)

    engine = Scripted(answer)
    texts = await run(engine, FULL, TranscriptionRequest())
    assert [text.segments[0].text for text in texts] == [" en"] * 6
    # Three to vote, the first once more, three in the language that was settled.
    assert [window.options.language for window in engine.windows] == [
        *[None] * 3,
        "en",
        *["en"] * 3,
    ]


async def test_silence_has_no_say_in_the_language() -> None:
    def answer(number: int, window: Window) -> WindowResult:
        if number == 0:
            return said(language="ko")
        return said(segment(" x", 1, 2), language=window.options.language or "zh")

    engine = Scripted(answer)
    await run(engine, FULL[:3], TranscriptionRequest())
    assert [window.options.language for window in engine.windows] == [None, None, "zh"]


@pytest.mark.parametrize("before", [0, 1])
async def test_hours_without_speech_are_not_held_for_the_vote(before: int) -> None:
    """Whether nobody has spoken yet, or somebody whose language is not certain."""
    heard: list[weakref.ref[Pcm]] = []
    most_alive = 0

    def answer(number: int, window: Window) -> WindowResult:
        nonlocal most_alive
        heard.append(weakref.ref(window.samples))
        most_alive = max(most_alive, sum(each() is not None for each in heard))
        if number < before:
            return said(segment(" 예", 1, 2), language="ko", probability=0.3)
        return said() if number < 39 else said(segment(" x", 1, 2), language="en")

    @dataclass
    class Forgetful(Scripted):
        async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
            return [self.answer(len(heard), window) for window in windows]

    chunks = (chunk(i * 100, 30) for i in range(40))
    async with ReadAhead(lambda: pack(chunks), 1, "test") as planned:
        texts = decode_parallel(planned, Forgetful(answer), TranscriptionRequest())
        found = [text async for text in texts]
    assert [text.done_s for text in found] == [i * 100 + 30 for i in range(40)]
    assert most_alive <= before + 3


async def test_a_short_uncertain_recording_takes_the_majority() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 1, 2), language="zh", probability=0.3))
    texts = await run(engine, FULL[:2], TranscriptionRequest())
    assert [text.language for text in texts] == ["zh", "zh"]


async def test_each_window_its_own_language() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 1, 2), language=("en", "zh", "ko")[n % 3]))
    texts = await run(engine, FULL[:3], TranscriptionRequest(detect_language_per_window=True))
    assert [text.language for text in texts] == ["en", "zh", "ko"]
    assert all(window.options.language is None for window in engine.windows)


async def test_the_prefix_is_for_the_first_window_and_the_prompt_for_all() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 1, 2)))
    options = DecodeOptions(language="en", prefix="So", initial_prompt="Names: Anna")
    await run(engine, FULL[:3], TranscriptionRequest(decode=options))
    assert [window.options.prefix for window in engine.windows] == ["So", None, None]
    assert {window.options.initial_prompt for window in engine.windows} == {"Names: Anna"}


async def test_an_unfinished_text_at_a_windows_end_is_kept() -> None:
    engine = Scripted(
        lambda n, w: said(segment(" a", 0, 5), tail=segment(" b", 5, 30), advance_s=5.0)
    )
    (text,) = await run(engine, FULL[:1], TranscriptionRequest(decode=ENGLISH))
    assert [s.text for s in text.segments] == [" a", " b"]
    assert len(engine.windows) == 1


async def test_speech_that_was_announced_and_not_written_is_heard_again() -> None:
    def answer(number: int, window: Window) -> WindowResult:
        if number < 2:
            word = Word(" a", 1, 2, 1.0)
            return said(segment(" a", 1, 2, (word,)), advance_s=12.0)
        return said(segment(" end", 1, 2))

    engine = Scripted(answer)
    (text,) = await run(engine, [chunk(100, 30)], TranscriptionRequest(decode=ENGLISH))
    assert [s.start for s in text.segments] == [101, 113, 125]
    assert [s.words and s.words[0].start for s in text.segments] == [101, 113, None]
    assert [round(window.duration_s) for window in engine.windows] == [30, 18, 6]
    assert [window.start_s for window in engine.windows] == pytest.approx([100, 112, 124])


SEQUENTIAL = TranscriptionRequest(decode=ENGLISH, strategy=Strategy.SEQUENTIAL)


async def test_a_window_begins_where_the_last_one_stopped_understanding() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 0, 20), advance_s=20.0))
    texts = await run(engine, [chunk(0, 30, 0), chunk(30, 30, 0)], SEQUENTIAL)
    assert [window.start_s for window in engine.windows] == [0, 20, 40]
    assert [len(window.samples) for window in engine.windows] == [
        WINDOW_SAMPLES,
        WINDOW_SAMPLES,
        20 * SAMPLE_RATE_HZ,
    ]
    assert [text.segments[0].start for text in texts] == [0, 20, 40]


async def test_no_headway_means_the_whole_window_is_done() -> None:
    engine = Scripted(lambda n, w: said(advance_s=0.0))
    await run(engine, FULL[:2], SEQUENTIAL)
    assert len(engine.windows) == 2


async def test_context_is_what_was_said_until_a_doubtful_window() -> None:
    temperatures = [0.0, 0.0, 0.8, 0.0]
    engine = Scripted(lambda n, w: said(segment("x" * (n + 1), 1, 2), temperature=temperatures[n]))
    request = replace(SEQUENTIAL, condition_on_previous_text=True)
    await run(engine, FULL[:4], request)
    assert [window.context_tokens for window in engine.windows] == [(), (1,), (1, 2), ()]


async def test_without_conditioning_there_is_no_context_and_one_prompt() -> None:
    engine = Scripted(lambda n, w: said(segment(" x", 1, 2)))
    options = replace(ENGLISH, initial_prompt="Names: Anna", prefix="So")
    await run(engine, FULL[:3], replace(SEQUENTIAL, decode=options))
    assert [window.context_tokens for window in engine.windows] == [(), (), ()]
    assert [window.options.initial_prompt for window in engine.windows] == [
        "Names: Anna",
        None,
        None,
    ]
    assert [window.options.prefix for window in engine.windows] == ["So", None, None]


def test_a_given_language_is_not_voted_on() -> None:
    vote = LanguageVote(ENGLISH, per_window=False)
    assert (vote.open, vote.settled) == (False, "en")
