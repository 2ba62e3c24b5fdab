"""Who may go to a process now: several at a time, or one who wants to be alone there."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

ONE: Final = 1


class Lanes:
    """As many at a time as there are lanes, first come first served.

    One who wants to be alone takes all lanes, and comes before those who wait.

    Args:
        width: how many lanes there are.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._free = width
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, *, alone: bool = False) -> int:
        """Wait for one's turn; gives what is to be handed to `leave`."""
        lanes = self._width if alone else ONE
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (lanes, turn)
        if alone:
            self._waiting.appendleft(place)
        else:
            self._waiting.append(place)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(place)
                self._admit()
            else:
                self.leave(lanes)
            raise
        return lanes

    def leave(self, lanes: int) -> None:
        """Make room for the next."""
        self._free += lanes
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            lanes, turn = self._waiting.popleft()
            # A waiter that was cancelled takes itself out; until then it holds nobody up.
            if not turn.done():
                self._free -= lanes
                turn.set_result(None)
