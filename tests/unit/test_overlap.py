"""A long recording: what is heard later is prepared, and what was heard is told, while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from tests.support.live_server import shared_vad
from tests.support.speech import wav_of_pcm

from verbatim.domain.audio import Window
from verbatim.domain.events import Finished, SegmentReady, Started, TranscriptionEvent
from verbatim.domain.request import DecodeOptions, Priority, TranscriptionRequest
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_S
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.pipeline.transcribe import Frontend, transcribe
from verbatim.scheduling.dispatcher import Dispatcher

PATIENCE_S = 30.0
MINUTES = 6
REQUEST = TranscriptionRequest(decode=DecodeOptions(language="en"), vad=False)


class WatchedFile(BytesIO):
    """Knows how much of it was read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        self.read_bytes = max(self.read_bytes, self.tell())
        return part

    @property
    def read_s(self) -> float:
        return self.read_bytes / (2 * SAMPLE_RATE_HZ)


class Device:
    """One batch at a time, each when it may."""

    def __init__(self) -> None:
        self.begun = 0
        self._free = asyncio.Lock()
        self._turns = asyncio.Semaphore(0)

    def finish(self, batches: int) -> None:
        for _ in range(batches):
            self._turns.release()

    async def __call__(self, windows: Sequence[Window]) -> None:
        async with self._free:
            self.begun += 1
            await self._turns.acquire()


@pytest.fixture
def recording() -> WatchedFile:
    noise = np.random.default_rng(0).integers(-900, 900, MINUTES * 60 * SAMPLE_RATE_HZ)
    return WatchedFile(wav_of_pcm(noise.astype(np.int16)))


async def test_later_windows_are_cut_and_first_segments_told_while_the_device_is_busy(
    recording: WatchedFile,
) -> None:
    device = Device()
    engine = FakeEngine(interruption=device, description=replace(FAKE_DESCRIPTION, batch_size=1))
    dispatcher = Dispatcher(engine, clock=lambda: 0.0)
    lane = dispatcher.lane(Priority.INTERACTIVE)
    async with aclosing(transcribe(recording, REQUEST, lane, Frontend(shared_vad()))) as events:
        started = await asyncio.wait_for(anext(events), PATIENCE_S)
        assert started == Started("fake", MINUTES * 60)
        first = asyncio.ensure_future(anext(events))
        # Nothing was decoded yet, and four windows and more are on their way: one on the device,
        # one at the engine, the others cut.
        await until(lambda: recording.read_s >= 4 * WINDOW_S)
        assert (device.begun, len(engine.windows)) == (1, 2)
        assert not first.done()
        assert recording.read_s < MINUTES * 60

        device.finish(1)
        told = await asyncio.wait_for(first, PATIENCE_S)
        assert isinstance(told, SegmentReady)
        assert told.segment.start == 0.0
        assert device.begun == 2
        rest = asyncio.ensure_future(last_of(events))
        await until(lambda: len(engine.windows) == 3)
        assert device.begun == 2

        device.finish(MINUTES * 60)
        end = await asyncio.wait_for(rest, PATIENCE_S)
    assert isinstance(end, Finished)
    assert end.transcript.duration_s == MINUTES * 60
    await dispatcher.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - threads bring it about
            await asyncio.sleep(0.001)


async def last_of(events: AsyncIterator[TranscriptionEvent]) -> TranscriptionEvent:
    return [event async for event in events][-1]
