"""Keys are told to nobody: not by logs at their most talkative, metrics, tracebacks or errors."""

from __future__ import annotations

import contextlib
import json
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.support.fake_process import fake_server
from tests.support.live_server import PATIENCE_S, SPEECH, LiveServer, live_server
from tests.support.raw_http import connected
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from verbatim.access.secret import digest_of
from verbatim.cli.main import app
from verbatim.engine.fake import FakeEngine
from verbatim.settings import Settings

GOOD = "canary-good-0123456789abcdef0123456789abcdef"
WRONG = "canary-wrong-0123456789abcdef0123456789abcdef"
ADMIN = "canary-admin-0123456789abcdef0123456789abcdef"
CANARIES = (GOOD, WRONG, ADMIN, *map(digest_of, (GOOD, WRONG, ADMIN)))
PATHS = (
    "/",
    "/health",
    "/metrics",
    "/nothing",
    "/v1/models",
    "/v1/keys",
    "/v1/live",
    "/v1/realtime",
    "/v1/listen",
    "/stats",
    "/admin/keys",
)


def assert_silent(told: str, *canaries: str) -> None:
    for canary in canaries or CANARIES:
        assert canary not in told
        # Nor most of it.
        assert canary[5:25] not in told


def in_every_header(key: str) -> Iterator[dict[str, str]]:
    for value in (f"Bearer {key}", f"Token {key}", key, f"Basic {key}", f"Bearer {key} {key}"):
        yield {"authorization": value}
    for name in ("x-api-key", "x-admin-key", "proxy-authorization", "cookie", "sec-websocket-key"):
        yield {name: key}
    yield {"authorization": f"Bearer {key}", "x-api-key": WRONG, "x-admin-key": ADMIN}


def ask_everywhere(client: httpx.Client) -> Iterator[httpx.Response]:
    speech = SPEECH.read_bytes()
    for key in (GOOD, WRONG):
        for headers in in_every_header(key):
            for path in PATHS:
                yield client.get(path, headers=headers)
            yield client.post("/v1/keys", headers=headers, json={"name": "", "key": "x"})
        shown = {"authorization": f"Bearer {key}"}
        for path in PATHS:
            yield client.get(path, params={"api_key": key, "token": key, key: key})
            yield client.request("BREW", path, params={"key": key}, headers=shown)
        upload: dict[str, Any] = {"files": {"file": speech}, "headers": shown}
        yield client.post("/v1/audio/transcriptions", params={"key": key}, **upload)
        yield client.post("/v1/audio/transcriptions", data={"api_key": key}, **upload)
        for address in (f"/v1/keys/{key}", f"/admin/keys/{key}"):
            yield client.delete(address, headers={"x-admin-key": ADMIN})
        # Here the address is that of a key.
        for address in (f"/admin/keys/{key}", f"/admin/keys/{key}/more"):
            yield client.get(address, headers={"x-admin-key": ADMIN})


def open_sockets(url: str, path: str) -> int:
    """Handshakes that are refused and accepted; how many of these."""
    address = url.replace("http", "ws") + path
    accepted = 0
    for key in (GOOD, WRONG, ADMIN):
        shown: list[dict[str, Any]] = [
            {"additional_headers": {"authorization": f"Bearer {key}"}},
            {"subprotocols": [Subprotocol("verbatim"), Subprotocol(f"verbatim.key.{key}")]},
            {"subprotocols": [Subprotocol("token"), Subprotocol(key)]},
        ]
        for options in shown:
            try:
                with connect(f"{address}?api_key={key}", **options) as socket:
                    accepted += 1
                    assert key not in str(socket.subprotocol)
                    socket.send(json.dumps({"api_key": key}))
                    assert key not in str(socket.recv(PATIENCE_S))
            except InvalidStatus as refused:
                assert_silent(str(refused.response))
    return accepted


def say_keys(url: str) -> list[int]:
    """Keys as first messages of the older real-time server's wire; with what it is closed."""
    codes = []
    for key in (GOOD, WRONG, ADMIN):
        with connect(f"{url.replace('http', 'ws')}/ws/transcribe") as socket:
            socket.send(json.dumps({"api_key": key}))
            assert_silent(str(socket.recv(PATIENCE_S)))
            with contextlib.suppress(ConnectionClosed):
                # Once in, a key is a message that makes no sense.
                socket.send(json.dumps({"command": key, "language": key, "api_key": key}))
                socket.send(key)
                while '"error"' not in (told := str(socket.recv(PATIENCE_S))):
                    assert_silent(told)
                assert_silent(told)
            socket.close()
            codes.append(socket.close_code or 0)
    return codes


