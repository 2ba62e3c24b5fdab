"""Who is connected, and what was done: the counters that this server's clients look at."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from verbatim.wire.context import Context

CLIENT_ID_BYTES: Final = 4


@dataclass(slots=True)
class Client:
    """A WebSocket connection.

    Attributes:
        info: its address.
        since_s: when it came, by the server's clock.
        go: called when the server begins to stop.
        transcriptions: texts that were made for it.
    """

    info: str
    since_s: float
    go: Callable[[], None]
    id: str = field(default_factory=lambda: secrets.token_hex(CLIENT_ID_BYTES))
    transcriptions: int = 0


class Activity:
    """Counts from the moment it is made.

    Args:
        context: of the application.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._began_s = context.clock()
        self._clients: dict[str, Client] = {}
        self._draining = False
        self.served = 0
        """Connections that were let in so far."""
        self.transcriptions = 0
        """Texts that were made so far, over any of the routes."""

    @property
    def clients(self) -> tuple[Client, ...]:
        """Who is connected, the oldest first."""
        return tuple(self._clients.values())

    @property
    def max_clients(self) -> int:
        """How many there may be."""
        return self._context.settings.max_connections

    @property
    def uptime_s(self) -> float:
        """How long it counts."""
        return self._context.clock() - self._began_s

    def uptime(self) -> str:
        """The same for people, `0:00:44`."""
        return str(timedelta(seconds=int(self.uptime_s)))

    def load(self) -> str:
        """How many are connected, and may be: `1/200`."""
        return f"{len(self._clients)}/{self.max_clients}"

    def full(self) -> bool:
        """Whether nobody more may come; also where they could not start a live session."""
        live = self._context.service.live.load()
        return len(self._clients) >= self.max_clients or live.sessions >= live.max_sessions

    def enter(self, info: str, go: Callable[[], None]) -> Client:
        """A client was let in."""
        client = Client(info, self._context.clock(), go)
        self._clients[client.id] = client
        self.served += 1
        if self._draining:
            # It was showing its key when the server began to stop.
            go()
        return client

    def leave(self, client: Client) -> None:
        """A client has gone."""
        del self._clients[client.id]

    def count(self, client: Client | None = None) -> None:
        """A text was made."""
        self.transcriptions += 1
        if client is not None:
            client.transcriptions += 1

    def connected_s(self, client: Client) -> float:
        """For how long a client is here."""
        return self._context.clock() - client.since_s

    def drain(self) -> None:
        """Send everybody home, and who comes yet."""
        self._draining = True
        for client in self.clients:
            client.go()
