"""Many clients at once, clients that leave, identical uploads, a full queue."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
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

PATH = "/v1/audio/transcriptions"
CONTENT = SPEECH.read_bytes()
BODY = PART_HEAD + CONTENT + PART_END


async def slow(windows: Any) -> None:
    await asyncio.sleep(0.02)


async def test_fifty_at_once_all_end_and_health_answers_meanwhile(tmp_path: Path) -> None:
    with live_server(
        tmp_path, FakeEngine(lambda window: "Done.", slow), max_running=2, max_waiting=30
    ) as server:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(
            base_url=server.url, timeout=PATIENCE_S, limits=limits
        ) as client:
            posts = [
                asyncio.create_task(
                    client.post(PATH, files={"file": CONTENT}, data={"prompt": str(i)})
                )
                for i in range(50)
            ]
            health_s: list[float] = []
            while not all(post.done() for post in posts):
                started = time.monotonic()
                assert (await client.get("/health")).status_code == 200
                health_s.append(time.monotonic() - started)
                await asyncio.sleep(0.02)
            answers = [post.result() for post in posts]
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) <= {200, 429}
        assert statuses[200] >= 32
        for answer in answers:
            if answer.status_code == 200:
                assert answer.json()["text"] == "Done."
            else:
                assert int(answer.headers["retry-after"]) >= 1
                assert error_of(answer.json())["code"] == "overloaded"
        assert sorted(health_s)[int(0.99 * (len(health_s) - 1))] < 1.0


def test_a_full_queue_refuses_and_takes_work_again(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(
        tmp_path, FakeEngine(lambda window: "x", hold), max_running=1, max_waiting=0
    ) as server:
        with connected(server.url) as connection:
            connection.sendall(upload_head(len(BODY)) + BODY)
            wait_until(lambda: hold.held == 1)
            answer = server.post(prompt="another")
            assert answer.status_code == 429
            hold.release()
            assert read_answer(connection)[0] == 200
        assert server.post(prompt="another").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_work(tmp_path: Path, stream: bool) -> None:
    hold = Hold()
    with live_server(
        tmp_path, FakeEngine(lambda window: "x", hold), context_options={"heartbeat_s": 0.05}
    ) as server:
        path = PATH
        body = BODY
        if stream:
            body = (
                PART_HEAD
                + CONTENT
                + b'\r\n--frontier\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue'
                + PART_END
            )
        with connected(server.url) as connection:
            connection.sendall(upload_head(len(body), path) + body)
            wait_until(lambda: hold.held == 1)
            if stream:
                assert b"transcript.text.delta" in connection.recv(65_536) + connection.recv(65_536)
        wait_until(lambda: hold.cancelled == 1)
        wait_until(lambda: server.context.service.load().running == 0)
        wait_until(lambda: server.spooled() == [])


def test_a_client_that_leaves_while_waiting_leaves_the_queue(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(
            tmp_path, FakeEngine(lambda window: "x", hold), max_running=1, max_waiting=1
        ) as server,
        connected(server.url) as first,
    ):
        first.sendall(upload_head(len(BODY)) + BODY)
        wait_until(lambda: hold.held == 1)
        other = PART_HEAD + CONTENT + b"different" + PART_END
        with connected(server.url) as second:
            second.sendall(upload_head(len(other)) + other)
            wait_until(lambda: server.context.service.load().waiting == 1)
        wait_until(lambda: server.context.service.load().waiting == 0)
        hold.release()
        assert read_answer(first)[0] == 200


def test_identical_uploads_in_flight_are_transcribed_once(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(lambda window: "Once.", hold)) as server:
        with connected(server.url) as first, connected(server.url) as second:
            first.sendall(upload_head(len(BODY)) + BODY)
            wait_until(lambda: hold.held == 1)
            second.sendall(upload_head(len(BODY)) + BODY)
            wait_until(lambda: server.drain.running == 2)
            wait_until(lambda: len(server.spooled()) == 1)
            hold.release()
            for connection in (first, second):
                status, answer = read_answer(connection)
                assert status == 200
                assert b"Once." in answer
        assert len(server.engine.windows) == 1


def test_who_joined_goes_on_when_the_first_leaves(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(lambda window: "Once.", hold)) as server:
        with connected(server.url) as second:
            with connected(server.url) as first:
                first.sendall(upload_head(len(BODY)) + BODY)
                wait_until(lambda: hold.held == 1)
                second.sendall(upload_head(len(BODY)) + BODY)
                in_flight = server.context.service._in_flight
                wait_until(lambda: [work.followers for work in in_flight.values()] == [2])
            wait_until(lambda: server.drain.running == 1)
            hold.release()
            assert read_answer(second)[0] == 200
        assert hold.cancelled == 0


def test_a_time_out_in_the_client_and_its_repeats_leave_nothing_running(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(lambda window: "x", hold)) as server:
        with (
            OpenAI(
                base_url=f"{server.url}/v1", api_key="none", timeout=0.5, max_retries=1
            ) as client,
            pytest.raises(Exception, match="timed out"),
        ):
            client.audio.transcriptions.create(file=SPEECH, model="whisper-1")
        wait_until(server.idle)
        assert hold.cancelled == hold.held


def test_other_routes_answer_while_all_places_are_taken(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(
            tmp_path, FakeEngine(lambda window: "x", hold), max_running=1, max_waiting=0
        ) as server,
        connected(server.url) as connection,
    ):
        connection.sendall(upload_head(len(BODY)) + BODY)
        wait_until(lambda: hold.held == 1)
        with server.client() as client:
            for path in ("/", "/health", "/ready", "/metrics", "/docs", "/v1/models"):
                started = time.monotonic()
                assert client.get(path).status_code == 200
                assert time.monotonic() - started < PATIENCE_S / 4
        hold.release()
        assert read_answer(connection)[0] == 200


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    with live_server(tmp_path) as server, connected(server.url) as connection:
        request = b"GET /v1/models/%b HTTP/1.1\r\nHost: test\r\n\r\n"
        connection.sendall(request % b"whisper-1" + request % b"nothing-of-the-sort")
        assert read_one(connection, server) == 200
        assert read_one(connection, server) == 404


def read_one(connection: Any, server: LiveServer) -> int:
    """Exactly one answer, so that the next one stays unread."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while length:
        length -= len(connection.recv(length))
    return int(head.split(b" ")[1])
