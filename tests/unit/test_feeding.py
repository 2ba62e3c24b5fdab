"""The device is kept busy: features beside inference, order, cancellation, too little memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from tests.support.scripted_model import TOKENIZER, Heard, Said, ScriptedModel, said

from verbatim.domain.audio import Pcm, Window
from verbatim.domain.errors import BadRequestError, InternalError
from verbatim.domain.request import DecodeOptions
from verbatim.domain.transcript import WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.decoding import Decoder
from verbatim.engine.features import FeatureExtractor, Mel
from verbatim.engine.feeding import Feeder
from verbatim.engine.lengths import FULL_LENGTH_S
from verbatim.engine.model import Array, Storage
from verbatim.engine.protocol import DeviceMemoryError

PATIENCE_S = 30.0
GREEDY = DecodeOptions(language="en", beam_size=1, temperatures=(0.0,))
CUDA_SAYS = "CUDA failed with error out of memory"


def window(seconds: int) -> Window:
    """Known by its length."""
    return Window(np.ones(seconds * SAMPLE_RATE_HZ, np.int16), options=GREEDY)


def windows(*seconds: int) -> list[Window]:
    return [window(each) for each in seconds]


def texts(results: list[WindowResult]) -> list[str]:
    return [result.segments[0].text.strip() for result in results]


def say_length(heard: Heard, temperature: float) -> Said:
    return said(f"{heard.duration_s:g}", 0.0, heard.duration_s)


class NotedFeatures(FeatureExtractor):
    """Remembers for which windows it was asked."""

    def __init__(self) -> None:
        super().__init__(80)
        self.made: list[int] = []

    def columns(self, pcm: Pcm) -> Mel:
        self.made.append(len(pcm) // SAMPLE_RATE_HZ)
        return super().columns(pcm)


class Device(ScriptedModel):
    """Begins to encode when it may, and has room for so many windows."""

    def __init__(self, room: int = 100) -> None:
        super().__init__(say_length)
        self.free = threading.Event()
        self.busy = threading.Semaphore(0)
        """Released whenever it begins."""
        self.room = room
        self.refuse: Callable[[], Exception] = lambda: RuntimeError(CUDA_SAYS)

    def encode(self, mel: Array) -> Storage:
        encoded = super().encode(mel)
        self.busy.release()
        assert self.free.wait(PATIENCE_S)
        if len(mel) > self.room:
            raise self.refuse()
        return encoded

    @property
    def batches(self) -> list[list[float]]:
        """The windows that it began with, by their lengths."""
        return [[heard.duration_s for heard in rows] for rows in self.encoded]

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.busy.acquire, timeout=PATIENCE_S)


class Bench:
    def __init__(self, room: int, batch_size: int, replicas: int) -> None:
        self.device = Device(room)
        self.features = NotedFeatures()
        decoder = Decoder(self.device, TOKENIZER, self.features, ("en", "ko"), FULL_LENGTH_S)
        self.feeder = Feeder(decoder, batch_size, replicas)

    def run(self, *seconds: int) -> asyncio.Task[list[WindowResult]]:
        return asyncio.create_task(self.feeder.run(windows(*seconds)))

    async def has_made(self, *seconds: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not set(seconds) <= set(self.features.made):  # noqa: ASYNC110 - made by threads
                await asyncio.sleep(0.001)


@asynccontextmanager
async def bench(
    *, held: bool = False, room: int = 100, batch_size: int = 2, replicas: int = 1
) -> AsyncIterator[Bench]:
    made = Bench(room, batch_size, replicas)
    if not held:
        made.device.free.set()
    try:
        yield made
    finally:
        made.device.free.set()
        await made.feeder.aclose()


async def test_the_next_batch_is_made_ready_while_one_is_decoded() -> None:
    async with bench(held=True) as b:
        running = b.run(1, 2, 3, 4, 5)
        await b.device.has_begun()
        await b.has_made(3, 4)
        # One ahead, not all of them.
        await asyncio.sleep(0.05)
        assert (b.device.batches, sorted(b.features.made)) == ([[1, 2]], [1, 2, 3, 4])
        b.device.free.set()
        assert texts(await running) == ["1", "2", "3", "4", "5"]
        assert b.device.batches == [[1, 2], [3, 4], [5]]


async def test_another_call_is_made_ready_while_one_is_decoded() -> None:
    async with bench(held=True) as b:
        first = b.run(1, 2)
        await b.device.has_begun()
        second = b.run(3)
        await b.has_made(3)
        assert b.device.batches == [[1, 2]]
        b.device.free.set()
        assert [texts(await first), texts(await second)] == [["1", "2"], ["3"]]


async def test_replicas_decode_at_the_same_time() -> None:
    async with bench(held=True, replicas=2) as b:
        calls = [b.run(1), b.run(2), b.run(3)]
        await b.device.has_begun()
        await b.device.has_begun()
        await b.has_made(3)
        # Which of them are ready first is the threads' affair.
        first, second = b.device.batches
        assert first != second
        b.device.free.set()
        assert [texts(await call) for call in calls] == [["1"], ["2"], ["3"]]


async def test_nothing_to_do() -> None:
    async with bench() as b:
        assert await b.feeder.run([]) == []


async def test_what_waits_for_the_device_is_given_up_with_its_caller() -> None:
    async with bench(held=True) as b:
        running = b.run(1)
        await b.device.has_begun()
        leaving = b.run(2)
        await b.has_made(2)
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        b.device.free.set()
        assert texts(await running) == ["1"]
        assert texts(await b.run(3)) == ["3"]
        assert b.device.batches == [[1], [3]]


async def test_a_caller_leaves_what_the_device_is_at_when_that_has_ended() -> None:
    async with bench(held=True) as b:
        leaving = b.run(1, 2, 3)
        await b.device.has_begun()
        leaving.cancel()
        await asyncio.sleep(0.05)
        assert not leaving.done()
        b.device.free.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert texts(await b.run(4)) == ["4"]
        assert b.device.batches == [[1, 2], [4]]


async def test_what_the_model_cannot_do_is_refused_before_anything_is_done() -> None:
    async with bench() as b:
        odd = Window(np.ones(16, np.int16), options=DecodeOptions(language="xx"))
        with pytest.raises(BadRequestError):
            await b.feeder.run([window(1), odd])
        assert (b.device.batches, b.features.made) == ([], [])


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: RuntimeError(CUDA_SAYS),
        lambda: RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"),
        MemoryError,
    ],
)
async def test_a_batch_that_does_not_fit_is_halved_for_good(
    refuse: Callable[[], Exception],
) -> None:
    async with bench(room=2, batch_size=7) as b:
        b.device.refuse = refuse
        assert texts(await b.run(*range(1, 8))) == ["1", "2", "3", "4", "5", "6", "7"]
        sizes = [len(rows) for rows in b.device.batches]
        assert sizes == [7, 4, 2, 2, 2, 1]
        b.device.encoded.clear()
        assert texts(await b.run(3, 2, 1)) == ["3", "2", "1"]
        assert [len(rows) for rows in b.device.batches] == [2, 1]


async def test_a_window_that_does_not_fit_alone_is_told_what_to_do() -> None:
    async with bench(room=0, batch_size=4) as b:
        with pytest.raises(DeviceMemoryError, match="Take a smaller model") as told:
            await b.run(1, 2, 3)
        assert (told.value.code, isinstance(told.value, InternalError)) == ("out_of_memory", True)
        b.device.room = 1
        assert texts(await b.run(1, 2, 3)) == ["1", "2", "3"]


async def test_other_failures_of_the_device_are_not_tried_again() -> None:
    async with bench(room=1, batch_size=4) as b:
        b.device.refuse = lambda: RuntimeError("CUDA failed with error an illegal memory access")
        with pytest.raises(RuntimeError, match="illegal"):
            await b.run(1, 2, 3)
        assert b.device.batches == [[1, 2, 3]]


async def test_a_failure_leaves_nothing_behind() -> None:
    """What was being made ready beside it is let go, and the next call is served."""
    async with bench(room=1, batch_size=2) as b:
        b.device.refuse = lambda: RuntimeError("broken")
        with pytest.raises(RuntimeError, match="broken"):
            await b.run(1, 2, 3, 4)
        assert texts(await b.run(5)) == ["5"]
