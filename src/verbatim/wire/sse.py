"""Server-sent events: `data:` lines only, so that the simplest reader can follow."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from verbatim.wire.disconnect import while_connected

EVENT_STREAM: Final = "text/event-stream"
HEARTBEAT: Final = b": still at work\n\n"
"""A comment, which readers of events pass over."""

T = TypeVar("T")


def event(data: Mapping[str, object]) -> bytes:
    """One event; JSON writes no line breaks, so it is always one line."""
    return written(json.dumps(data, ensure_ascii=False, allow_nan=False).encode())


def written(line: bytes) -> bytes:
    """An event whose data is written already, on one line."""
    return b"data: " + line + b"\n\n"


class EventStream(Response):
    """A response that sends events as they come.

    A client that goes away closes the generator, whatever it is waiting for.

    Args:
        first: what the generator gave first. It is asked for before the response is made, so that
            an early error is a plain response, and so that closing always reaches the generator.
        rest: the generator.
    """

    media_type = EVENT_STREAM

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            # Proxies such as nginx would otherwise hold small events back.
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
            media_type=EVENT_STREAM,
        )
        del self.headers["content-length"]
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, then end; ASGI."""
        del scope
        await while_connected(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._rest) as rest:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await send(_part(self._first))
            async for data in rest:
                await send(_part(data))
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _part(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def with_pauses(source: AsyncIterator[T], pause_s: float) -> AsyncGenerator[T | None, None]:
    """Everything from the source, and None each time that nothing came for `pause_s` seconds."""
    upcoming: asyncio.Future[T] | None = None
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(source))
            while not (await asyncio.wait({upcoming}, timeout=pause_s))[0]:
                yield None
            try:
                item = upcoming.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if upcoming is not None and not upcoming.done():
            upcoming.cancel()
            await asyncio.wait({upcoming})
        if isinstance(source, AsyncGenerator):
            await source.aclose()
