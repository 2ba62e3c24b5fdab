"""What live dialects on a WebSocket share: bounds, origins, close codes, talking both ways at once.

    async def listen(websocket: WebSocket) -> None:
        socket = LiveSocket(websocket, SocketLimits(...))
        await socket.accept()
        async with aclosing(await context.service.live.open(options)) as session:
            await converse(hear(socket, session), tell(socket, session))
        await socket.close(CloseCode.NORMAL)

`hear` and `tell` may raise SocketClosedError, which says that there is nobody left to talk to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from verbatim.domain.addresses import ANY
from verbatim.domain.errors import (
    BadRequestError,
    ErrorKind,
    ForbiddenError,
    TooLargeError,
    VerbatimError,
)
from verbatim.domain.live import SessionEnd
from verbatim.settings import MIB
from verbatim.wire.json_text import load_json

MAX_REASON_BYTES: Final = 123
"""Of a close frame (RFC 6455, 5.5)."""
CLOSE_NEWS_S: Final = 0.5
"""How long it may take to hear why a connection is closed, on which nothing can be sent."""
FETCH_SITE: Final = "sec-fetch-site"
"""How a page's site relates to this one, as the browser sees it (W3C, Fetch Metadata)."""
SAME_ORIGIN: Final = "same-origin"
_GONE: Final = (WebSocketDisconnect, RuntimeError, OSError)
"""What Starlette and uvicorn raise where a connection has ended (RuntimeError: by the server)."""


class CloseCode(IntEnum):
    """Why a connection is closed (RFC 6455, 7.4.1, and its registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    """The server is stopping."""
    UNSUPPORTED_DATA = 1003
    POLICY = 1008
    """Not allowed, or too slow."""
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013


CLOSE_CODE_OF_KIND: Final[Mapping[ErrorKind, CloseCode]] = MappingProxyType(
    {
        ErrorKind.BAD_REQUEST: CloseCode.POLICY,
        ErrorKind.UNAUTHORIZED: CloseCode.POLICY,
        ErrorKind.FORBIDDEN: CloseCode.POLICY,
        ErrorKind.NOT_FOUND: CloseCode.POLICY,
        ErrorKind.TIMEOUT: CloseCode.POLICY,
        ErrorKind.TOO_LARGE: CloseCode.TOO_BIG,
        ErrorKind.UNSUPPORTED_MEDIA: CloseCode.UNSUPPORTED_DATA,
        ErrorKind.OVERLOADED: CloseCode.TRY_AGAIN_LATER,
        ErrorKind.UNAVAILABLE: CloseCode.TRY_AGAIN_LATER,
        ErrorKind.STORAGE_FULL: CloseCode.TRY_AGAIN_LATER,
        ErrorKind.INTERNAL: CloseCode.INTERNAL,
    }
)

CLOSE_CODE_OF_END: Final[Mapping[SessionEnd, CloseCode]] = MappingProxyType(
    {
        SessionEnd.FINISHED: CloseCode.NORMAL,
        SessionEnd.IDLE: CloseCode.POLICY,
        SessionEnd.TOO_LONG: CloseCode.POLICY,
        SessionEnd.DRAINING: CloseCode.GOING_AWAY,
        SessionEnd.FAILED: CloseCode.INTERNAL,
    }
)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What a client may do to a connection.

    Attributes:
        max_message_bytes: longest message; the server as a whole has a limit above it.
        send_s: how long one message may wait for a client that does not read.
        close_s: how long a client may take to hear that it is over.
    """

    max_message_bytes: int = MIB
    send_s: float = 10.0
    close_s: float = 2.0


