"""The read-ahead thread: order, bounds, errors, and an end in every case."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from verbatim.pipeline.threads import ReadAhead


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
