"""A process without a model, kept for when the one that has it dies.

Starting Python, importing what a model needs and reading its tokenizer takes longer than loading a
small model, and little memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from verbatim.engine.child import Child, ChildDiedError

log = structlog.stdlib.get_logger(__name__)


class Spare:
    """At most one process that waits to be told what to load.

    Args:
        begin: begins a process.
        after_s: how long to wait before that, so that requests which wait for the model go first;
            None keeps none.
    """

    def __init__(self, begin: Callable[[], Awaitable[Child]], after_s: float | None) -> None:
        self._begin = begin
        self._after_s = after_s
        self._beginning: asyncio.Task[Child | None] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        child = self._child()
        return child.pid if child else None

    def keep(self) -> None:
        """See to it that there is one before long."""
        coming = self._beginning is not None and not self._beginning.done()
        if self._after_s is not None and not coming and self._child() is None:
            self._beginning = asyncio.create_task(self._wait_and_begin(self._after_s))

    def take(self) -> Child | None:
        """The process, which is the caller's from now on; None where there is none."""
        child = self._child()
        if child is not None:
            self._beginning = None
        return child

    async def aclose(self) -> None:
        """End it; another is not kept."""
        self._after_s = None
        if self._beginning is not None:
            self._beginning.cancel()
            await asyncio.wait({self._beginning})
        if (child := self.take()) is not None:
            await child.kill()

    async def _wait_and_begin(self, after_s: float) -> Child | None:
        await asyncio.sleep(after_s)
        try:
            child = await self._begin()
        except ChildDiedError as death:
            log.warning("no process is kept ready", death=str(death))
            return None
        log.info("a process is kept ready", pid=child.pid)
        return child

    def _child(self) -> Child | None:
        """The process, if it is there and lives."""
        task = self._beginning
        if task is None or not task.done() or task.cancelled():
            return None
        child = task.result()
        return child if child is not None and child.death is None else None
