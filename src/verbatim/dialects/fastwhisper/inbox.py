"""What a client sent and was not looked at yet, so that its leaving is noticed at any time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MAX_WAITING_BYTES: Final = 1024 * 1024
MAX_WAITING: Final = 256


class Inbox:
    """Messages in order, bounded: one that is larger than the bound waits alone."""

    def __init__(self) -> None:
        self._messages: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def put(self, message: str | bytes) -> None:
        """Add a message; waits while too much is in it."""
        while self._messages and (
            self._waiting_bytes + len(message) > MAX_WAITING_BYTES
            or len(self._messages) >= MAX_WAITING
        ):
            self._room.clear()
            await self._room.wait()
        self._messages.append(message)
        self._waiting_bytes += len(message)
        self._changed.set()

    def end(self) -> None:
        """Nothing more is taken out, whatever is still in it."""
        self._ended = True
        self._changed.set()

    async def get(self, timeout_s: float | None = None) -> str | bytes | None:
        """The next message; None at the end.

        Raises:
            TimeoutError: it did not come in time.
        """
        async with asyncio.timeout(timeout_s):
            while not self._messages and not self._ended:
                self._changed.clear()
                await self._changed.wait()
        if self._ended:
            return None
        message = self._messages.popleft()
        self._waiting_bytes -= len(message)
        self._room.set()
        return message
