"""The sockets on which the server listens: plain ones, and encrypted ones beside them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import structlog

from verbatim.domain.errors import UnavailableError
from verbatim.server.tls import check_tls, tls_context
from verbatim.settings import Settings, flag

BACKLOG: Final = 2048
"""Connections that the system holds until they are accepted."""
ACCEPTED_AT_ONCE: Final = 1
"""In one turn of the event loop. asyncio would accept all that wait, and a request on its way,
which takes several turns, would wait in each of them for everything that a crowd asks for."""
UNSENT_BYTES: Final = 64 * 1024
"""The most of an answer that the system holds for a client that does not read; by itself it takes
megabytes. What is on its way does not count, so that distance costs no speed."""
HANDSHAKE_S: Final = 10.0
"""For a client to agree on the encryption; one that does not costs a connection meanwhile."""
SHUTDOWN_S: Final = 5.0
"""For it to end the encryption."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SecureListeners:
    """Sockets on which connections are encrypted."""

    sockets: Sequence[socket.socket]
    context: ssl.SSLContext

    async def serve(self, protocol: Callable[[], asyncio.Protocol]) -> list[asyncio.Server]:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(
                protocol,
                sock=listener,
                ssl=self.context,
                backlog=ACCEPTED_AT_ONCE,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
            for listener in self.sockets
        ]
        let_wait(self.sockets)
        return servers


@dataclass(frozen=True, slots=True)
class Listeners:
    """All of them; closed at the end of their context, also where no server came to use them."""

    plain: list[socket.socket]
    secure: SecureListeners | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for listener in (*self.plain, *(self.secure.sockets if self.secure else ())):
            listener.close()

    def log_addresses(self) -> None:
        """Tell where the server can be reached."""
        encrypted = self.secure.sockets if self.secure else ()
        for scheme, listeners in (("http", self.plain), ("https", encrypted)):
            for address in addresses(listeners):
                log.info("listening", url=f"{scheme}://{address}")


def open_listeners(settings: Settings) -> Listeners:
    """Listen where the settings say.

    Raises:
        BadRequestError: the settings do not fit together, or the certificate is of no use.
        UnavailableError: as `listen`.
    """
    check_tls(settings)
    if settings.tls_cert is None:
        return Listeners(listen(settings.host, settings.port))
    context = tls_context(settings.tls_cert, settings.tls_key)
    if settings.tls_port is None or (settings.tls_port and settings.tls_port == settings.port):
        return Listeners([], SecureListeners(listen(settings.host, settings.port), context))
    plain = listen(settings.host, settings.port)
    try:
        secure = listen(settings.host, settings.tls_port, ("host", "tls_port"))
    except UnavailableError:
        for listener in plain:
            listener.close()
        raise
    return Listeners(plain, SecureListeners(secure, context))


def listen(host: str, port: int, names: tuple[str, str] = ("host", "port")) -> list[socket.socket]:
    """Sockets that listen on every address of a host name; port 0 takes a free one.

    Args:
        host: name or address.
        port: the same on all of them.
        names: of the settings that hold these, for the error's message.

    Raises:
        UnavailableError: the address is taken, or is not one of this machine's.
    """
    listeners: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            taken = listeners[0].getsockname()[1] if listeners else port
            listener = socket.create_server(
                (str(address[0]), taken), family=family, backlog=BACKLOG
            )
            listeners.append(listener)
            # Connections inherit it. asyncio sets it on sockets of its own making only, and a
            # second small message would wait 40 ms for the first one's delayed acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise UnavailableError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another with "
            f"{flag(names[0])} and {flag(names[1])}, or stop what "
            "uses this one."
        ) from error
    return listeners


def let_wait(listeners: Iterable[socket.socket]) -> None:
    """Have the system hold connections again; asyncio has one number for it and for accepting."""
    for listener in listeners:
        listener.listen(BACKLOG)


def addresses(listeners: Sequence[socket.socket]) -> Iterator[str]:
    """Where they listen, `HOST:PORT`."""
    for listener in listeners:
        host, port = listener.getsockname()[:2]
        yield f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
