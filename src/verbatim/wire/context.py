"""What a dialect is given to work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from verbatim.access.service import Access
from verbatim.engine.catalog import Catalog
from verbatim.pipeline.service import TranscriptionService
from verbatim.settings import Settings
from verbatim.wire.body import Pace
from verbatim.wire.server_view import ServerView
from verbatim.wire.spool import Spool
from verbatim.wire.websocket import SocketLimits

HEARTBEAT_S: Final = 15.0
"""Proxies commonly close a connection on which nothing came for 60 s."""


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every dialect when the application is made; nothing is looked up globally.

    Attributes:
        settings: of the server.
        service: transcribes.
        catalog: the models there are.
        spool: where uploads wait.
        access: who may ask for what.
        pace: how slow an upload may be.
        heartbeat_s: longest silence of a stream that is being answered.
        sockets: what a client may do to a WebSocket.
        clock: seconds that only rise.
        server: what is known of the one that mounts the dialect.
    """

    settings: Settings
    service: TranscriptionService
    catalog: Catalog
    spool: Spool
    access: Access
    pace: Pace = field(default_factory=Pace)
    heartbeat_s: float = HEARTBEAT_S
    sockets: SocketLimits = field(default_factory=SocketLimits)
    clock: Callable[[], float] = time.monotonic
    server: ServerView = field(default_factory=ServerView)
