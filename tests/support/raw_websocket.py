"""A WebSocket by hand, for what no client library lets one send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.live_server import PATIENCE_S
from websockets.frames import Opcode

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


class RawWebSocket:
    """One connection; what the server closes it with is read by `close_code`."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(
        self,
        data: bytes | str,
        opcode: Opcode = Opcode.BINARY,
        *,
        fin: bool = True,
        rsv1: bool = False,
    ) -> None:
        """A frame, also one that makes no sense; its mask is zero, so it goes as it is."""
        if isinstance(data, str):
            data, opcode = data.encode(), Opcode.TEXT
        head = bytes([0x80 * fin | 0x40 * rsv1 | opcode, 0x80 | 127])
        self.connection.sendall(head + len(data).to_bytes(8, "big") + bytes(4) + data)

    def close_code(self) -> int | None:
        """The code of the close frame; None where the connection ended without one."""
        received = bytearray()
        while True:
            try:
                data = self.connection.recv(65_536)
            except ConnectionError:
                data = b""
            received += data
            code = _close_code(bytes(received))
            if code is not None or not data:
                return code


@contextmanager
def raw_websocket(
    url: str, path: str = "/v1/live", more: str = "", receive_bytes: int | None = None
) -> Iterator[RawWebSocket]:
    """Connect.

    Args:
        url: the server's.
        path: the route.
        more: further header lines, each with its line end.
        receive_bytes: size of the kernel's buffer for what comes, small for a client that does not
            read.
    """
    parts = urlsplit(url)
    with socket.socket() as connection:
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(PATIENCE_S)
        connection.connect((parts.hostname or "", parts.port or 80))
        connection.sendall(HANDSHAKE.format(path=path, host=parts.netloc, more=more).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        yield RawWebSocket(connection)


def _close_code(data: bytes) -> int | None:
    """Walk over the server's frames, which have no mask, to a close frame."""
    at = 0
    while at + 2 <= len(data):
        opcode, length = data[at] & 15, data[at + 1] & 127
        start = at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        if opcode == Opcode.CLOSE and len(data) >= start + 2:
            return int.from_bytes(data[start : start + 2], "big")
        at = start + length
    return None
