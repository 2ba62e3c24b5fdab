"""A dispatcher on a fake engine whose device is in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions, Priority
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.scheduling.dispatcher import Dispatcher, Lane

SECOND = 16_000


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Device:
    """Decodes batches in the order they come, each until it is let go, and takes notes."""

    def __init__(self, replicas: int) -> None:
        self.handed: list[list[str]] = []
        """What the engine was given."""
        self.batches: list[list[str]] = []
        """What was begun of it."""
        self.fail: Callable[[Sequence[Window]], None] = lambda windows: None
        self.running = 0
        self.most_running = 0
        self.cancelled = 0
        self._turns = asyncio.Semaphore(0)
        self._free = asyncio.Semaphore(replicas)

    def finish(self, batches: int = 1) -> None:
        """Let so many batches end, of those that run or are to come."""
        for _ in range(batches):
            self._turns.release()

    async def __call__(self, windows: Sequence[Window]) -> None:
        names = [name_of(window) for window in windows]
        self.handed.append(names)
        try:
            async with self._free:
                self.batches.append(names)
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                try:
                    await self._turns.acquire()
                finally:
                    self.running -= 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.fail(windows)


class Bench:
    """A dispatcher on a fake engine that says each window's name."""

    def __init__(
        self, batch_size: int = 4, replicas: int = 1, max_waiting: int = 1_000, device: str = "cpu"
    ) -> None:
        self.clock = Clock()
        self.device = Device(replicas)
        self.engine = FakeEngine(
            name_of,
            self.device,
            replace(
                FAKE_DESCRIPTION,
                batch_size=batch_size,
                device=device,
                device_indexes=tuple(range(replicas)),
            ),
        )
        self.dispatcher = Dispatcher(self.engine, clock=self.clock, max_waiting=max_waiting)

    def ask(
        self, *names: str, priority: Priority = Priority.INTERACTIVE, lane: Lane | None = None
    ) -> asyncio.Task[list[str]]:
        """A request with windows of these names; gives what they said."""
        return asyncio.create_task(
            said(lane or self.dispatcher.lane(priority), [window(name) for name in names])
        )


def window(name: str, options: DecodeOptions | None = None, length: int = SECOND) -> Window:
    return Window(
        np.ones(length, np.int16), options=options or DecodeOptions(), start_s=float(name or 0)
    )


def name_of(window: Window) -> str:
    return f"{window.start_s:.0f}"


async def said(lane: Lane, windows: Sequence[Window]) -> list[str]:
    return [result.segments[0].text.strip() for result in await lane.run(windows)]


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)
