"""A model hub on this machine: the requests that a download makes, with every way to go wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 10_000
"""Files from this size on are kept in another store, as the hub keeps those of Git LFS."""
WEIGHTS_HEAD = b"\x06\x00\x00\x00\x0c\x00WhisperSpec\x00"
DEADLINE_S = 60.0
"""So long a silent hub keeps a request, where nobody ends it."""


def model_files(weights_bytes: int = 300_000, seed: int = 0) -> dict[str, bytes]:
    """The files of a model whose weights are noise with the right beginning."""
    noise = hashlib.shake_256(b"weights%d" % seed).digest(weights_bytes - len(WEIGHTS_HEAD))
    return {
        "model.bin": WEIGHTS_HEAD + noise,
        "config.json": b'{"alignment_heads": [], "lang_ids": [], "suppress_ids": []}',
        "tokenizer.json": b'{"version": "1.0"}',
        "vocabulary.json": b'["a", "b"]',
        "preprocessor_config.json": b'{"feature_size": 80}',
        "README.md": b"not needed by a model",
    }


def write_model(folder: Path, seed: int = 0) -> Path:
    """A model's files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in model_files(20_000, seed).items():
        (folder / name).write_bytes(content)
    return folder


def etag_of(content: bytes) -> str:
    """The hash under which the hub keeps a file."""
    if len(content) >= LARGE_BYTES:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    files: dict[str, bytes]
    commit: str = COMMIT
    token: str | None = None
    """Only requests with this token are answered."""
    gated: bool = False
    moved_to: str | None = None


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class FakeHub:
    """What the hub holds, what it was asked, and how it misbehaves."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    break_after_bytes: int | None = None
    """A large file's connection ends after this many bytes …"""
    breaks_left: int = 0
    """… so many times."""
    corruptions_left: int = 0
    """So many times a large file arrives with one byte changed."""
    busy_left: int = 0
    """So many requests for files are answered with 503."""
    ignore_ranges: bool = False
    silent: threading.Event | None = None
    """While it is set, requests are read and not answered until it is set."""
    size_is_wrong_by: int = 0

    def downloads(self, name: str = "model.bin") -> list[Request]:
        """The GET requests for a file."""
        return [r for r in self.requests if r.method == "GET" and r.path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, *args: object) -> None:
        pass

    def _serve(self) -> None:
        hub = self.hub
        hub.requests.append(Request(self.command, self.path, dict(self.headers)))
        if hub.silent is not None:
            hub.silent.wait(DEADLINE_S)
            self.close_connection = True
            return
        path = urlsplit(self.path).path
        if path in {"", "/"}:
            self._answer(200, {})
            return
        if hub.busy_left > 0:
            hub.busy_left -= 1
            self._answer(503, {})
            return
        parts = path.strip("/").split("/")
        if parts[0] == "store":
            self._send_file(hub.repositories["/".join(parts[1:3])].files[parts[3]], large=True)
        elif len(parts) == 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], parts[4])
        else:
            self._answer(404, {})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        given = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if repository is None:
            # The hub does not tell strangers what does not exist from what is private.
            self._answer(401 if given is None else 404, {"X-Error-Code": "RepoNotFound"})
        elif repository.moved_to is not None:
            self._answer(307, {"Location": f"/{repository.moved_to}/resolve/{revision}/{file}"})
        elif repository.gated:
            self._answer(403, {"X-Error-Code": "GatedRepo"})
        elif repository.token is not None and given != repository.token:
            self._answer(401, {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"main", repository.commit}:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        elif file not in repository.files:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit})
        else:
            self._found(name, repository, file)

    def _found(self, name: str, repository: Repository, file: str) -> None:
        content = repository.files[file]
        headers = {"X-Repo-Commit": repository.commit}
        if len(content) < LARGE_BYTES:
            self._send_file(content, headers={**headers, "ETag": f'"{etag_of(content)}"'})
            return
        headers["X-Linked-Etag"] = f'"{etag_of(content)}"'
        headers["X-Linked-Size"] = str(len(content) + self.hub.size_is_wrong_by)
        # Another host name for the same server: credentials must not go along.
        store = self.hub.endpoint.replace("127.0.0.1", "localhost")
        self._answer(302, {**headers, "Location": f"{store}/store/{name}/{file}"})

    def _send_file(
        self, content: bytes, headers: dict[str, str] | None = None, *, large: bool = False
    ) -> None:
        hub = self.hub
        status, start = 200, 0
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and not hub.ignore_ranges:
            status, start = 206, int(wanted.removeprefix("bytes=").rstrip("-"))
        body = content[start:]
        if self.command == "GET" and large and hub.corruptions_left > 0:
            hub.corruptions_left -= 1
            body = body[:-1] + bytes([body[-1] ^ 1])
        sent = body
        if self.command == "GET" and large and hub.breaks_left > 0:
            hub.breaks_left -= 1
            sent = body[: hub.break_after_bytes]
            self.close_connection = True
        self._answer(status, {**(headers or {}), "Content-Length": str(len(body))}, sent)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is part of the tests."""


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub on a free port of this machine, empty."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            if hub.silent is not None:
                hub.silent.set()
            server.shutdown()
            thread.join()
