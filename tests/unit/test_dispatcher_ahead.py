"""The batch that the engine has besides the one it decodes: when, and for whom it makes way."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.dispatch_bench import Bench, settle

from verbatim.domain.request import Priority
from verbatim.scheduling.policy import BATCHES_TO_LATE, PATIENCE_S

LIVE, JOB = Priority.LIVE, Priority.JOB


@pytest.mark.parametrize("replicas", [1, 2])
async def test_the_engine_has_one_full_batch_ahead_for_each_replica(replicas: int) -> None:
    bench = Bench(batch_size=2, replicas=replicas)
    names = [str(number) for number in range(2 * 5 + 1)]
    asked = bench.ask(*names)
    await settle()
    assert len(bench.device.handed) == 2 * replicas
    assert len(bench.device.batches) == replicas
    for begun in range(1, 3):
        bench.device.finish()
        await settle()
        assert len(bench.device.handed) == min(5, 2 * replicas + begun)
        assert len(bench.device.batches) == replicas + begun
    bench.device.finish(4)
    assert await asked == names
    assert bench.device.batches[-1] == names[-1:]


async def test_a_batch_that_may_still_fill_is_not_handed_out_ahead() -> None:
    bench = Bench(batch_size=2)
    asked = [bench.ask("1")]
    for number in range(2, 5):
        await settle()
        asked.append(bench.ask(str(number)))
    await settle()
    assert bench.device.handed == [["1"], ["2", "3"]]
    bench.device.finish(3)
    await asyncio.gather(*asked)
    assert bench.device.batches == [["1"], ["2", "3"], ["4"]]


async def test_what_is_ahead_makes_way_for_the_urgent_and_keeps_its_place() -> None:
    bench = Bench(batch_size=2)
    job = bench.ask(*map(str, range(1, 9)), priority=JOB)
    await settle()
    other = bench.ask("11", "12", priority=JOB)
    await settle()
    assert bench.device.cancelled == 0
    live = bench.ask("20", priority=LIVE)
    await settle()
    assert bench.device.handed == [["1", "2"], ["3", "4"]]
    assert (bench.device.running, bench.device.cancelled) == (1, 1)
    bench.device.finish(2)
    assert await live == ["20"]
    assert bench.device.batches[:3] == [["1", "2"], ["20"], ["3", "4"]]
    bench.device.finish(4)
    assert await job == [str(number) for number in range(1, 9)]
    assert await other == ["11", "12"]


async def test_what_is_late_and_ahead_makes_way_for_nobody() -> None:
    """Else what is urgent could take its turn again and again."""
    bench = Bench(batch_size=1)
    jobs = bench.ask(*map(str, range(1, 7)), priority=JOB)
    await settle()
    bench.clock.now_s = PATIENCE_S[JOB]
    bench.device.finish(BATCHES_TO_LATE - 2)
    await settle()
    assert bench.device.handed[-1] == [str(BATCHES_TO_LATE)]
    live = bench.ask("20", priority=LIVE)
    await settle()
    assert bench.device.cancelled == 0
    bench.device.finish(5)
    assert [await live, await jobs] == [["20"], [str(number) for number in range(1, 7)]]
    assert bench.device.batches[BATCHES_TO_LATE - 1 :][:2] == [["4"], ["20"]]


@pytest.mark.parametrize("replicas", [1, 2])
async def test_live_waits_for_no_more_than_it_would_without_a_batch_ahead(replicas: int) -> None:
    """For what is decoded when it comes, and for one batch of those that are late."""
    bench = Bench(batch_size=2, replicas=replicas)
    jobs = [bench.ask(*map(str, range(n, n + 40)), priority=JOB) for n in range(0, 200, 40)]
    await settle()
    bench.clock.now_s = 2 * PATIENCE_S[JOB]
    for number in range(1_000, 1_030):
        begun = len(bench.device.batches)
        live = bench.ask(str(number), priority=LIVE)
        await settle()
        while not live.done():
            bench.device.finish()
            await settle()
        (place,) = [i for i, names in enumerate(bench.device.batches) if str(number) in names]
        assert place - begun <= 1
    bench.device.finish(200)
    await asyncio.gather(*jobs)


async def test_who_leaves_while_a_batch_is_recalled_leaves_no_trace() -> None:
    bench = Bench(batch_size=2, max_waiting=4)
    first, second, leaving, staying = [bench.ask(str(number)) for number in range(1, 5)]
    await settle()
    assert bench.device.handed == [["1", "2"], ["3", "4"]]
    leaving.cancel()
    live = bench.ask("20", priority=LIVE)
    await settle()
    bench.device.finish(3)
    said = await asyncio.gather(first, second, live, staying)
    assert list(said) == [["1"], ["2"], ["20"], ["4"]]
    assert bench.device.batches == [["1", "2"], ["20"], ["4"]]
    # All room is free again.
    asked = bench.ask(*map(str, range(5, 11)))
    bench.device.finish(3)
    assert len(await asked) == 6
