"""An hour of speech through one session: nothing is lost, and memory stays flat."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import numpy as np
from tests.support.spoken import RATE

from verbatim.domain.audio import Samples, Window
from verbatim.domain.live import Final, LiveOptions, Partial
from verbatim.domain.transcript import Segment, WindowResult, Word
from verbatim.engine.fake import FakeEngine
from verbatim.engine.residency import Residency
from verbatim.engine.vad import SileroVad, VadState
from verbatim.pipeline.live import LiveSession
from verbatim.pipeline.live.service import LiveLimits, LiveService
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

HOUR_S = 3600
WORD_S = 0.4
TURN_S = 20
"""Somebody speaks for so long, then is silent for a second."""
PAUSE_S = 1.2
MAX_GROWTH_BYTES = 24 * 1024 * 1024
"""Between ten minutes and an hour. The audio alone has 96 MB."""


class LoudnessVad(SileroVad):
    """Speech is what is loud: as quick as this test needs."""

    def advance(self, samples: Samples, state: VadState) -> tuple[Probabilities, VadState]:
        heard = np.concatenate([state.tail, samples])
        frames = len(heard) // FRAME_SAMPLES
        loud = np.abs(heard[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)).mean(axis=1)
        tail = heard[frames * FRAME_SAMPLES :].copy()
        return (loud > 0.01).astype(np.float32), VadState(state.hidden, state.cell, tail)

    def finish(self, state: VadState) -> Probabilities:
        return np.zeros(0, np.float32)


def word_at(number: int) -> float:
    """When the word of this number begins."""
    a_turn = round((TURN_S - PAUSE_S) / WORD_S)
    return number // a_turn * TURN_S + number % a_turn * WORD_S


class Counter(FakeEngine):
    """Hears numbers, one every 0.4 s, wherever the window lies."""

    def _result(self, window: Window) -> WindowResult:
        begin, end = window.start_s, window.start_s + window.duration_s
        prefix = (window.options.prefix or "").split()
        words = [Word(f" {text}", 0.0, 0.0, 0.9) for text in prefix]
        a_turn = round((TURN_S - PAUSE_S) / WORD_S)
        first = int(begin // TURN_S) * a_turn
        number = int(prefix[-1]) + 1 if prefix else first
        while (at := word_at(number)) + WORD_S / 2 < end:
            if prefix or at + WORD_S / 2 > begin:
                words.append(Word(f" {number}", at - begin, at + WORD_S - begin, 0.9))
            number += 1
        text = "".join(word.text for word in words)
        segment = Segment(0, 0, 0.0, 1.0, text, (), 0.0, -0.1, 1.0, 0.0, tuple(words))
        return WindowResult(
            (segment,) if words else (), None, (), "en", 1.0, (), 0.0, -0.1, 1.0, 0.0, 1.0
        )


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def feed(session: LiveSession, seconds: int) -> None:
    turn = np.zeros(TURN_S * RATE, np.float32)
    turn[: round((TURN_S - PAUSE_S) * RATE)] = 0.1
    for _ in range(seconds // TURN_S):
        for part in np.split(turn, TURN_S):
            await session.feed(part)


async def test_an_hour() -> None:
    engine = Counter()
    loop = asyncio.get_running_loop()

    async def load(name: str) -> Dispatcher:
        return Dispatcher(engine, clock=loop.time)

    models = Residency(str, load)
    service = LiveService(models, LoudnessVad(), LiveLimits(), loop.time)
    session = await service.open(LiveOptions(language="en", max_utterance_s=12.0))
    spoken: list[str] = []
    partials = 0

    async def read() -> None:
        nonlocal partials
        async for event in session.events():
            if isinstance(event, Final):
                spoken.append(event.text)
            partials += isinstance(event, Partial)
            engine.windows.clear()

    reading = asyncio.create_task(read())
    await feed(session, HOUR_S // 6)
    early = resident_bytes()
    await feed(session, HOUR_S * 5 // 6)
    late = resident_bytes()
    await session.finish()
    await reading
    words = " ".join(spoken).split()
    a_turn = round((TURN_S - PAUSE_S) / WORD_S)
    assert words == [str(number) for number in range(HOUR_S // TURN_S * a_turn)]
    assert partials > HOUR_S / 30
    assert late - early < MAX_GROWTH_BYTES
    assert len(session._floor.tape._blocks) < 60
    assert not session._floor.utterances
    await service.aclose()
    await models.aclose()
