"""A request's body as it comes, from a client that may be slow or stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from verbatim.domain.errors import SlowUploadError, UnsupportedMediaError

IDENTITY: Final = "identity"


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow an upload may be.

    Attributes:
        idle_s: longest wait for the next bytes.
        longest_s: for the whole.
        grace_s: for so long only `idle_s` counts.
        floor_bytes_per_s: after that, the least mean rate.
    """

    idle_s: float = 30.0
    longest_s: float = 3600.0
    grace_s: float = 60.0
    floor_bytes_per_s: float = 1024.0


async def body_chunks(
    request: Request, pace: Pace, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[bytes, None]:
    """The body, piece by piece.

    Raises:
        UnsupportedMediaError: it is compressed in a way that is not undone here.
        SlowUploadError: the client stopped sending, or all but stopped.
        ClientDisconnect: the client went away.
    """
    encoding = request.headers.get("content-encoding", IDENTITY)
    if encoding.strip().lower() != IDENTITY:
        raise UnsupportedMediaError(
            "Send the body without Content-Encoding; audio formats are compressed already.",
            code="unsupported_content_encoding",
        )
    started = clock()
    received_bytes = 0
    async with contextlib.aclosing(request.stream()) as stream:
        while chunk := await _next_chunk(stream, pace.idle_s):
            received_bytes += len(chunk)
            elapsed_s = clock() - started
            too_slow = received_bytes < elapsed_s * pace.floor_bytes_per_s
            if elapsed_s > pace.longest_s or (elapsed_s > pace.grace_s and too_slow):
                raise _slow()
            yield chunk


async def _next_chunk(stream: AsyncIterator[bytes], idle_s: float) -> bytes:
    """Empty at the end."""
    try:
        async with asyncio.timeout(idle_s):
            return await anext(stream, b"")
    except TimeoutError:
        raise _slow() from None


def _slow() -> SlowUploadError:
    return SlowUploadError(
        "The upload stopped before it was complete, or took too long. Send it again."
    )
