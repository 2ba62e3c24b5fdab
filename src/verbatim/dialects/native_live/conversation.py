"""A session that outlives its connection: a client that comes back goes on where it was.

What the session tells is numbered and kept for a while; how much audio arrived is counted. So both
sides can say after a break what they have, and the other sends the rest again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

from verbatim.dialects.native_live.events import Message, event_message
from verbatim.domain.audio import Samples
from verbatim.domain.live import SessionEnd, SessionEnded
from verbatim.pipeline.live import LiveSession
from verbatim.wire.live_audio import LiveAudio
from verbatim.wire.websocket import CloseCode, SlowReaderError, SocketClosedError

MAX_KEPT: Final = 512
"""Messages that a client can be behind."""


class Conversation:
    """A session, its audio, and what was told.

    Args:
        session: closed with the conversation.
        audio: decodes the binary messages; closed with it too.
        key_id: of the key that it was begun with; only its holder can come back.
        on_end: called once when it is over.
    """

    def __init__(
        self,
        session: LiveSession,
        audio: LiveAudio,
        key_id: str | None,
        on_end: Callable[[], None],
    ) -> None:
        self.session: Final = session
        self.key_id: Final = key_id
        self.received_bytes = 0
        """Of audio, in whole messages."""
        self.ended: SessionEnd | None = None
        """Why the session ended, once it did."""
        self._audio = audio
        self._one = asyncio.Lock()
        self._on_end = on_end
        self._kept: deque[tuple[int, Message]] = deque(maxlen=MAX_KEPT)
        self._last = 0
        self._told = asyncio.Event()
        self._attachment = 0
        self._waiting: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._collect())

    def check(self, attachment: int) -> None:
        """Look whether it is this connection that serves the client.

        What still comes over one that was replaced was not counted when the client came back, so
        it is sent again on the other.

        Raises:
            SocketClosedError: it is another one.
        """
        if attachment != self._attachment:
            raise SocketClosedError(CloseCode.POLICY, "The session goes on on another connection.")

    async def hear(self, data: bytes) -> None:
        """Take in a binary message. Raises as `LiveAudio.feed`."""
        self.received_bytes += len(data)
        await self._to_the_end(self._feed(self._audio.feed(data)))

    async def commit(self) -> None:
        """End the utterance after all that was sent so far."""
        await self._to_the_end(self._feed(self._audio.flush(), self.session.commit))

    async def finish(self) -> None:
        """No more audio comes."""
        await self._to_the_end(self._feed(self._audio.finish(), self.session.finish))

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something wholly, also where the connection breaks meanwhile: it counts as done."""
        task = asyncio.create_task(work)
        # Seen here, or asyncio would log it as forgotten.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(task)

    async def _feed(
        self,
        blocks: AsyncIterator[Samples],
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        async with self._one:
            async for samples in blocks:
                await self.session.feed(samples)
            if then is not None:
                await then()

    async def next_message(self, after: int, attachment: int) -> tuple[int, Message]:
        """The message that follows the one with this number, waited for.

        Raises:
            SocketClosedError: another connection serves the client now.
            SlowReaderError: it is kept no more.
        """
        while self._last <= after and attachment == self._attachment:
            self._told.clear()
            await self._told.wait()
        self.check(attachment)
        oldest = self._kept[0][0]
        if after + 1 < oldest:
            raise SlowReaderError
        return self._kept[after + 1 - oldest]

    @property
    def told(self) -> int:
        """The number of the last message."""
        return self._last

    def has(self, received: int) -> bool:
        """Whether all messages after this one are still there."""
        oldest = self._kept[0][0] if self._kept else self._last + 1
        return oldest - 1 <= received <= self._last

    def attach(self) -> int:
        """A connection serves the client from now on; one that did so is told to end.

        Returns:
            The number of this attachment.
        """
        self._stop_waiting()
        self._attachment += 1
        self._told.set()
        return self._attachment

    def detach(self, attachment: int, wait_s: float) -> None:
        """The connection is gone; the conversation ends unless the client comes back in time."""
        if attachment != self._attachment:
            return  # It has come back already.
        self._stop_waiting()
        if wait_s > 0 and self.ended is None:
            loop = asyncio.get_running_loop()
            self._waiting = loop.call_later(wait_s, self._close)
        else:
            self._close()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _close(self) -> None:
        """End at once; twice is fine."""
        if self._closing is None:
            self._on_end()
            self._closing = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.session.aclose()
        await self._task
        await self._audio.aclose()

    async def _collect(self) -> None:
        async for event in self.session.events():
            self._last += 1
            self._kept.append((self._last, event_message(event) | {"seq": self._last}))
            if isinstance(event, SessionEnded):
                self.ended = event.reason
            self._told.set()
