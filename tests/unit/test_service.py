"""Admission, joining, cancellation and the end of transcriptions, against the fake engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from tests.support.live_server import PATIENCE_S
from tests.support.speech import wav

from verbatim.domain.audio import Window
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelNotFoundError,
    NotAudioError,
    OverloadedError,
    UnavailableError,
)
from verbatim.domain.events import Finished, Progress, SegmentReady, Started
from verbatim.domain.request import DecodeOptions, Priority, TranscriptionRequest
from verbatim.engine.fake import FakeEngine
from verbatim.engine.protocol import Engine
from verbatim.engine.residency import Residency
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.service import Recording, Run, TranscriptionService
from verbatim.pipeline.transcribe import Frontend
from verbatim.scheduling.admission import Admission
from verbatim.scheduling.dispatcher import Dispatcher, Lane
from verbatim.scheduling.line import NEVER_S

SECONDS_3 = wav((0.1 * np.random.default_rng(1).standard_normal(48_000)).astype(np.float32))
REQUEST = TranscriptionRequest(model="fake", vad=False)


class Gate:
    """Holds the engine's calls until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.calls = 0

    async def __call__(self, windows: Sequence[Window]) -> None:
        self.calls += 1
        await self.open.wait()


class Released:
    count = 0

    def __call__(self) -> None:
        self.count += 1


@asynccontextmanager
async def service(
    engine: FakeEngine,
    running: int = 2,
    waiting: int = 2,
    drain_s: float = 5.0,
    dispatcher: type[Dispatcher] = Dispatcher,
) -> AsyncIterator[TranscriptionService]:
    def resolve(name: str) -> str:
        if name != "fake":
            raise ModelNotFoundError(f"There is no model {name!r}.")
        return name

    async def load(name: str) -> Dispatcher:
        return dispatcher(engine, clock=time.monotonic)

    made = TranscriptionService(
        Residency(resolve, load),
        Frontend(SileroVad()),
        Admission(running, waiting, time.monotonic),
        drain_s,
    )
    try:
        yield made
    finally:
        await made.aclose()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)


async def test_events_end_with_the_transcript() -> None:
    released = Released()
    async with service(FakeEngine()) as each:
        run = await each.start(Recording(SECONDS_3, release=released), REQUEST)
        events = [event async for event in run.events()]
    assert [type(event) for event in events] == [Started, SegmentReady, Progress, Finished]
    assert events[0] == Started("fake", 3.0)
    assert isinstance(events[-1], Finished)
    assert len(events[-1].transcript.text.split()) == 3
    assert events[-1].transcript.duration_s == pytest.approx(3.0)
    assert released.count == 1


async def test_a_model_that_writes_without_end_warms_up_quickly() -> None:
    engine = FakeEngine()
    async with service(engine) as each:
        assert (await each.preload("fake")).model == "fake"
    (silence,) = engine.windows
    assert not silence.samples.any()
    assert silence.options.max_new_tokens == 8
    assert silence.options.temperatures == (0.0,)


async def test_a_recording_that_cannot_be_opened_never_starts() -> None:
    async with service(FakeEngine()) as each:
        run = await each.start(Recording(b"no audio"), REQUEST)
        with pytest.raises(NotAudioError):
            await anext(run.events())


async def test_who_waits_can_see_how_long_the_line_is() -> None:
    gate = Gate()
    async with service(FakeEngine(interruption=gate), running=1) as each:
        runs = [await each.start(Recording(SECONDS_3), REQUEST) for _ in range(3)]
        assert [run.position() for run in runs] == [0, 1, 2]
        runs[1].leave()
        await until(lambda: runs[2].position() == 1)
        assert runs[1].position() == 0
        gate.open.set()
        await runs[2].result()
        assert runs[2].position() == 0


async def test_the_line_is_told_whose_work_it_is() -> None:
    owners = []

    class Watched(Dispatcher):
        def lane(self, priority: Priority, owner: str = "", deadline_s: float = NEVER_S) -> Lane:
            owners.append(owner)
            return super().lane(priority, owner, deadline_s)

    async with service(FakeEngine(), dispatcher=Watched) as each:
        for owner in ("key_1", ""):
            await (await each.start(Recording(SECONDS_3), REQUEST, owner)).result()
    assert owners == ["key_1", ""]


async def test_identical_recordings_in_flight_are_transcribed_once() -> None:
    gate, released = Gate(), Released()
    async with service(FakeEngine(interruption=gate)) as each:
        runs = [await each.start(Recording(SECONDS_3, "same", released), REQUEST) for _ in range(5)]
        assert [run.joined for run in runs] == [False, True, True, True, True]
        gate.open.set()
        texts = {(await run.result()).text for run in runs}
        assert (len(texts), gate.calls) == (1, 1)
        again = await each.start(Recording(SECONDS_3, "same", released), REQUEST)
        assert not again.joined
        await again.result()
    assert released.count == 6


