"""One engine and many requests: batches, order, cancellation, errors, deadlines and the end."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from tests.support.dispatch_bench import SECOND, Bench, Clock, name_of, said, settle, window

from verbatim.domain.audio import Window
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelUnavailableError,
    UnavailableError,
)
from verbatim.domain.request import DecodeOptions, Priority
from verbatim.domain.transcript import WindowResult
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.protocol import EngineDescription, WindowsLostError
from verbatim.scheduling.dispatcher import Dispatcher

LIVE, INTERACTIVE, JOB = Priority.LIVE, Priority.INTERACTIVE, Priority.JOB


async def test_an_idle_engine_starts_at_once() -> None:
    bench = Bench()
    asked = bench.ask("1")
    await settle()
    assert bench.device.batches == [["1"]]
    bench.device.finish()
    assert await asked == ["1"]


async def test_no_windows_no_wait() -> None:
    assert await Bench().dispatcher.lane(LIVE).run([]) == []


async def test_windows_that_come_together_share_a_batch() -> None:
    bench = Bench()
    asked = [bench.ask(str(number)) for number in range(3)]
    await settle()
    assert bench.device.batches == [["0", "1", "2"]]
    bench.device.finish()
    assert await asyncio.gather(*asked) == [["0"], ["1"], ["2"]]


async def test_batches_fill_while_the_engine_works() -> None:
    bench = Bench()
    asked = [bench.ask("0")]
    await settle()
    for number in range(1, 7):
        asked.append(bench.ask(str(number)))
        await settle()
    bench.device.finish(3)
    await asyncio.gather(*asked)
    assert bench.device.batches == [["0"], ["1", "2", "3", "4"], ["5", "6"]]
    assert bench.device.most_running == 1


async def test_results_are_in_order_when_a_request_is_many_batches() -> None:
    bench = Bench(batch_size=2)
    asked = bench.ask(*map(str, range(7)))
    bench.device.finish(4)
    assert await asked == [str(number) for number in range(7)]


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collector")
async def test_audio_is_free_as_soon_as_it_is_decoded() -> None:
    bench = Bench(batch_size=2)
    audio = [window(str(number)) for number in range(5)]
    asked = asyncio.create_task(said(bench.dispatcher.lane(JOB), audio))
    memory = [weakref.ref(given.samples) for given in audio]
    del audio
    bench.device.finish(3)
    await asked
    del asked
    await settle()
    bench.engine.windows.clear()
    assert not any(samples() is not None for samples in memory)


@pytest.mark.usefixtures("no_garbage_collector")
async def test_audio_of_a_request_that_was_given_up_is_free() -> None:
    bench = Bench(batch_size=2)
    audio = [window(str(number)) for number in range(5)]
    asked = asyncio.create_task(said(bench.dispatcher.lane(JOB), audio))
    memory = [weakref.ref(given.samples) for given in audio]
    del audio
    await settle()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    del asked
    bench.device.finish(3)
    await settle()
    bench.engine.windows.clear()
    assert not any(samples() is not None for samples in memory)


async def test_replicas_work_side_by_side_and_share_what_there_is() -> None:
    bench = Bench(batch_size=4, replicas=2)
    asked = bench.ask(*map(str, range(6)))
    await settle()
    assert bench.device.batches == [["0", "1", "2"], ["3", "4", "5"]]
    assert bench.device.most_running == 2
    bench.device.finish(2)
    assert await asked == [str(number) for number in range(6)]


async def test_the_urgent_overtake_what_waits() -> None:
    bench = Bench(batch_size=1)
    asked = [bench.ask("0")]
    await settle()
    for name, priority in (("1", JOB), ("2", INTERACTIVE), ("3", LIVE)):
        asked.append(bench.ask(name, priority=priority))
    bench.device.finish(4)
    await asyncio.gather(*asked)
    assert bench.device.batches == [["0"], ["3"], ["2"], ["1"]]


async def test_two_long_requests_share_the_device() -> None:
    bench = Bench(batch_size=2)
    asked = [bench.ask("1", "2", "3", "4"), bench.ask("11", "12", "13", "14")]
    bench.device.finish(4)
    await asyncio.gather(*asked)
    assert bench.device.batches == [["1", "11"], ["2", "12"], ["3", "13"], ["4", "14"]]


async def test_an_owner_with_many_requests_has_one_share() -> None:
    bench = Bench(batch_size=1)
    running = bench.ask("0")
    await settle()
    many = [bench.ask(str(n), lane=bench.dispatcher.lane(INTERACTIVE, "many")) for n in range(1, 5)]
    one = bench.ask("11", "12", lane=bench.dispatcher.lane(INTERACTIVE, "one"))
    bench.device.finish(7)
    await asyncio.gather(running, *many, one)
    assert bench.device.batches == [[n] for n in ("0", "1", "11", "2", "12", "3", "4")]


@pytest.mark.parametrize(
    ("options", "together"),
    [
        (DecodeOptions(language="ko", word_timestamps=True), True),
        (DecodeOptions(provisional=True), True),
        (DecodeOptions(beam_size=1), False),
        (DecodeOptions(initial_prompt="Names: Anna"), False),
    ],
)
async def test_rows_of_a_batch_have_equal_search_options(
    options: DecodeOptions, together: bool
) -> None:
    bench = Bench()
    lane = bench.dispatcher.lane(INTERACTIVE)
    asked = asyncio.create_task(said(lane, [window("1"), window("2", options)]))
    bench.device.finish(2)
    assert await asked == ["1", "2"]
    assert bench.device.batches == ([["1", "2"]] if together else [["1"], ["2"]])


async def test_windows_of_one_encoder_length_go_together() -> None:
    bench = Bench()
    bench.engine = FakeEngine(
        name_of, bench.device, replace(FAKE_DESCRIPTION, lengths_s=(8.0, 30.0))
    )
    dispatcher = Dispatcher(bench.engine, clock=bench.clock)
    lengths = {"1": 30, "2": 6, "3": 7, "4": 1}
    windows = [window(name, length=seconds * SECOND) for name, seconds in lengths.items()]
    asked = asyncio.create_task(said(dispatcher.lane(INTERACTIVE), windows))
    bench.device.finish(2)
    assert await asked == list(lengths)
    assert bench.device.batches == [["1", "3"], ["2", "4"]]


async def test_a_row_more_is_free_on_a_gpu_only() -> None:
    for device, batches in (("cpu", [["2"], ["1"]]), ("cuda", [["2", "1"]])):
        bench = Bench(device=device)
        asked = [bench.ask("1", priority=JOB), bench.ask("2", priority=LIVE)]
        bench.device.finish(2)
        await asyncio.gather(*asked)
        assert bench.device.batches == batches


async def cancel(task: asyncio.Task[list[str]]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_nobody_waits_for_is_not_begun() -> None:
    bench = Bench(batch_size=1)
    first, gone, last = bench.ask("1"), bench.ask("2", "3"), bench.ask("4")
    await settle()
    await cancel(gone)
    bench.device.finish(2)
    assert await first == ["1"]
    assert await last == ["4"]
    assert bench.device.batches == [["1"], ["4"]]


async def test_a_batch_goes_on_as_long_as_somebody_waits_for_it() -> None:
    bench = Bench()
    leaving, staying = bench.ask("1"), bench.ask("2")
    await settle()
    await cancel(leaving)
    await settle()
    assert (bench.device.running, bench.device.cancelled) == (1, 0)
    bench.device.finish()
    assert await staying == ["2"]


async def test_a_batch_that_nobody_waits_for_is_cancelled_and_makes_room() -> None:
    bench = Bench()
    leaving = [bench.ask("1"), bench.ask("2")]
    await settle()
    waiting = bench.ask("3")
    for task in leaving:
        await cancel(task)
    await settle()
    assert bench.device.cancelled == 1
    assert bench.device.batches == [["1", "2"], ["3"]]
    bench.device.finish()
    assert await waiting == ["3"]


async def test_cancelled_before_it_began() -> None:
    bench = Bench()
    await cancel(bench.ask("1"))
    await settle()
    assert bench.device.batches == []
    asked = bench.ask("2")
    bench.device.finish()
    assert await asked == ["2"]


async def test_an_error_meets_only_whose_windows_cause_it() -> None:
    bench = Bench()

    def break_on_two(windows: Sequence[Window]) -> None:
        if "2" in map(name_of, windows):
            raise ZeroDivisionError

    bench.device.fail = break_on_two
    asked = [bench.ask("1"), bench.ask("2", "3"), bench.ask("4")]
    bench.device.finish(10)
    good, bad, fine = await asyncio.gather(*asked, return_exceptions=True)
    assert (good, fine) == (["1"], ["4"])
    assert isinstance(bad, ZeroDivisionError)
    later = bench.ask("5")
    assert await later == ["5"]


async def test_a_language_that_the_model_does_not_know_is_one_requests_error() -> None:
    bench = Bench()
    lanes = [bench.dispatcher.lane(INTERACTIVE) for _ in range(2)]
    bad = asyncio.create_task(said(lanes[0], [window("1", DecodeOptions(language="xx"))]))
    good = asyncio.create_task(said(lanes[1], [window("2", DecodeOptions(language="en"))]))
    bench.device.finish(3)
    with pytest.raises(BadRequestError):
        await bad
    assert await good == ["2"]


async def test_an_engine_that_is_not_there_is_not_asked_again() -> None:
    bench = Bench()

    def gone(windows: Sequence[Window]) -> None:
        raise ModelUnavailableError("gone")

    bench.device.fail = gone
    asked = [bench.ask("1"), bench.ask("2")]
    bench.device.finish(2)
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(end) for end in ends} == {ModelUnavailableError}
    assert bench.device.batches == [["1", "2"]]


async def test_after_an_error_nothing_more_of_the_call_is_begun() -> None:
    bench = Bench(batch_size=1)

    def broken(windows: Sequence[Window]) -> None:
        raise InternalError("broken")

    bench.device.fail = broken
    asked = bench.ask("1", "2", "3")
    bench.device.finish()
    with pytest.raises(InternalError, match="broken"):
        await asked
    await settle()
    assert bench.device.handed == [["1"], ["2"]]
    assert bench.device.cancelled == 1
    assert bench.device.running == 0


class Losing(FakeEngine):
    """Loses every window named 2, and counts its calls."""

    calls = 0

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        self.calls += 1
        results = await super().run(windows)
        lost = [None if name_of(w) == "2" else r for w, r in zip(windows, results, strict=True)]
        raise WindowsLostError("lost", lost)


async def test_lost_windows_are_not_tried_again_and_others_are_answered() -> None:
    engine = Losing(name_of)
    dispatcher = Dispatcher(engine, clock=Clock())
    good = asyncio.create_task(said(dispatcher.lane(INTERACTIVE), [window("1")]))
    bad = asyncio.create_task(said(dispatcher.lane(INTERACTIVE), [window("2"), window("3")]))
    assert await good == ["1"]
    with pytest.raises(InternalError) as lost:
        await bad
    assert (lost.value.message, lost.value.code) == ("lost", "engine_crashed")
    assert engine.calls == 1


class Odd(FakeEngine):
    """Breaks the protocol: ends calls by cancelling them, or gives too few results."""

    def __init__(self, results: int | None) -> None:
        super().__init__()
        self._count = results

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        if self._count is None:
            raise asyncio.CancelledError
        return (await super().run(windows))[: self._count]


async def test_an_engine_that_breaks_its_word_leaves_nobody_waiting() -> None:
    with pytest.raises(InternalError):
        await said(Dispatcher(Odd(1), clock=Clock()).lane(LIVE), [window("1"), window("2")])
    with pytest.raises(UnavailableError):
        await said(Dispatcher(Odd(None), clock=Clock()).lane(LIVE), [window("1")])


async def test_what_is_too_late_is_answered_and_not_run() -> None:
    bench = Bench(batch_size=1)
    busy = bench.ask("1", "2", priority=LIVE)
    await settle()
    late = bench.ask("3", lane=bench.dispatcher.lane(LIVE, deadline_s=5.0))
    patient = bench.ask("4", lane=bench.dispatcher.lane(JOB, deadline_s=50.0))
    await settle()
    bench.clock.now_s = 5.0
    bench.device.finish(3)
    with pytest.raises(UnavailableError) as refused:
        await late
    assert refused.value.retry_after_s is not None
    assert list(await asyncio.gather(busy, patient)) == [["1", "2"], ["4"]]
    assert bench.device.batches == [["1"], ["2"], ["4"]]


async def test_who_brings_too_much_waits_for_room_and_live_does_not() -> None:
    bench = Bench(batch_size=1, max_waiting=2)
    job = bench.ask(*map(str, range(1, 9)), priority=JOB)
    await settle()
    bench.device.finish()
    await settle()
    live = bench.ask("20", priority=LIVE)
    await settle()
    bench.device.finish(8)
    assert await live == ["20"]
    assert await job == [str(number) for number in range(1, 9)]
    assert bench.device.batches[2] == ["20"]


async def test_waiting_for_room_can_be_cancelled() -> None:
    bench = Bench(batch_size=1, max_waiting=1)
    first = bench.ask("1")
    await settle()
    tasks = [bench.ask("2"), bench.ask("3", "4"), bench.ask("5")]
    await settle()
    await cancel(tasks[1])
    bench.device.finish(3)
    assert list(await asyncio.gather(first, tasks[0], tasks[2])) == [["1"], ["2"], ["5"]]
    assert bench.device.batches == [["1"], ["2"], ["5"]]


async def test_closing_ends_the_line_and_lets_the_batch_end() -> None:
    bench = Bench(batch_size=1, max_waiting=1)
    running, waiting, outside = bench.ask("1"), bench.ask("2"), bench.ask("3", "4")
    await settle()
    closing = asyncio.create_task(bench.dispatcher.aclose())
    for task in (waiting, outside, bench.ask("5")):
        with pytest.raises(UnavailableError) as refused:
            await task
        assert refused.value.retry_after_s is not None
    assert not bench.engine.closed
    bench.device.finish()
    assert await running == ["1"]
    await closing
    assert bench.engine.closed
    assert bench.device.batches == [["1"]]
    await bench.dispatcher.aclose()


async def test_a_lane_is_an_engine_that_closes_nothing() -> None:
    bench = Bench()
    lane = bench.dispatcher.lane(INTERACTIVE)
    described: EngineDescription = lane.describe()
    assert described == bench.engine.describe()
    assert lane.memory_bytes() == bench.engine.memory_bytes()
    await lane.aclose()
    assert not bench.engine.closed


async def test_a_storm_leaves_nothing_behind() -> None:
    """Requests of every kind, a third of them cancelled somewhere on the way."""
    rng = random.Random(11)
    faults = 0.05

    async def work(windows: Sequence[Window]) -> None:
        await asyncio.sleep(0)
        if rng.random() < faults:
            raise InternalError("now and then")

    description = replace(FAKE_DESCRIPTION, device_indexes=(0, 1))
    engine = FakeEngine(name_of, work, description)
    dispatcher = Dispatcher(engine, clock=Clock(), max_waiting=20)

    async def request(number: int) -> None:
        lane = dispatcher.lane(rng.choice(list(Priority)), rng.choice(["", "a", "b"]))
        names = [str(number * 10 + n) for n in range(rng.randint(1, 9))]
        assert await said(lane, [window(name, length=160) for name in names]) == names

    tasks = [asyncio.create_task(request(number)) for number in range(300)]
    for task in tasks[::3]:
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
        task.cancel()
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=30)
    failures = [end for end in ends if end is not None]
    assert {type(end) for end in failures} <= {asyncio.CancelledError, InternalError}
    assert sum(end is None for end in ends) > 100
    assert engine.running == 0
    # All room is free again.
    faults = 0.0
    asked = dispatcher.lane(JOB).run([window("1", length=160)] * 20)
    assert len(await asyncio.wait_for(asked, timeout=5)) == 20
    await dispatcher.aclose()
