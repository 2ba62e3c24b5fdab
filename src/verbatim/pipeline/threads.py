"""Blocking iterators, each run ahead in a thread of its own, and how such threads take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Generic, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 0.2
"""About three windows of 30 s, cut from an MP3."""


class Turns:
    """Lets as many threads work at a time as there are cores for them, first come first served.

    Where many recordings arrive together, all at once would be ready only when the last one is,
    and the device would have nothing to do until then. A thread that was kept waiting for
    `patience_s` works anyway: a recording that is slow to read holds nobody up for long.

    Args:
        width: how many threads.
        patience_s: how long one waits for its turn.
    """

    def __init__(self, width: int, patience_s: float = PATIENCE_S) -> None:
        self._free = threading.Semaphore(width)
        self._patience_s = patience_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """A turn, for the time of the block."""
        mine = self._free.acquire(timeout=self._patience_s)
        try:
            yield
        finally:
            if mine:
                self._free.release()


class _End:
    """Marks the iterator's end, with the error that caused it, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ReadAhead(Generic[T]):
    """Items of an iterator that a thread computes while the reader is busy.

    At most `capacity` items wait. The thread belongs to this object alone: a slow iterator cannot
    take the place of anybody else's. Use as an asynchronous context manager; leaving it stops the
    thread after the item it is at, and closes the iterator there.

    Args:
        make: makes the iterator; called in the thread.
        capacity: how many items may wait to be read.
        name: the thread's name.
        turns: taken for each item; None: it is made at once.
    """

    def __init__(
        self,
        make: Callable[[], Iterator[T]],
        capacity: int,
        name: str,
        turns: Turns | None = None,
    ) -> None:
        self._make = make
        self._turns = turns
        self._free = threading.Semaphore(capacity)
        self._stopped = threading.Event()
        self._items: asyncio.Queue[T | _End] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._finished = False
        self._left = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    async def __aenter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        self._free.release()
        await self._left.wait()
        # It has nothing left to do but to end.
        self._thread.join()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            iterator = self._make()
            try:
                self._pump(iterator)
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # noqa: BLE001 - handed to the reader, who raises it
            error = caught
        self._put(_End(error))
        self._call(self._left.set)

    def _pump(self, iterator: Iterator[T]) -> None:
        while True:
            self._free.acquire()
            try:
                with self._turn():
                    # Looked at last: nobody may want it any more when the turn comes.
                    if self._stopped.is_set():
                        return
                    item = next(iterator)
            except StopIteration:
                return
            self._put(item)

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.one()

    def _put(self, item: T | _End) -> None:
        self._call(lambda: self._items.put_nowait(item))

    def _call(self, function: Callable[[], None]) -> None:
        # The loop may be gone where a program ends without waiting for its tasks.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    async def __aiter__(self) -> AsyncIterator[T]:
        while not self._finished:
            item = await self._items.get()
            if isinstance(item, _End):
                self._finished = True
                if item.error is not None:
                    raise item.error
                return
            self._free.release()
            yield item
