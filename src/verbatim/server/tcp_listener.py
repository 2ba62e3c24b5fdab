"""Ports of wires that are no HTTP: accepted, counted, ended in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog

from verbatim.server.drain import Drain
from verbatim.server.metrics import Metrics
from verbatim.wire.tcp import TcpConnection, TcpDialect
from verbatim.wire.websocket import SocketClosedError

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def serving_tcp(
    dialect: TcpDialect, sockets: Sequence[socket.socket], drain: Drain, metrics: Metrics
) -> AsyncIterator[None]:
    """Serve a dialect for the time of a context.

    When the server begins to stop, no more clients are taken, those that are not being served are
    let go, and the others when they have been. What is left at the context's end is cut off.

    Args:
        dialect: what is spoken.
        sockets: that listen already; closed at the end.
        drain: of the server.
        metrics: where it is counted what was done.
    """
    clients = _Clients(dialect, drain, metrics)
    servers = [
        await asyncio.start_server(
            clients.accept, sock=listener, limit=dialect.limits.max_line_bytes
        )
        for listener in sockets
    ]

    def stop() -> None:
        for server in servers:
            server.close()
        clients.let_go()

    drain.on_begin(stop)
    try:
        yield
    finally:
        for server in servers:
            server.close()
        await clients.cut_off()


class _Clients:
    """The connections of one port."""

    def __init__(self, dialect: TcpDialect, drain: Drain, metrics: Metrics) -> None:
        self._dialect = dialect
        self._drain = drain
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._was_full = False

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to serve a client."""
        if len(self._tasks) >= self._dialect.max_connections:
            if not self._was_full:
                self._was_full = True
                log.warning("too many connections", dialect=self._dialect.name)
            writer.transport.abort()
            return
        self._was_full = False
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def let_go(self) -> None:
        """End the connections of those that are not being served."""
        for task in self._tasks - self._busy:
            task.cancel()

    async def cut_off(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a client is served by a task")
        limits = self._dialect.limits
        busy, report = partial(self._while_busy, task), self._metrics.on_other
        connection = TcpConnection(reader, writer, limits, busy, report)
        try:
            await self._dialect.serve(connection)
        except SocketClosedError:
            pass
        except asyncio.CancelledError:
            # By us, and there is something left to do.
            task.uncancel()
        except Exception as error:
            log.error("a connection failed", dialect=self._dialect.name, exc_info=error)
        await connection.close()

    @contextmanager
    def _while_busy(self, task: asyncio.Task[None]) -> Iterator[None]:
        self._busy.add(task)
        try:
            with self._drain.request():
                yield
        finally:
            self._busy.discard(task)
        # What failed is still told, and is the end anyway.
        if self._drain.draining:
            task.cancel()