async def test_other_options_or_other_bytes_are_not_joined() -> None:
    gate = Gate()
    async with service(FakeEngine(interruption=gate), running=4) as each:
        other = TranscriptionRequest(model="fake", vad=False, decode=DecodeOptions(beam_size=2))
        runs = [
            await each.start(Recording(SECONDS_3, "one"), REQUEST),
            await each.start(Recording(SECONDS_3, "one"), other),
            await each.start(Recording(SECONDS_3, "two"), REQUEST),
            await each.start(Recording(SECONDS_3), REQUEST),
        ]
        assert not any(run.joined for run in runs)
        gate.open.set()
        for run in runs:
            await run.result()


async def follow_and_leave(run: Run) -> None:
    following = asyncio.create_task(run.result())
    await asyncio.sleep(0.05)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_last_to_leave_cancels_the_work() -> None:
    gate, released = Gate(), Released()
    engine = FakeEngine(interruption=gate)
    async with service(engine) as each:
        first = await each.start(Recording(SECONDS_3, "x", released), REQUEST)
        second = await each.start(Recording(SECONDS_3, "x", released), REQUEST)
        await until(lambda: engine.running == 1)
        await follow_and_leave(first)
        assert engine.running == 1
        await follow_and_leave(second)
        await until(lambda: engine.running == 0)
        await until(lambda: released.count == 2)
        assert each.load().running == 0
        # What was cancelled is not joined.
        gate.open.set()
        third = await each.start(Recording(SECONDS_3, "x", released), REQUEST)
        assert not third.joined
        assert (await third.result()).text


async def test_leaving_before_the_work_began_frees_everything() -> None:
    released = Released()
    async with service(FakeEngine()) as each:
        run = await each.start(Recording(SECONDS_3, "x", released), REQUEST)
        run.leave()
        run.leave()
        await until(lambda: released.count == 1)
        assert each.load().running == 0


async def test_a_full_queue_refuses_at_once_and_releases() -> None:
    gate, released = Gate(), Released()
    async with service(FakeEngine(interruption=gate), running=1, waiting=1) as each:
        runs = [await each.start(Recording(SECONDS_3), REQUEST) for _ in range(2)]
        with pytest.raises(OverloadedError) as refused:
            await each.start(Recording(SECONDS_3, release=released), REQUEST)
        assert refused.value.retry_after_s is not None
        assert released.count == 1
        gate.open.set()
        for run in runs:
            assert (await run.result()).text


async def test_every_follower_gets_the_error() -> None:
    async with service(FakeEngine()) as each:
        runs = [await each.start(Recording(b"no audio", "bad"), REQUEST) for _ in range(2)]
        for run in runs:
            with pytest.raises(NotAudioError):
                await run.result()
        unknown = TranscriptionRequest(model="nothing")
        with pytest.raises(ModelNotFoundError):
            await (await each.start(Recording(SECONDS_3), unknown)).result()
        french = TranscriptionRequest(model="fake", decode=DecodeOptions(language="xx"), vad=False)
        with pytest.raises(BadRequestError):
            await (await each.start(Recording(SECONDS_3), french)).result()
        assert each.load().running == 0


async def test_a_fault_of_ours_is_an_internal_error() -> None:
    async def broken(windows: Sequence[Window]) -> None:
        raise ZeroDivisionError

    async with service(FakeEngine(interruption=broken)) as each:
        run = await each.start(Recording(SECONDS_3), REQUEST)
        with pytest.raises(InternalError):
            await run.result()


async def test_closing_lets_what_runs_finish_and_admits_nothing_more() -> None:
    gate = Gate()
    engine = FakeEngine(interruption=gate)
    async with service(engine) as each:
        run = await each.start(Recording(SECONDS_3), REQUEST)
        result = asyncio.create_task(run.result())
        await until(lambda: engine.running == 1)
        closing = asyncio.create_task(each.aclose())
        await asyncio.sleep(0.02)
        with pytest.raises(UnavailableError) as refused:
            await each.start(Recording(SECONDS_3), REQUEST)
        assert refused.value.retry_after_s is not None
        gate.open.set()
        await closing
        assert (await result).text
    assert engine.closed


async def test_closing_ends_what_takes_too_long() -> None:
    engine = FakeEngine(interruption=Gate())
    async with service(engine, drain_s=0.05) as each:
        run = await each.start(Recording(SECONDS_3), REQUEST)
        result = asyncio.create_task(run.result())
        await until(lambda: engine.running == 1)
        await each.aclose()
        with pytest.raises(UnavailableError):
            await result


async def test_a_model_is_loaded_once_however_many_ask() -> None:
    loads: list[str] = []

    async def load(name: str) -> Engine:
        loads.append(name)
        await asyncio.sleep(0.02)
        return FakeEngine()

    models = Residency(lambda name: name.casefold(), load)

    async def use(name: str) -> None:
        async with models.use(name):
            await asyncio.sleep(0)

    await asyncio.gather(*(use(name) for name in ("Tiny", "tiny", "TINY", "base")))
    assert sorted(loads) == ["base", "tiny"]
    await models.aclose()


async def test_a_model_that_failed_to_load_is_tried_again() -> None:
    tries = 0

    async def load(name: str) -> Engine:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ModelNotFoundError("not yet")
        return FakeEngine()

    models = Residency(str, load)
    with pytest.raises(ModelNotFoundError):
        async with models.use("tiny"):
            pass
    async with models.use("tiny") as engine:
        assert engine.describe().model == "fake"
