"""Speech with known words for live sessions: audio that sounds like it, an engine that hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from tests.support.live_server import shared_vad
from tests.support.synthetic_voice import silence, voice

from verbatim.domain.audio import AnyAudio, Samples, Window
from verbatim.domain.live import (
    Cleared,
    Failed,
    Final,
    LiveEvent,
    LiveOptions,
    Partial,
    SessionEnded,
)
from verbatim.domain.transcript import Segment, WindowResult, Word
from verbatim.engine.fake import FakeEngine, Interruption
from verbatim.engine.protocol import Engine
from verbatim.engine.residency import Residency
from verbatim.engine.vad import VadState
from verbatim.pipeline.live import LiveSession
from verbatim.pipeline.live.service import LiveLimits, LiveService
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.stages.stability import CLOSING_MARKS, word_key

RATE = 16_000
WORD_S = 0.4
SHORTEST_WORD_S = 0.1
"""Less of a word is not heard."""


@dataclass(frozen=True)
class Speech:
    """What is said, and how it sounds."""

    words: tuple[Word, ...]
    samples: Samples

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE


@cache
def clear_voice() -> Samples:
    """A voice in which voice activity detection finds speech at once and all the time, 4 s."""
    for seed in range(100):
        samples = voice(4.0, seed)
        heard, _ = shared_vad().advance(np.concatenate([silence(0.512), samples]), VadState())
        if (heard[20:] > 0.6).all():
            return samples
    raise AssertionError("no seed makes a clear voice")


def spoken(*parts: str | float, word_s: float = WORD_S) -> Speech:
    """Sentences, and silences in seconds between them. No word may be said twice."""
    words: list[Word] = []
    pieces: list[Samples] = []
    at = 0.0
    for part in parts:
        if isinstance(part, float):
            pieces.append(silence(part))
            at += part
            continue
        texts = part.split()
        for place, text in enumerate(texts):
            start = at + place * word_s
            words.append(Word(f" {text}", start, start + word_s, 0.9))
        pieces.append(np.resize(clear_voice(), round(word_s * len(texts) * RATE)))
        at += word_s * len(texts)
    keys = [word_key(word.text) for word in words]
    assert len(set(keys)) == len(keys), "a word is said twice"
    return Speech(tuple(words), np.concatenate(pieces))


async def at_once(windows: Sequence[Window]) -> None:
    del windows


def cut_short(word: Word) -> str:
    """What is heard of a word that a window's end cuts."""
    return word.text[: len(word.text) // 2 + 1] + "zz"


class SpokenEngine(FakeEngine):
    """Hears the words of a speech in the windows that it is given, by their times.

    What the edge of a window cuts is heard wrong, as by a real model.

    Args:
        speech: what is said.
        interruption: awaited before each call; waits, to be slow, or raises, to fail.
        mishear: what is heard of a word that a window's end cuts.
    """

    def __init__(
        self,
        speech: Speech,
        interruption: Interruption = at_once,
        mishear: Callable[[Word], str] = cut_short,
    ) -> None:
        super().__init__(interruption=interruption)
        self.speech = speech
        self._mishear = mishear

    def _next_word(self, prefix: Sequence[str]) -> int:
        """The place of the word that follows a prefix."""
        keys = [word_key(word.text) for word in self.speech.words]
        return keys.index(word_key(prefix[-1])) + 1 if prefix else 0

    def _result(self, window: Window) -> WindowResult:
        begin, end = window.start_s, window.start_s + window.duration_s
        prefix = (window.options.prefix or "").split()
        heard = [Word(f" {text}", 0.0, 0.0, 0.9) for text in prefix]
        first = self._next_word(prefix)
        if prefix and (last := self.speech.words[first - 1]).end <= end:
            # The marks that close it, which were held back.
            bare = prefix[-1].rstrip(CLOSING_MARKS)
            marks = last.text[len(last.text.rstrip(CLOSING_MARKS)) :]
            heard[-1] = Word(f" {bare}{marks}", 0.0, 0.0, 0.9)
        for word in self.speech.words[first:]:
            if not prefix and word.end < begin + SHORTEST_WORD_S:
                continue
            if word.end <= end + 0.01:
                text = word.text
            elif word.start < end - SHORTEST_WORD_S:
                text = self._mishear(word)
            else:
                break
            times = max(word.start - begin, 0.0), min(word.end - begin, window.duration_s)
            heard.append(Word(text, *times, word.probability))
        text = "".join(word.text for word in heard)
        segments: tuple[Segment, ...] = ()
        if heard:
            segments = (
                Segment(0, 0, 0.0, window.duration_s, text, (), 0.0, -0.1, 1.0, 0.0, tuple(heard)),
            )
        language = window.options.language or "en"
        return WindowResult(
            segments=segments,
            tail=None,
            tokens=(),
            language=language,
            language_probability=1.0 if window.options.language else 0.9,
            language_probabilities=() if window.options.language else (("en", 0.9), ("ko", 0.1)),
            no_speech_prob=0.0,
            avg_logprob=-0.1,
            compression_ratio=1.0,
            temperature=0.0,
            advance_s=window.duration_s,
        )


@asynccontextmanager
async def live_service(
    engine: Engine, limits: LiveLimits | None = None
) -> AsyncIterator[LiveService]:
    """Live sessions on one engine, for every model's name."""
    loop = asyncio.get_running_loop()

    async def load(name: str) -> Dispatcher:
        return Dispatcher(engine, clock=loop.time)

    models = Residency(str, load)
    service = LiveService(models, shared_vad(), limits or LiveLimits(), loop.time)
    try:
        yield service
    finally:
        await service.aclose()
        await models.aclose()


class Transcriber:
    """Reads a session's events, and holds it to what it promises."""

    def __init__(self, session: LiveSession) -> None:
        self.events: list[LiveEvent] = []
        self.committed: dict[int, str] = {}
        self.ended: list[int] = []
        self._session = session
        self._task = asyncio.create_task(self._read())

    @property
    def finals(self) -> list[Final]:
        return [event for event in self.events if isinstance(event, Final)]

    @property
    def partials(self) -> list[Partial]:
        return [event for event in self.events if isinstance(event, Partial)]

    @property
    def text(self) -> str:
        return " ".join(final.text for final in self.finals if final.text)

    async def done(self) -> Transcriber:
        await asyncio.wait_for(self._task, 60)
        assert isinstance(self.events[-1], SessionEnded)
        return self

    async def _read(self) -> None:
        async for event in self._session.events():
            self._check(event)
            self.events.append(event)

    def _check(self, event: LiveEvent) -> None:
        assert not any(isinstance(earlier, SessionEnded) for earlier in self.events)
        if isinstance(event, Partial | Final):
            text = event.committed if isinstance(event, Partial) else event.text
            assert text == self.committed.get(event.utterance, "") + event.delta
            assert "".join(word.text for word in event.words).strip() == text
            self.committed[event.utterance] = text
        if isinstance(event, Partial):
            assert event.utterance not in self.ended
        if isinstance(event, Final | Failed | Cleared) and event.utterance is not None:
            assert event.utterance not in self.ended
            self.ended.append(event.utterance)


async def play(
    session: LiveSession, samples: AnyAudio, piece_s: float = 0.1, pause_s: float = 0.01
) -> None:
    """Feed audio in pieces, faster than it was spoken."""
    size = round(piece_s * RATE)
    for first in range(0, len(samples), size):
        await session.feed(samples[first : first + size])
        await asyncio.sleep(pause_s)


async def transcribe_live(
    engine: Engine, speech: Speech, options: LiveOptions | None = None, **how: float
) -> Transcriber:
    """A whole session over a speech."""
    async with live_service(engine) as service:
        session = await service.open(options or LiveOptions(language="en"))
        transcriber = Transcriber(session)
        await play(session, speech.samples, **how)
        await session.finish()
        return await transcriber.done()
