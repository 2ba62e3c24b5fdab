"""How many requests run, how many may wait, and who is told to come back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from verbatim.domain.errors import OverloadedError

FIRST_GUESS_S: Final = 5.0
"""How long a request takes, as long as none has ended yet."""
SHORTEST_RETRY_S: Final = 1.0
_SMOOTHING: Final = 0.2
"""Weight of the newest request in the running mean of their lengths."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy it is."""

    running: int
    waiting: int
    max_running: int
    max_waiting: int


class Admission:
    """A bounded number of places, first come first served, and a bounded line before them.

    Args:
        max_running: places.
        max_waiting: length of the line; who finds it full is refused at once.
        clock: seconds that only rise; for the estimate of when to come back.
    """

    def __init__(self, max_running: int, max_waiting: int, clock: Callable[[], float]) -> None:
        self._max_running, self._max_waiting = max_running, max_waiting
        self._clock = clock
        self._running = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._typical_s = FIRST_GUESS_S

    def load(self) -> Load:
        """How busy it is now."""
        return Load(self._running, len(self._line), self._max_running, self._max_waiting)

    def enter(self) -> Place:
        """Take a place, or stand in the line, at once; the caller must release it in any case.

        Raises:
            OverloadedError: the line is full; says when a repeat has a chance.
        """
        if self._running < self._max_running:
            self._running += 1
            return Place(self, None)
        if len(self._line) >= self._max_waiting:
            rounds = (len(self._line) + 1) / self._max_running
            raise OverloadedError(
                "The server is busy and its queue is full; send the request again in a moment.",
                retry_after_s=max(SHORTEST_RETRY_S, rounds * self._typical_s),
            )
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        return Place(self, turn)

    def now(self) -> float:
        """The clock's time."""
        return self._clock()

    def position(self, turn: asyncio.Future[None]) -> int:
        """Who is the next has 1; 0 for who waits no more."""
        return 0 if turn.done() else self._line.index(turn) + 1

    def leave_line(self, turn: asyncio.Future[None]) -> None:
        """Give up waiting."""
        self._line.remove(turn)

    def free(self, took_s: float) -> None:
        """Hand a place to the next in the line, and learn how long requests take."""
        self._typical_s += _SMOOTHING * (took_s - self._typical_s)
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._running -= 1


class Place:
    """One request's place, or its turn in the line."""

    def __init__(self, admission: Admission, turn: asyncio.Future[None] | None) -> None:
        self._admission = admission
        self._turn = turn
        self._began_s = admission.now()
        self._released = False

    async def wait(self) -> None:
        """Until it is this request's turn; at once where there was room."""
        if self._turn is not None:
            # Shielded: a cancelled waiter must not cancel the turn that may just be given to it.
            await asyncio.shield(self._turn)
            self._began_s = self._admission.now()

    def position(self) -> int:
        """Its place in the line, the next one's being 1; 0 once it waits no more."""
        if self._turn is None or self._released:
            return 0
        return self._admission.position(self._turn)

    def release(self) -> None:
        """Leave, waiting or running; a second call does nothing."""
        if self._released:
            return
        self._released = True
        if self._turn is not None and not self._turn.done():
            self._admission.leave_line(self._turn)
            return
        self._admission.free(self._admission.now() - self._began_s)
