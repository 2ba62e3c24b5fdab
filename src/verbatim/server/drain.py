"""An orderly end: no new work, running work ends, what takes too long is told so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Drain:
    """Which requests run, and whether more are taken."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._aborted = False
        self._listeners: list[Callable[[], None]] = []

    def on_begin(self, listener: Callable[[], None]) -> None:
        """Have something called when it begins."""
        self._listeners.append(listener)

    @property
    def draining(self) -> bool:
        """Whether new work is refused."""
        return self._draining

    @property
    def aborted(self) -> bool:
        """Whether running work was cancelled."""
        return self._aborted

    @property
    def running(self) -> int:
        """Requests that are being served."""
        return len(self._running)

    def begin(self) -> None:
        """Take no new work."""
        if not self._draining:
            self._draining = True
            for listener in self._listeners:
                listener()

    def abort(self) -> None:
        """Cancel what still runs."""
        self.begin()
        self._aborted = True
        for task in self._running:
            task.cancel()

    @contextmanager
    def request(self) -> Iterator[None]:
        """The time in which the current task serves a request."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is served by a task")
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)
