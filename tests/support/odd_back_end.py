"""A back end that says what it is told to: the older zh-TW service, or one that breaks off."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLDER = "/transcribe/file"
OURS = "/v1/transcripts"
JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass
class Reply:
    """What is answered to a POST; without a length, so that it ends where it breaks off."""

    status: int
    body: bytes
    media_type: str = JSON


@dataclass
class OddBackEnd:
    """What a test sees of it."""

    url: str
    posted: list[tuple[str, bytes]] = field(default_factory=list)


def json_reply(body: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())


def event_reply(events: Sequence[object]) -> Reply:
    return Reply(200, b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in events), EVENTS)


@contextmanager
def odd_back_end(path: str, reply: Reply, port: int = 0) -> Iterator[OddBackEnd]:
    """Serve one address; every other is not found."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(405 if self.path == path else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            known.posted.append((self.path, body))
            self.send_response(reply.status if self.path == path else 404)
            self.send_header("content-type", reply.media_type)
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(reply.body if self.path == path else b"{}")
            self.close_connection = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Standard error is for failures."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        known = OddBackEnd(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
