"""What is recorded from one `start` to the next `stop`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeAlias

from verbatim.domain.audio import Samples
from verbatim.domain.live import (
    Failed,
    LiveEvent,
    LiveOptions,
    Partial,
    SessionEnd,
)
from verbatim.domain.live import Final as FinalEvent
from verbatim.pipeline.live import LiveSession
from verbatim.wire.live_audio import LiveAudio
from verbatim.wire.live_talk import charged

TIME_DIGITS: Final = 2

Message: TypeAlias = dict[str, Any]


class Recording:
    """A live session with its audio; close it.

    Args:
        session: closed with it.
        audio: decodes the binary messages; closed with it too.
        charge: told how many seconds were heard.
    """

    def __init__(
        self, session: LiveSession, audio: LiveAudio, charge: Callable[[float], None]
    ) -> None:
        self.session: Final = session
        self._audio = audio
        self._charge = charge
        self._told = asyncio.Event()
        self.ended: SessionEnd | None = None
        """Why the session ended, once everything was told."""

    async def hear(self, data: bytes) -> None:
        """A binary message."""
        await self._feed(self._audio.feed(data))

    async def clear(self) -> None:
        """Forget what was not told yet."""
        await self.session.clear()

    async def stop(self) -> None:
        """No more audio comes; returns when everything was told."""
        await self._feed(self._audio.finish())
        await self.session.finish()
        await self._told.wait()

    def on_end(self, reason: SessionEnd) -> None:
        """Everything was told."""
        self.ended = reason
        self._told.set()

    async def aclose(self) -> None:
        """Free everything."""
        await self.session.aclose()
        await self._audio.aclose()

    async def _feed(self, blocks: AsyncIterator[Samples]) -> None:
        with charged(self.session, self._charge):
            async for samples in blocks:
                await self.session.feed(samples)


def event_message(event: LiveEvent, options: LiveOptions) -> Message | None:
    """What a client is told of an event; None for nothing, as where nothing was understood."""
    match event:
        case Partial() if text := (event.committed + event.tail).strip():
            return {
                "type": "partial",
                "text": text,
                "language": event.language or options.language or "",
                "duration": round(event.end - event.start, TIME_DIGITS),
            }
        case FinalEvent() if event.text:
            return {"type": "final", "text": event.text, "language": event.language}
        case Failed(_, error):
            return error_message(error.message)
        case _:
            return None


def error_message(text: str) -> Message:
    """Something went wrong; the connection stays open."""
    return {"type": "error", "message": text}


def status_message(text: str) -> Message:
    """Something was done."""
    return {"type": "status", "message": text}
