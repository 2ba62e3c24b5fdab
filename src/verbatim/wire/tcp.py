"""What wires that are no HTTP stand on: a port of their own, and connections with bounds.

    async def serve(connection: TcpConnection) -> None:
        while line := await connection.read_line(IDLE_S):
            with connection.busy():
                await connection.send(answer(line))

    TcpDialect("echo", "127.0.0.1", 7, serve)

The server binds the port, ends connections that are not `busy` when it stops, and closes each
one when `serve` returns or raises. SocketClosedError says that there is nobody left to talk to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Final

from verbatim.domain.errors import SlowUploadError, TooLargeError
from verbatim.wire.notes import RequestNotes
from verbatim.wire.websocket import SlowReaderError, SocketClosedError

ABNORMAL_CLOSURE: Final = 1006
"""What a connection is closed with that just ended (RFC 6455, 7.1.5); there are no codes here."""
DISCARD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What a client may do to a connection.

    Attributes:
        max_line_bytes: longest line.
        body_s: how long what was announced may take to come.
        send_s: how long a message may wait for a client that does not read.
        close_s: how long a client may take to hear that it is over.
    """

    max_line_bytes: int = 64 * 1024
    body_s: float = 30.0
    send_s: float = 10.0
    close_s: float = 2.0


class TcpConnection:
    """A client on which nothing waits for ever and nothing grows without bound.

    Args:
        reader: made with a limit of `TcpLimits.max_line_bytes`.
        writer: of the same connection.
        limits: see there.
        busy: the time in which the client is served, and not cut off because the server stops.
        report: called with what was done, for the metrics.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: TcpLimits,
        busy: Callable[[], AbstractContextManager[None]],
        report: Callable[[RequestNotes], None],
    ) -> None:
        self.busy: Final = busy
        self.report: Final = report
        self._reader = reader
        self._writer = writer
        self._limits = limits

    async def read_line(self, timeout_s: float | None = None) -> bytes:
        """The next line with its end; empty where the client has ended.

        Args:
            timeout_s: for all of it; None waits as long as the connection lives.

        Raises:
            SocketClosedError: the client has gone in the middle of one.
            TooLargeError: it is too long.
            TimeoutError: it did not come in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise SocketClosedError(ABNORMAL_CLOSURE) from error
            return b""
        except asyncio.LimitOverrunError as error:
            raise TooLargeError(
                f"A line may have {self._limits.max_line_bytes} bytes.", code="message_too_large"
            ) from error
        except OSError as error:
            raise SocketClosedError(ABNORMAL_CLOSURE) from error

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes, which were announced; the caller has looked whether they are too many.

        Raises:
            SocketClosedError: the client has gone.
            SlowUploadError: they did not come in time.
        """
        if not count:
            return b""
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await self._reader.readexactly(count)
        except TimeoutError as error:
            raise SlowUploadError(
                f"{count} bytes were announced, and did not come in {self._limits.body_s:g} s."
            ) from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise SocketClosedError(ABNORMAL_CLOSURE) from error

    async def send(self, data: bytes) -> None:
        """Send a whole message; waits while the client is slow, but not for long.

        Raises:
            SlowReaderError: it is too slow.
            SocketClosedError: it has gone.
        """
        self._writer.write(data)
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._writer.drain()
        except TimeoutError as error:
            self._writer.transport.abort()
            raise SlowReaderError from error
        except OSError as error:
            raise SocketClosedError(ABNORMAL_CLOSURE) from error

    async def dismiss(self) -> None:
        """Send no more, and wait a moment for the client to see so.

        Whoever closes while bytes of the client are on their way takes back what was sent last.
        """
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.close_s):
                self._writer.write_eof()
                while await self._reader.read(DISCARD_BYTES):
                    pass

    async def close(self) -> None:
        """End the connection; what a client does not take in time is lost. Twice is fine."""
        self._writer.close()
        try:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(self._limits.close_s):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()


@dataclass(frozen=True, slots=True)
class TcpDialect:
    """A wire with a port of its own.

    Attributes:
        name: for logs.
        host: address to listen on.
        port: 0 takes a free one.
        settings_prefix: of the settings with host and port.
        max_connections: at the same time; more are closed at once.
        serve: talks to one client until that is over.
        limits: see there.
    """

    name: str
    host: str
    port: int
    settings_prefix: str
    max_connections: int
    serve: Callable[[TcpConnection], Awaitable[None]]
    limits: TcpLimits = TcpLimits()