def send_nonsense(url: str) -> None:
    """What no HTTP library sends."""
    for request in (
        f"GET /?key={GOOD} HTTP/1.1\r\nAuthorization: Bearer {GOOD}\r\n\r\n",
        f"{GOOD}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {GOOD}\x00\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {GOOD}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {GOOD * 5000}\r\n\r\n",
    ):
        with connected(url) as connection, contextlib.suppress(OSError):
            connection.sendall(request.encode())
            assert GOOD.encode() not in connection.recv(65_536)


def test_a_server_at_its_most_talkative(tmp_path: Path) -> None:
    log = tmp_path / "log"
    console = tmp_path / "console"
    settings: dict[str, Any] = {
        "VERBATIM_DATA_DIR": str(tmp_path / "data"),
        "VERBATIM_LOG_LEVEL": "debug",
        "VERBATIM_AUTH": "on",
        "VERBATIM_API_KEY": GOOD,
        "VERBATIM_ADMIN_KEY": ADMIN,
        "VERBATIM_DIALECTS": "openai_rest,openai_realtime,deepgram,native_keys,native_live,"
        "fastwhisper",
    }
    with (
        console.open("w") as stdout,
        fake_server(0, stdout, **settings) as server,
        server.client() as client,
    ):
        made = client.post("/v1/keys", headers={"x-admin-key": ADMIN}, json={"name": "canary"})
        stored = made.json()["key"]
        statuses = set()
        for answer in ask_everywhere(client):
            statuses.add(answer.status_code)
            assert_silent(answer.text + str(answer.headers))
        assert {200, 400, 401, 403, 404, 405} <= statuses
        for headers in in_every_header(stored):
            assert stored not in client.get("/v1/models", headers=headers).text
        for path in ("/v1/live", "/v1/realtime", "/v1/listen"):
            assert open_sockets(server.url, path) == 3
        assert say_keys(server.url) == [1000, 4001, 4001]
        send_nonsense(server.url)
        metrics = client.get("/metrics").text
        server.signal(signal.SIGTERM)
        assert server.exit_status() == 0
        log.write_text("\n".join(map(json.dumps, server.lines)))
    told = log.read_text() + metrics + console.read_text()
    assert told.count('"route"') > 100
    assert all(line.get("level") != "error" for line in server.lines)
    assert_silent(told, *CANARIES, stored, digest_of(stored))


def everything_logged(server: LiveServer) -> str:
    """Log lines, with what was thrown as a handler that shows everything would tell it."""
    told = []
    for line in server.logs:
        error = line.get("exc_info")
        told.append(str(line))
        if isinstance(error, BaseException):
            told += traceback.format_exception(error)
            told.append(repr(error.__cause__))
    return "\n".join(told)


def test_failures_of_ours(tmp_path: Path) -> None:
    async def fail(windows: Any) -> None:
        raise ZeroDivisionError("the cause")

    with live_server(tmp_path, FakeEngine(interruption=fail), auth="on", api_key=GOOD) as server:
        with server.client(headers={"authorization": f"Bearer {GOOD}"}) as client:
            answer = client.post(
                "/v1/audio/transcriptions",
                params={"key": GOOD},
                files={"file": SPEECH.read_bytes()},
            )
        assert answer.status_code == 500
        told = everything_logged(server) + answer.text + str(answer.headers)
    assert "the cause" in told
    assert_silent(told)


def test_failures_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live_server(tmp_path, auth="on", admin_key=ADMIN) as server:
        store = server.context.access._store

        async def broken(digest: str, today: Any) -> None:
            async with store._database.reading() as session:
                # SQLAlchemy's errors show a statement's parameters unless they are told not to.
                failing = text("SELECT :digest, :key FROM a_table_that_is_not_there")
                await session.execute(failing, {"digest": digest, "key": WRONG})

        monkeypatch.setattr(store, "find", broken)
        with server.client() as client:
            answer = client.get("/v1/models", headers={"authorization": f"Bearer {WRONG}"})
            assert answer.status_code == 500
        told = everything_logged(server) + answer.text
    assert OperationalError.__name__ in told
    assert_silent(told)


def test_settings_are_shown_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERBATIM_API_KEY", GOOD)
    monkeypatch.setenv("VERBATIM_ADMIN_KEY", ADMIN)
    monkeypatch.setenv("VERBATIM_DATABASE_URL", f"postgresql://user:{WRONG}@host/database")
    for command in (["settings"], ["settings", "--json"], ["settings", "--markdown"]):
        assert_silent(CliRunner().invoke(app, command).output)
    assert_silent(repr(Settings()) + str(Settings().model_dump()) + Settings().model_dump_json())
    monkeypatch.setenv("VERBATIM_DATABASE_URL", f"nonsense:{WRONG}")
    result = CliRunner().invoke(app, ["keys", "list"])
    assert result.exit_code == 2
    assert "database_url" in result.output
    assert_silent(result.output + repr(result.exception))
