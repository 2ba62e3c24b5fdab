"""Several things at once, their results one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    items: AsyncIterator[T], work: Callable[[T], Coroutine[Any, Any, R]], most: int
) -> AsyncGenerator[R]:
    """Work on up to `most` items at the same time; yield results in the items' order.

    Work begins in order too. A result that was not taken counts as being worked on, so a slow
    reader holds everything up. Close it (`contextlib.aclosing`) to cancel what is in flight.

    Args:
        items: read one at a time, when there is room for the next.
        work: called with one item after the other.
        most: at least one.

    Raises:
        Exception: what the items or the work raised, after the results before it.
    """
    free = asyncio.Semaphore(most)
    begun: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
    in_flight: set[asyncio.Task[R]] = set()

    async def begin() -> None:
        try:
            await free.acquire()
            async for item in items:
                task = asyncio.create_task(work(item))
                in_flight.add(task)
                begun.put_nowait(task)
                await free.acquire()
        finally:
            begun.put_nowait(None)

    beginning = asyncio.create_task(begin())
    try:
        while task := await begun.get():
            yield await task
            in_flight.discard(task)
            free.release()
        await beginning
    finally:
        unfinished = (beginning, *in_flight)
        for each in unfinished:
            each.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
