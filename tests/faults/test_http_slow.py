"""Clients that are slow on purpose: they are given up, and others do not notice them."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.live_server import PATIENCE_S, LiveServer, live_server, wait_until
from tests.support.raw_http import PART_HEAD, connected, read_answer, upload_head

from verbatim.server.http_protocol import PatientHttp
from verbatim.server.serve import allow_descriptors
from verbatim.wire.body import Pace

HEAD = b"GET /health HTTP/1.1\r\nHost: test\r\n"
SLOW_CLIENTS = 300
LONG = "/openapi.json"
"""Its answer, many times over, is more than the sockets hold."""
PIPELINED = 100
FEW = 10
STATUS_LINE = b"HTTP/1.1 200"
HEAD_S = 1.0
"""Long enough for a client that a busy machine keeps from sending what it is about to send."""
STALLED_S = 0.3


@contextmanager
def asking_without_reading(url: str) -> Iterator[socket.socket]:
    """A connection on which many requests were sent; what answers them is left to the test."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        reader.settimeout(PATIENCE_S)
        reader.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % LONG.encode() * PIPELINED)
        yield reader


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setattr(PatientHttp, "head_s", HEAD_S)
    monkeypatch.setattr(PatientHttp, "stalled_s", STALLED_S)
    with live_server(tmp_path) as server:
        yield server


def test_a_head_that_does_not_end_is_given_up(impatient: LiveServer) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(HEAD)
        status, body = read_answer(connection)
    assert status == 408
    assert b"too long" in body


def test_a_head_that_comes_in_drops_has_no_more_time(impatient: LiveServer) -> None:
    began_s = time.monotonic()
    with connected(impatient.url) as connection, pytest.raises((BrokenPipeError, ConnectionError)):
        while time.monotonic() < began_s + PATIENCE_S:
            connection.sendall(b"X")
            time.sleep(0.02)
    assert time.monotonic() < began_s + 5


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(
    impatient: LiveServer,
) -> None:
    with connected(impatient.url) as connection:
        assert connection.recv(100) == b""


def test_a_second_head_has_its_own_time(impatient: LiveServer) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert read_answer(connection)[0] == 200
        # Between requests a connection may be silent for longer than a head may take.
        time.sleep(1.2 * HEAD_S)
        connection.sendall(HEAD + b"\r\n")
        assert read_answer(connection)[0] == 200
        connection.sendall(HEAD)
        assert read_answer(connection)[0] == 408


def test_a_request_that_takes_longer_than_its_head_is_not_touched(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatientHttp, "head_s", HEAD_S)
        with live_server(tmp_path) as server, connected(server.url) as connection:
            body = PART_HEAD + b"\0" * 100
            connection.sendall(upload_head(len(body) + 10))
            for byte in range(len(body)):
                connection.sendall(body[byte : byte + 1])
                time.sleep(1.2 * HEAD_S / len(body))
            assert server.drain.running == 1


def test_a_client_that_does_not_read_its_answers_is_cut_off(
    impatient: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = threading.Event()
    lose = PatientHttp.connection_lost

    def connection_lost(http: PatientHttp, exc: Exception | None) -> None:
        lose(http, exc)
        cut_off.set()

    monkeypatch.setattr(PatientHttp, "connection_lost", connection_lost)
    with asking_without_reading(impatient.url) as reader:
        assert cut_off.wait(PATIENCE_S)
        received = b""
        with suppress(ConnectionError):
            while data := reader.recv(1 << 20):
                received += data
    assert received.count(STATUS_LINE) < PIPELINED


def test_no_answers_are_made_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    def answers(server: LiveServer) -> int:
        return sum(log.get("route") == LONG for log in server.logs)

    with live_server(tmp_path) as server, asking_without_reading(server.url) as reader:
        wait_until(lambda: answers(server) > 0)
        assert server.post().status_code == 200
        wait_until(lambda: server.drain.running == 0)
        assert answers(server) < FEW
        # It begins to read, and with a larger window, for the sake of time.
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        unread, seen = PIPELINED, b""
        while unread:
            seen = seen[1 - len(STATUS_LINE) :] + reader.recv(1 << 20)
            unread -= seen.count(STATUS_LINE)
        wait_until(lambda: answers(server) == PIPELINED)


def test_an_upload_has_an_end(tmp_path: Path) -> None:
    options = {"pace": Pace(longest_s=0.3)}
    with (
        live_server(tmp_path, context_options=options) as server,
        connected(server.url) as connection,
    ):
        connection.sendall(upload_head(1_000_000) + PART_HEAD)
        connection.settimeout(0.02)
        for _ in range(500):
            connection.sendall(bytes(1000))
            try:
                assert connection.recv(1 << 16, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        connection.settimeout(PATIENCE_S)
        assert read_answer(connection)[0] == 408


def test_many_slow_clients_leave_the_server_to_others(tmp_path: Path) -> None:
    allow_descriptors()
    with live_server(tmp_path, max_running=2) as server, ExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            slow = stack.enter_context(connected(server.url))
            slow.sendall(HEAD if number % 2 else upload_head(1_000_000) + PART_HEAD + bytes(900))
        wait_until(lambda: server.drain.running == SLOW_CLIENTS // 2)
        for _ in range(5):
            assert server.post().status_code == 200
        stack.close()


def test_as_many_descriptors_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert allow_descriptors(300) == 300
        assert allow_descriptors(100) == 300, "it never lowers what is allowed"
        if hard != resource.RLIM_INFINITY:
            assert allow_descriptors(hard + 1) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
