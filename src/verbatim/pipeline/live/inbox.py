"""What a wire gave a session and the session has not heard yet: audio, and orders in between."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from verbatim.domain.audio import Pcm
from verbatim.domain.live import LiveOptions, SessionEnd
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.live.engine import LiveEngine
from verbatim.stages.speech import FRAME_SAMPLES

MAX_UNHEARD_S: Final = 5.0
"""Audio that waits here; who brings more waits for room."""
BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Most that is taken at once, so that what is found in it is not told late."""
SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Commit:
    """See `LiveSession.commit`."""


@dataclass(frozen=True, slots=True)
class Clear:
    """See `LiveSession.clear`."""


@dataclass(frozen=True, slots=True)
class Update:
    """See `LiveSession.update`; the engine is the one that the options ask for."""

    options: LiveOptions
    engine: LiveEngine


@dataclass(frozen=True, slots=True)
class Finish:
    """The last order there is."""

    reason: SessionEnd


Order: TypeAlias = Commit | Clear | Update | Finish


class Inbox:
    """Audio and orders, in the order in which they came; bounded in seconds."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._taken = 0
        """Samples that were taken out."""
        self._orders: deque[tuple[int, Order]] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self.ended = False
        """Whether the last order was given: nothing more is taken in."""

    @property
    def position(self) -> int:
        """Samples that were put in so far."""
        return self._taken + len(self._bytes) // SAMPLE_BYTES

    async def put(self, samples: Pcm) -> None:
        """Add audio (n,), in pieces as there is room; after the last order it is ignored."""
        at = 0
        while at < len(samples) and not self.ended:
            room = round(MAX_UNHEARD_S * SAMPLE_RATE_HZ) - len(self._bytes) // SAMPLE_BYTES
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            self._bytes += samples[at : at + room].tobytes()
            at += room
            self._changed.set()

    def order(self, order: Order) -> None:
        """Add an order; after the last one it is ignored."""
        if self.ended:
            return
        self._orders.append((self.position, order))
        if isinstance(order, Finish):
            self.ended = True
            self._room.set()
        self._changed.set()

    async def take(self) -> Pcm | Order:
        """The next thing: half a second of audio at most, or an order.

        Less audio than makes a frame of voice activity detection waits for more, or for an order.
        """
        while True:
            until = self._orders[0][0] if self._orders else None
            if until == self._taken:
                return self._orders.popleft()[1]
            available = len(self._bytes) // SAMPLE_BYTES
            if available and (until is not None or available >= FRAME_SAMPLES):
                ahead = available if until is None else until - self._taken
                return self._cut(min(ahead, BLOCK_SAMPLES))
            self._changed.clear()
            await self._changed.wait()

    def _cut(self, count: int) -> Pcm:
        size = count * SAMPLE_BYTES
        samples = np.frombuffer(bytes(self._bytes[:size]), np.int16)
        del self._bytes[:size]
        self._taken += count
        self._room.set()
        return samples
