"""HTTP by hand, for what no client library lets one send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.live_server import PATIENCE_S

BOUNDARY = "frontier"
PART_HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    "Content-Type: audio/wav\r\n\r\n"
).encode()
PART_END = f"\r\n--{BOUNDARY}--\r\n".encode()


@contextmanager
def connected(url: str, timeout_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    """A connection to the server."""
    parts = urlsplit(url)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 80), timeout_s
    ) as connection:
        yield connection


def upload_head(length: int | str | None, path: str = "/v1/audio/transcriptions") -> bytes:
    """The head of a form's upload; chunked where the length is None."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: test\r\n{framing}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    ).encode()


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and all that follows, until the other end closes or the body is complete."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65_536)
        if not data:
            break
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return 0, b""
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        data = connection.recv(65_536)
        if not data:
            break
        body += data
    return int(head.split(b" ")[1]), body


def read_answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and body of so many answers, each of which says its length."""
    received, answers = b"", []
    for _ in range(count):
        while b"\r\n\r\n" not in received:
            received += _some(connection)
        head, _, received = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        (length,) = (
            int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")
        )
        while len(received) < length:
            received += _some(connection)
        answers.append((int(head.split(b" ")[1]), received[:length]))
        received = received[length:]
    return answers


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("closed before all answers came")
    return data