class SocketClosedError(Exception):
    """Nobody is there any more; `code` is the close code, 1006 where there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the connection is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class SlowReaderError(SocketClosedError):
    """The client did not read what it was sent, and is cut off."""

    def __init__(self) -> None:
        super().__init__(CloseCode.POLICY, "You do not read fast enough.")


class LiveSocket:
    """A WebSocket on which nothing waits for ever and nothing grows without bound.

    Args:
        websocket: not accepted yet.
        limits: see there.
    """

    def __init__(self, websocket: WebSocket, limits: SocketLimits) -> None:
        self._websocket = websocket
        self._limits = limits
        self._end: tuple[int, str] | None = None
        """Why nothing can be sent any more: code and reason."""
        self._heard_all = False
        """Whether nothing is to be received either: the reason is known for sure."""

    async def accept(
        self, subprotocol: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Begin to talk.

        Args:
            subprotocol: that is agreed on.
            headers: further ones of the answer to the handshake.

        Raises:
            SocketClosedError: the client has gone already.
        """
        try:
            told = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
            await self._websocket.accept(subprotocol, told)
        except _GONE as error:
            raise self._gone(error) from error

    async def receive(self, timeout_s: float | None = None) -> str | bytes:
        """The next message: text as str, binary as bytes.

        Args:
            timeout_s: how long to wait for it; None waits as long as the connection lives.

        Raises:
            SocketClosedError: the client has gone.
            TooLargeError: the message is too long; the connection should be closed.
            TimeoutError: it did not come in time.
        """
        if self._end is not None and self._heard_all:
            raise SocketClosedError(*self._end)
        async with asyncio.timeout(timeout_s):
            try:
                message = await self._websocket.receive()
            except _GONE as error:
                raise self._gone(error) from error
        if message["type"] == "websocket.disconnect":
            self._heard_all = True
            self._end = int(message.get("code") or 1006), message.get("reason") or ""
            raise SocketClosedError(*self._end)
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        length = len(data) if text is None else len(text)
        if length > self._limits.max_message_bytes:
            raise TooLargeError(
                f"A message may have {self._limits.max_message_bytes} bytes; this one has "
                f"{length}. Send the audio in smaller pieces.",
                code="message_too_large",
            )
        return data if text is None else text

    async def send(self, message: str | bytes) -> None:
        """Send a text or binary message; waits while the client is slow, but not for long.

        Raises:
            SlowReaderError: it is too slow; what is left to do is to close.
            SocketClosedError: it has gone.
        """
        if self._end is not None:
            raise SocketClosedError(*self._end)
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._websocket.send({"type": "websocket.send", kind: message})
        except TimeoutError as error:
            raise SlowReaderError from error
        except _GONE as error:
            raise self._gone(error) from error

    async def send_json(self, value: object) -> None:
        """Send a value as compact JSON text. Raises as `send` does."""
        await self.send(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    async def close(self, code: int, reason: str = "") -> None:
        """Say that it is over; a client that does not hear it is left. Twice is fine."""
        if self._end is not None:
            return
        self._end, self._heard_all = (CloseCode.NORMAL, ""), True
        brief = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        message = {"type": "websocket.close", "code": int(code), "reason": brief}
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._websocket.send(message)
        except (TimeoutError, *_GONE):
            return

    def _gone(self, error: Exception) -> SocketClosedError:
        # What failed while sending does not know why; what is received next does.
        self._end = getattr(error, "code", 1006), ""
        return SocketClosedError(*self._end)


async def converse(
    listening: Coroutine[Any, Any, None], telling: Coroutine[Any, Any, None]
) -> None:
    """Listen to a client and tell it things at the same time, each in a task.

    It is over when everything is told, or when either fails; the other one is cancelled then. That
    nothing more is to be heard ends nothing.

    Raises:
        Exception: what `telling` raised, else what `listening` did; of a connection that is closed
            what `listening` did, which knows why.
    """
    listener, teller = asyncio.create_task(listening), asyncio.create_task(telling)
    try:
        await asyncio.wait({listener, teller}, return_when=asyncio.FIRST_COMPLETED)
        if not teller.done() and listener.exception() is None:
            await asyncio.wait({teller})
        if teller.done() and isinstance(teller.exception(), SocketClosedError):
            await asyncio.wait({listener}, timeout=CLOSE_NEWS_S)
    finally:
        for task in (listener, teller):
            task.cancel()
        await asyncio.wait({listener, teller})
        # Looked at here, or asyncio would log them as forgotten.
        told, heard = (
            None if task.cancelled() else task.exception() for task in (teller, listener)
        )
    failure = told or heard
    if isinstance(told, SocketClosedError) and isinstance(heard, SocketClosedError):
        failure = heard
    if failure is not None:
        raise failure


def check_origin(connection: HTTPConnection, allowed: Sequence[str]) -> None:
    """Refuse browsers that show pages of other sites; programs say no origin and are let in.

    A page of this server's own is always let in.

    Args:
        connection: a request, or a WebSocket that is not accepted yet.
        allowed: origins in lower case, such as `https://example.org`; `*` allows all.

    Raises:
        ForbiddenError: a page of this origin may not open connections here.
    """
    origin = connection.headers.get("origin")
    if origin is None or ANY in allowed:
        return
    own = connection.headers.get("host", "").casefold()
    if origin.casefold() in allowed or (own and origin.casefold().partition("://")[2] == own):
        return
    # Proxies may change the host; pages cannot change what the browser says of them here.
    if connection.headers.get(FETCH_SITE) == SAME_ORIGIN:
        return
    raise ForbiddenError(
        f"Pages of {origin[:100]} may not use this server; its operator can allow them with the "
        "setting cors_origins.",
        code="origin_not_allowed",
    )


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object that a client sent.

    Raises:
        BadRequestError: it is none.
    """
    try:
        value = load_json(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(
            "This message is no JSON. Send a JSON object as text, and audio as binary messages.",
            code="invalid_json",
        ) from error
    if not isinstance(value, dict):
        raise BadRequestError(
            "This message is JSON, but no object. Send a JSON object as text.",
            code="invalid_json",
        )
    return value


def close_code(error: VerbatimError) -> CloseCode:
    """The code with which a connection is closed because of an error."""
    return CLOSE_CODE_OF_KIND[error.kind]
