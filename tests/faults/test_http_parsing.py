"""Requests as they come over a connection: in pieces, one behind another, or not as HTTP has it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.raw_http import (
    PART_END,
    PART_HEAD,
    connected,
    read_answer,
    read_answers,
    upload_head,
)

from verbatim.engine.fake import FakeEngine
from verbatim.server import serve
from verbatim.server.http_protocol import HEAD_BYTES

HEALTH = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"
READY = b"GET /ready HTTP/1.1\r\nHost: test\r\n\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n"
UPLOAD = PART_HEAD + SPEECH.read_bytes() + PART_END
KEEP_ALIVE_S = 0.3
TOO_LONG = HEAD_BYTES + 1
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def test_requests_behind_each_other_are_answered_in_order(server: LiveServer) -> None:
    with connected(server.url) as connection:
        connection.sendall((HEALTH + NOWHERE + READY) * 5)
        statuses = [status for status, _ in read_answers(connection, 15)]
    assert statuses == [200, 404, 200] * 5


@pytest.mark.parametrize("cut", range(1, len(NOWHERE)))
def test_a_head_may_be_cut_anywhere(server: LiveServer, cut: int) -> None:
    sent = NOWHERE + HEALTH
    with connected(server.url) as connection:
        connection.sendall(sent[:cut])
        # Not waited for: most cuts come as two pieces, and either way the answers are the same.
        connection.sendall(sent[cut:])
        assert [status for status, _ in read_answers(connection, 2)] == [404, 200]


def test_a_head_may_come_byte_by_byte(server: LiveServer) -> None:
    with connected(server.url) as connection:
        for byte in NOWHERE + b"\r\n" + HEALTH:
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        assert [status for status, _ in read_answers(connection, 2)] == [404, 200]


@pytest.mark.parametrize("size", [7, 1000, 100_000])
def test_behind_a_body_in_chunks_comes_the_next_request(server: LiveServer, size: int) -> None:
    sent = upload_head(None) + chunked(UPLOAD, size) + HEALTH
    with connected(server.url) as connection:
        connection.sendall(sent + sent)
        answers = read_answers(connection, 4)
    assert [status for status, _ in answers] == [200] * 4
    assert b'"text"' in answers[0][1]
    assert b"healthy" in answers[1][1]


def test_a_body_that_holds_the_end_of_a_head_is_one_body(server: LiveServer) -> None:
    body = PART_HEAD + b"\r\n\r\n" * 1000 + HEALTH * 10 + PART_END
    for head, sent in ((upload_head(len(body)), body), (upload_head(None), chunked(body, 9))):
        with connected(server.url) as connection:
            connection.sendall(head + sent + HEALTH)
            assert [status for status, _ in read_answers(connection, 2)] == [415, 200]


def test_who_leaves_is_noticed_though_a_request_waits_behind(tmp_path: Path) -> None:
    hold = Hold()
    engine = FakeEngine(lambda window: "x", hold)
    with live_server(tmp_path, engine) as server:
        with connected(server.url) as connection:
            connection.sendall(upload_head(len(UPLOAD)) + UPLOAD + HEALTH * 3)
            wait_until(lambda: hold.held == 1)
        wait_until(lambda: hold.cancelled == 1)
        wait_until(server.idle)


@pytest.mark.parametrize(
    ("head", "status", "said"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400, b"Host"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, b"Host"),
        (b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n", 505, b"HTTP/1.1"),
        (b"GET /health\r\n\r\n", 505, b"HTTP/1.1"),
        (b"FETCH /health HTTP/1.1\r\nHost: a\r\n\r\n", 501, b"method"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 501, b"method"),
        (b"GET / health HTTP/1.1\r\nHost: a\r\n\r\n", 400, b"HTTP"),
        (b"GET /health HTTP/1.1\nHost: a\n\n", 400, b"HTTP"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, b"HTTP"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", 400, b"HTTP"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400, b"HTTP"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", 400, b"HTTP"),
        (POST + b"Content-Length : 5\r\n\r\n", 400, b"HTTP"),
        (POST + b"Content-Length: 5\r\n 6\r\n\r\n", 400, b"HTTP"),
        (
            POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n",
            400,
            b"HTTP",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            b"chunked",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ".ljust(TOO_LONG, b"x"), 431, b"KiB"),
        (b"GET /".ljust(TOO_LONG, b"x"), 431, b"KiB"),
        ((b"GET / HTTP/1.1\r\n" + b"X:y\r\n" * TOO_LONG)[:TOO_LONG], 431, b"KiB"),
    ],
    ids=range(19),
)
def test_what_is_refused_is_told_why(
    server: LiveServer, head: bytes, status: int, said: bytes
) -> None:
    with connected(server.url) as connection:
        connection.sendall(head)
        told, body = read_answer(connection)
        assert told == status
        assert said in body
        assert connection.recv(100) == b""


def test_an_answer_that_was_earned_comes_before_a_refusal(server: LiveServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(HEALTH + b"NONSENSE\r\n\r\n" + HEALTH)
        assert [status for status, _ in read_answers(connection, 2)] == [200, 501]
        assert connection.recv(100) == b""


def test_chunks_that_are_none_end_the_request(server: LiveServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(upload_head(None) + b"%x\r\n%b\r\n" % (len(PART_HEAD), PART_HEAD))
        wait_until(lambda: server.drain.running == 1)
        connection.sendall(b"no number\r\n")
        assert read_answer(connection)[0] == 400
    wait_until(server.idle)


def test_values_are_given_without_the_space_around_them(server: LiveServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(HEALTH[:-2] + b"X-Request-ID: \t mine \t \r\n\r\n")
        head = connection.recv(65_536).partition(b"\r\n\r\n")[0]
    assert b"x-request-id: mine\r\n" in head + b"\r\n"


def test_an_offer_of_http_2_is_passed_over(server: LiveServer) -> None:
    """As of Java's client, which makes it with every first request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"
    upload = upload_head(len(UPLOAD)).removesuffix(b"\r\n") + offer + UPLOAD
    with connected(server.url) as connection:
        connection.sendall(HEALTH.removesuffix(b"\r\n") + offer + upload + HEALTH)
        assert [status for status, _ in read_answers(connection, 3)] == [200] * 3


def test_one_answer_at_a_time_is_made_for_who_does_not_read(server: LiveServer) -> None:
    def answered() -> int:
        return sum(log.get("route") == "/openapi.json" for log in server.logs)

    before = answered()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        reader.sendall(HEALTH.replace(b"/health", b"/openapi.json") * 3)
        wait_until(lambda: answered() > before)
        time.sleep(0.2)
        assert answered() == before + 1


def test_the_rest_of_a_body_that_was_refused_keeps_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "KEEP_ALIVE_S", KEEP_ALIVE_S)
    with live_server(tmp_path) as server, connected(server.url) as connection:
        connection.sendall(upload_head(1_000_000, "/nowhere"))
        assert read_answer(connection)[0] == 404
        began_s = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionError)):
            while time.monotonic() < began_s + 30:
                connection.sendall(b"x")
                time.sleep(0.02)
