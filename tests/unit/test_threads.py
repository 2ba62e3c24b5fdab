"""The read-ahead thread: order, bounds, errors, and an end in every case."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from verbatim.pipeline.threads import ReadAhead, Turns


async def test_items_come_in_order() -> None:
    async with ReadAhead(lambda: iter(range(100)), 3, "test") as items:
        assert [item async for item in items] == list(range(100))


async def test_it_reads_no_further_ahead_than_told() -> None:
    made: list[int] = []

    def slow_reader() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    async with ReadAhead(slow_reader, 4, "test") as items:
        source = aiter(items)
        assert await anext(source) == 0
        await asyncio.sleep(0.05)
        # Four wait, one more place was freed by the item that was taken.
        assert len(made) <= 5
    assert len(made) <= 6


async def test_an_error_reaches_the_reader_after_what_came_before() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("cut")

    seen = []
    async with ReadAhead(broken, 5, "test") as items:
        with pytest.raises(ValueError, match="cut"):
            async for item in items:
                seen.append(item)
    assert seen == [1]


async def test_leaving_early_closes_the_iterator_in_its_thread() -> None:
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_in.append(threading.current_thread().name)

    async with ReadAhead(endless, 2, "front-end") as items:
        await anext(aiter(items))
    assert closed_in == ["front-end"]
    assert "front-end" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}


async def test_leaving_waits_for_the_item_in_the_making_only() -> None:
    def slow() -> Iterator[int]:
        while True:
            time.sleep(0.02)
            yield 1

    async with ReadAhead(slow, 1, "test") as items:
        await anext(aiter(items))
    # No assertion on time: hanging here would fail by the suite's time-out.


async def test_no_more_work_at_a_time_than_there_are_turns() -> None:
    turns, counting = Turns(2, patience_s=60.0), threading.Lock()
    at_work = most = 0

    def busy() -> Iterator[int]:
        nonlocal at_work, most
        for number in range(5):
            with counting:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.002)
            with counting:
                at_work -= 1
            yield number

    async def read() -> list[int]:
        async with ReadAhead(busy, 8, "test", turns) as items:
            return [item async for item in items]

    assert await asyncio.gather(*(read() for _ in range(6))) == [list(range(5))] * 6
    assert most == 2


async def test_what_takes_long_holds_up_nobody_for_ever() -> None:
    turns, may_end = Turns(1, patience_s=0.01), threading.Event()

    def slow() -> Iterator[int]:
        may_end.wait()
        yield 1

    async with ReadAhead(slow, 1, "slow", turns) as first:
        async with ReadAhead(lambda: iter([2]), 1, "quick", turns) as second:
            assert [item async for item in second] == [2]
        may_end.set()
        assert [item async for item in first] == [1]


async def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1, patience_s=60.0)

    def broken() -> Iterator[int]:
        raise ValueError("cut")
        yield

    for _ in range(2):
        async with ReadAhead(broken, 1, "test", turns) as items:
            with pytest.raises(ValueError, match="cut"):
                await anext(aiter(items))
