"""The demo model listens to rendered speech, as if it was being spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests.support.live_server import shared_vad
from tests.support.speech import Speech, error_rate, samples_of, speech
from tests.support.spoken import Transcriber, live_service

from verbatim.domain.audio import Samples, Window
from verbatim.domain.live import LiveOptions, SecondPass
from verbatim.domain.request import DecodeOptions, Script, TranscriptionRequest
from verbatim.domain.transcript import WindowResult
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import EngineDescription, LoadOptions
from verbatim.pipeline.live import LiveSession
from verbatim.pipeline.transcribe import Frontend, transcribe
from verbatim.stages.script import convert_text

RATE = 16_000
PIECE_S = 0.25
MORE_ERRORS = 0.05
"""Live may have so much more of its words wrong than the same words read from a file."""
CLOSE_S = 0.3
"""How near the true times most words are."""


class Watched:
    """An engine that says when it is busy, so that audio comes as an idle one would meet it."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.busy = 0

    def describe(self) -> EngineDescription:
        return self._engine.describe()

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        self.busy += 1
        try:
            return await self._engine.run(windows)
        finally:
            self.busy -= 1

    def memory_bytes(self) -> int:
        return 0

    async def aclose(self) -> None:
        """It is everybody's."""


@pytest.fixture(name="engine", scope="module")
def _engine() -> LocalEngine:
    with resources.as_file(resources.files("verbatim") / "assets" / "demo-model") as folder:
        return LocalEngine.load(Path(folder), "demo", LoadOptions(device="cpu"))


@asynccontextmanager
async def listening(
    engine: LocalEngine, options: LiveOptions
) -> AsyncIterator[tuple[LiveSession, Transcriber, Watched]]:
    watched = Watched(engine)
    async with live_service(watched) as service:
        session = await service.open(options)
        yield session, Transcriber(session), watched


async def speak(session: LiveSession, engine: Watched, samples: Samples) -> None:
    """Feed audio as to an engine that keeps up: the next piece when there is nothing to decode."""
    size = round(PIECE_S * RATE)
    for first in range(0, len(samples), size):
        await session.feed(samples[first : first + size])
        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while engine.busy:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.005)


async def live_text(engine: LocalEngine, file: Speech, options: LiveOptions) -> Transcriber:
    samples = np.concatenate([samples_of(file.name), np.zeros(RATE, np.float32)])
    async with listening(engine, options) as (session, heard, watched):
        await speak(session, watched, samples)
        await session.finish()
        return await heard.done()


async def file_text(engine: LocalEngine, file: Speech) -> str:
    request = TranscriptionRequest(decode=DecodeOptions(language=file.language))
    last = None
    async for event in transcribe(file.path, request, engine, Frontend(shared_vad())):
        last = event
    transcript = getattr(last, "transcript", None)
    assert transcript is not None
    return str(transcript.text)


async def test_live_text_is_nearly_that_of_the_file(engine: LocalEngine) -> None:
    files = [each for language in ("en", "zh", "ko") for each in speech("short", language, 6)]
    live, offline = [], []
    for file in files:
        heard = await live_text(engine, file, LiveOptions(language=file.language))
        live.append((file.text, heard.text, file.language))
        offline.append((file.text, await file_text(engine, file), file.language))
    assert error_rate(live) <= error_rate(offline) + MORE_ERRORS


async def test_chinese_in_the_script_that_was_asked_for(engine: LocalEngine) -> None:
    files = speech("short", "zh", 4)
    pairs = []
    for file in files:
        options = LiveOptions(language="zh", script=Script.S2TWP)
        heard = await live_text(engine, file, options)
        told = [(partial.committed, partial.words) for partial in heard.partials]
        for text, words in (*told, *((final.text, final.words) for final in heard.finals)):
            # As if it had been converted already: nothing simplified is left.
            assert convert_text(text, Script.S2T) == text
            assert "".join(word.text for word in words).strip() == text
        pairs.append((convert_text(file.text, Script.S2TWP), heard.text, "zh"))
    assert error_rate(pairs) <= MORE_ERRORS


async def test_a_minute_of_sentences(engine: LocalEngine) -> None:
    (file,) = speech("long", "en", 1)
    heard = await live_text(engine, file, LiveOptions(language="en", second_pass=True))
    offline = await file_text(engine, file)
    live_rate = error_rate([(file.text, heard.text, "en")])
    assert live_rate <= error_rate([(file.text, offline, "en")]) + MORE_ERRORS
    # One utterance for each sentence, but for some that follow close on another.
    assert 0.7 * len(file.sentences) <= len(heard.finals) <= len(file.sentences)
    again = " ".join(event.text for event in heard.events if isinstance(event, SecondPass))
    assert error_rate([(file.text, again, "en")]) <= live_rate + MORE_ERRORS
    true = {(word.word.casefold(), round(word.end, 1)) for s in file.sentences for word in s.words}
    words = [word for final in heard.finals for word in final.words]
    close = [
        any(
            word.text.strip(" .?,").casefold() == text and abs(word.end - end) < CLOSE_S
            for text, end in true
        )
        for word in words
    ]
    assert np.mean(close) > 0.85
    # Most words were told before their utterance had ended.
    early = sum(len(p.delta.split()) for p in heard.partials)
    assert early > len(words) / 3


async def test_the_language_is_detected_for_each_utterance(engine: LocalEngine) -> None:
    file, *_ = speech("mixed")
    first = samples_of(file.name)[: round((file.sentences[2].end + 1.0) * RATE)]
    async with listening(engine, LiveOptions(languages=("en", "zh", "ko"))) as (
        session,
        heard,
        watched,
    ):
        await speak(session, watched, first)
        await session.finish()
        await heard.done()
    assert [final.language for final in heard.finals] == [s.language for s in file.sentences[:3]]
