"""OpenAI's API where callers need keys: through its client, and by hand."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.support.live_server import (
    PATIENCE_S,
    SPEECH,
    Hold,
    LiveServer,
    live_server,
    wait_until,
)
from tests.support.openai_schema import error_of
from tests.support.raw_http import PART_END, PART_HEAD, connected, read_answer, upload_head

from verbatim.engine.fake import FakeEngine

ADMIN = "an administrator's own key"
OWN = "a key of the settings"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
LIMIT = "x-ratelimit-limit-requests"
REMAINING = "x-ratelimit-remaining-requests"
RESET = "x-ratelimit-reset-requests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, auth="on", admin_key=ADMIN, api_key=OWN) as server:
        yield server


def new_key(server: LiveServer, **wish: Any) -> str:
    with server.client(headers={"x-admin-key": ADMIN}) as admin:
        answer = admin.post("/v1/keys", json={"name": "test", **wish})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])


def post(server: LiveServer, key: str | None, **headers: str) -> httpx.Response:
    shown = {} if key is None else {"authorization": f"Bearer {key}"}
    with server.client(headers={**shown, **headers}) as client:
        return client.post(TRANSCRIPTIONS, files={"file": SPEECH.read_bytes()})


@contextmanager
def sdk(server: LiveServer, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def transcribe(client: OpenAI) -> str:
    return client.audio.transcriptions.create(file=SPEECH, model="whisper-1").text


def test_the_client_with_a_key(server: LiveServer) -> None:
    for key in (new_key(server), OWN):
        with sdk(server, key) as client:
            assert transcribe(client)
            assert client.models.list().data


@pytest.mark.parametrize("key", ["none", "sk-" + "0" * 64])
def test_the_client_with_a_wrong_key(server: LiveServer, key: str) -> None:
    with sdk(server, key) as client:
        for call in (lambda: transcribe(client), client.models.list):
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert caught.value.code == "invalid_api_key"
            assert caught.value.response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", TRANSCRIPTIONS),
        ("POST", "/v1/audio/translations"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/whisper-1"),
        ("DELETE", "/v1/models/tiny"),
    ],
)
def test_every_route_asks_for_a_key(server: LiveServer, method: str, path: str) -> None:
    with server.client() as client:
        answer = client.request(method, path)
        assert answer.status_code == 401
        assert error_of(answer.json())["code"] == "missing_api_key"
        # What a key does not allow is told before anything is read.
        wrong = ADMIN if method != "DELETE" else OWN
        answer = client.request(method, path, headers={"x-api-key": wrong})
        assert answer.status_code == 403
        error = error_of(answer.json())
        assert error["code"] == "insufficient_scope"
        assert wrong not in answer.text


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/docs", "/openapi.json"])
def test_what_machines_ask_needs_none(server: LiveServer, path: str) -> None:
    with server.client() as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer {}"),
        ("authorization", "Token {}"),
        ("authorization", "{}"),
        ("x-api-key", "{}"),
        ("x-admin-key", "{}"),
    ],
)
def test_every_header_for_a_key(server: LiveServer, header: tuple[str, str]) -> None:
    key = new_key(server)
    with server.client() as client:
        shown = {header[0]: header[1].format(key)}
        assert client.get("/v1/models", headers=shown).status_code == 200


@pytest.mark.parametrize("place", ["api_key", "key", "token", "access_token", "authorization"])
def test_never_in_the_address(server: LiveServer, place: str) -> None:
    key = new_key(server)
    with server.client() as client:
        answer = client.get("/v1/models", params={place: key})
        assert answer.status_code == 401
        assert key not in answer.text


def test_an_upload_is_not_waited_for(server: LiveServer) -> None:
    """Who may not come in is told so before the file has come."""
    with connected(server.url) as connection:
        connection.sendall(upload_head(length=10_000_000) + PART_HEAD)
        status, body = read_answer(connection)
    assert status == 401
    assert error_of(json.loads(body))["code"] == "missing_api_key"


def test_requests_a_minute(server: LiveServer) -> None:
    key = new_key(server, limits={"requests_per_minute": 2})
    for left in ("1", "0"):
        answer = post(server, key)
        assert answer.status_code == 200
        assert (answer.headers[LIMIT], answer.headers[REMAINING]) == ("2", left)
        assert re.fullmatch(r"\d+(\.\d+)?s|1m0s", answer.headers[RESET])
    refused = post(server, key)
    assert refused.status_code == 429
    error = error_of(refused.json())
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers[REMAINING] == "0"
    # Others are served, and who has no such limit is told of none.
    other = post(server, new_key(server))
    assert other.status_code == 200
    assert LIMIT not in other.headers
    with sdk(server, key) as client, pytest.raises(openai.RateLimitError):
        transcribe(client)


def test_a_limit_holds_for_bad_requests_too(server: LiveServer) -> None:
    key = new_key(server, limits={"requests_per_minute": 2})
    with server.client(headers={"authorization": f"Bearer {key}"}) as client:
        assert client.get("/v1/models/nothing").status_code == 404
        assert client.post(TRANSCRIPTIONS).status_code == 415
        assert client.get("/v1/models").status_code == 429


def test_audio_a_day(server: LiveServer) -> None:
    """The sentence has 2.17 s: it is begun at 0 s and at 2.17 s, and not at 4.34 s."""
    key = new_key(server, limits={"audio_minutes_per_day": 4 / 60})
    for _ in range(2):
        assert post(server, key).status_code == 200
    refused = post(server, key)
    assert refused.status_code == 429
    assert error_of(refused.json())["code"] == "insufficient_quota"
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400


class Posting(threading.Thread):
    def __init__(self, ask: Callable[[], httpx.Response]) -> None:
        super().__init__()
        self._ask = ask
        self.status = 0

    def run(self) -> None:
        self.status = self._ask().status_code


@pytest.mark.parametrize("stream", [False, True])
def test_requests_at_the_same_time(tmp_path: Path, stream: bool) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(interruption=hold), auth="on", admin_key=ADMIN) as server:
        key = new_key(server, limits={"parallel_requests": 1})
        fields = {"stream": "true"} if stream else {}

        def ask() -> httpx.Response:
            with server.client(headers={"authorization": f"Bearer {key}"}) as client:
                return client.post(TRANSCRIPTIONS, files={"file": SPEECH.read_bytes()}, data=fields)

        first = Posting(ask)
        first.start()
        wait_until(lambda: hold.held == 1)
        refused = ask()
        assert refused.status_code == 429
        assert error_of(refused.json())["code"] == "parallel_limit_exceeded"
        hold.release()
        first.join(PATIENCE_S)
        assert first.status == 200
        wait_until(lambda: ask().status_code == 200)


def test_a_client_that_goes_away_frees_its_place(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(interruption=hold), auth="on", admin_key=ADMIN) as server:
        key = new_key(server, limits={"parallel_requests": 1})
        body = PART_HEAD + SPEECH.read_bytes() + PART_END
        head = upload_head(len(body)).replace(
            b"\r\n", f"\r\nAuthorization: Bearer {key}\r\n".encode(), 1
        )
        with connected(server.url) as connection:
            connection.sendall(head + body)
            wait_until(lambda: hold.held == 1)
        wait_until(lambda: hold.cancelled == 1)
        hold.release()
        wait_until(lambda: post(server, key).status_code == 200)


def test_the_log_says_whose_request_it_was(tmp_path: Path) -> None:
    with live_server(tmp_path, auth="on", admin_key=ADMIN) as server:
        key = new_key(server)
        post(server, key)

        def lines() -> list[Any]:
            return [line for line in server.logs if line.get("route") == TRANSCRIPTIONS]

        wait_until(lambda: len(lines()) == 1)
        assert lines()[0]["key"].startswith("key_")


def test_pages_of_other_origins_may_read_the_limits(tmp_path: Path) -> None:
    origin = "https://app.example"
    with live_server(tmp_path, auth="on", admin_key=ADMIN, cors_origins=[origin]) as server:
        answer = post(server, new_key(server), origin=origin)
        exposed = answer.headers["access-control-expose-headers"]
        assert {LIMIT, REMAINING, RESET} <= set(exposed.split(", "))
        with server.client() as client:
            preflight = client.options(
                TRANSCRIPTIONS,
                headers={
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization",
                },
            )
        # Browsers ask without a key.
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()


async def test_many_keys_at_once(server: LiveServer) -> None:
    keys = [new_key(server, limits={"requests_per_minute": 3}) for _ in range(4)]
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client:

        async def ask(key: str) -> tuple[str, int]:
            answer = await client.get("/v1/models", headers={"x-api-key": key})
            return key, answer.status_code

        answers = await asyncio.gather(*(ask(key) for key in keys for _ in range(5)))
    for key in keys:
        statuses = sorted(status for asked, status in answers if asked == key)
        assert statuses == [200] * 3 + [429] * 2
