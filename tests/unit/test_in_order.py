"""Several at once, one after the other: order, bounds, errors and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from verbatim.pipeline.in_order import in_order


class Work:
    """Jobs that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends.setdefault(number, asyncio.Event()).set()

    async def __call__(self, number: int) -> int:
        self.begun.append(number)
        try:
            await self._ends.setdefault(number, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number


async def numbers(end: int, error: Exception | None = None) -> AsyncIterator[int]:
    for number in range(end):
        yield number
    if error:
        raise error


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_results_keep_the_order_however_the_work_ends() -> None:
    work = Work()
    results = in_order(numbers(4), work.__call__, 4)
    first = asyncio.ensure_future(anext(results))
    await settle()
    work.end(3, 1, 2)
    await settle()
    assert not first.done()
    work.end(0)
    assert [await first, *[number async for number in results]] == [0, 1, 2, 3]


async def test_no_more_than_so_many_are_in_flight_and_all_that_may_be() -> None:
    work = Work()
    results = in_order(numbers(9), work.__call__, 3)
    first = asyncio.ensure_future(anext(results))
    await settle()
    assert work.begun == [0, 1, 2]
    work.end(1, 2)
    await settle()
    assert work.begun == [0, 1, 2]
    work.end(0)
    assert await first == 0
    second = asyncio.ensure_future(anext(results))
    await settle()
    assert await second == 1
    assert work.begun == [0, 1, 2, 3]
    await results.aclose()
    assert work.cancelled == [3]


async def test_a_result_does_not_wait_for_the_next_item() -> None:
    work = Work()
    work.end(0)

    async def one_and_no_end() -> AsyncIterator[int]:
        yield 0
        await asyncio.Event().wait()

    async with aclosing(in_order(one_and_no_end(), work.__call__, 2)) as results:
        assert await asyncio.wait_for(anext(results), timeout=5) == 0


async def test_an_error_of_the_items_comes_after_the_results() -> None:
    work = Work()
    work.end(0, 1)
    seen = []
    with pytest.raises(ValueError, match="cut"):
        async for number in in_order(numbers(2, ValueError("cut")), work.__call__, 4):
            seen.append(number)
    assert seen == [0, 1]


async def test_an_error_of_the_work_comes_in_its_turn_and_ends_the_rest() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        try:
            if number == 1:
                raise ValueError("broken")
            await asyncio.sleep(0 if number == 0 else 60)
        finally:
            ended.append(number)
        return number

    seen = []
    with pytest.raises(ValueError, match="broken"):
        async for number in in_order(numbers(5), work, 4):
            seen.append(number)
    assert seen == [0]
    assert sorted(ended) == [0, 1, 2, 3]


async def test_no_items_no_results() -> None:
    assert [number async for number in in_order(numbers(0), Work().__call__, 1)] == []
