"""Clients of the Wyoming port that do what they should not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.live_server import LiveServer, live_server, wait_until
from tests.support.spoken import SpokenEngine, spoken
from tests.support.wyoming_client import wyoming_client

from verbatim.dialects import wyoming
from verbatim.domain.audio import to_pcm
from verbatim.server import serve
from verbatim.wire.context import Context
from verbatim.wire.tcp import TcpDialect, TcpLimits

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0)
START = b'{"type":"audio-start","data":{"rate":16000,"width":2,"channels":1}}\n'
STOP = b'{"type":"audio-stop"}\n'
DESCRIBE = b'{"type":"describe"}\n'
TIMEOUT_S = 60.0


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, SpokenEngine(SPEECH), wyoming_port=0) as server:
        yield server


@contextlib.contextmanager
def connected(server: LiveServer, receive_bytes: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(TIMEOUT_S)
        connection.connect(("127.0.0.1", server.port_of("wyoming")))
        yield connection


def told(connection: socket.socket) -> list[dict[str, Any]]:
    """All that comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    events = []
    while received:
        line, _, received = received.partition(b"\n")
        head = json.loads(line)
        size = head.get("data_length", 0)
        events.append({"type": head["type"], **json.loads(received[:size] or b"{}")})
        received = received[size:]
    return events


def chunk_of(data: bytes, **more: object) -> bytes:
    head = {
        "type": "audio-chunk",
        "data": {"rate": 16_000, "width": 2, "channels": 1},
        "payload_length": len(data),
    }
    return json.dumps(head | more).encode() + b"\n" + data


def sessions(server: LiveServer) -> int:
    return server.context.service.live.load().sessions


async def works(server: LiveServer) -> None:
    async with wyoming_client(server.port_of("wyoming")) as client:
        assert (await client.transcribe(SPEECH.samples)).text == SPEECH.text


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "invalid_event"),
        (b"\x16\x03\x01\x02\x00\x01\x00\n", "invalid_event"),
        (b"\n", "invalid_event"),
        (b"[]\n", "invalid_event"),
        (b"[" * 60_000 + b"\n", "invalid_event"),
        (b"{}\n", "invalid_event"),
        # Half of a surrogate pair cannot be sent back.
        (b'{"type":"ping","data":{"text":"\\ud800"}}\n', "invalid_event"),
        (b'{"type":5}\n', "invalid_event"),
        (b'{"type":"describe","data":[1]}\n', "invalid_event"),
        (b'{"type":"describe","data_length":-1}\n', "invalid_event"),
        (b'{"type":"describe","data_length":1.5}\n', "invalid_event"),
        (b'{"type":"describe","data_length":"5"}\n', "invalid_event"),
        (b'{"type":"describe","data_length":true}\n', "invalid_event"),
        (b'{"type":"describe","data_length":3}\n\xff\xfe\xfd', "invalid_event"),
        (b'{"type":"describe","data_length":99999999999}\n', "message_too_large"),
        (b'{"type":"audio-chunk","payload_length":99999999999}\n', "message_too_large"),
        (b"x" * 200_000, "message_too_large"),
        (b'{"type":"' + b"x" * 200_000, "message_too_large"),
    ],
)
def test_what_is_no_event(server: LiveServer, sent: bytes, code: str) -> None:
    with connected(server) as connection:
        connection.sendall(sent)
        (error,) = told(connection)
    assert (error["type"], error["code"]) == ("error", code)
    assert error["text"]


def test_an_error_arrives_though_more_is_sent(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(START + chunk_of(b"abc"))
        with contextlib.suppress(OSError):
            for _ in range(20):
                connection.sendall(chunk_of(bytes(32_000)))
        connection.shutdown(socket.SHUT_WR)
        assert [event["type"] for event in told(connection)] == ["error"]


async def test_a_byte_at_a_time(server: LiveServer) -> None:
    data = to_pcm(SPEECH.samples).tobytes()
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in START + chunk_of(data[:100]):
            connection.sendall(bytes([byte]))
        connection.sendall(chunk_of(data[100:]) + STOP)
        connection.shutdown(socket.SHUT_WR)
        events = told(connection)
    (whole,) = (event for event in events if event["type"] == "transcript")
    assert whole["text"] == SPEECH.text


def test_many_empty_chunks(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(START + chunk_of(b"") * 2_000 + STOP)
        connection.shutdown(socket.SHUT_WR)
        assert told(connection)[-1]["type"] == "transcript-stop"


@pytest.mark.parametrize("cut", [b'{"type":"audio-', chunk_of(bytes(1_000))[:-500]])
def test_gone_in_the_middle_of_an_event(server: LiveServer, cut: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(START + chunk_of(bytes(3_200)))
        wait_until(lambda: sessions(server) == 1)
        connection.sendall(cut)
    wait_until(lambda: sessions(server) == 0)


async def test_gone_without_a_word(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(START + chunk_of(to_pcm(SPEECH.samples).tobytes()))
        wait_until(lambda: sessions(server) == 1)
        # A reset instead of an end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: sessions(server) == 0)
    await works(server)


def with_limits(monkeypatch: pytest.MonkeyPatch, most: int = 100, **limits: Any) -> None:
    """Serve with other limits than the real ones, which take too long for a test."""

    def dialect(context: Context) -> TcpDialect | None:
        made = wyoming.dialect(context)
        assert made is not None
        return replace(made, max_connections=most, limits=replace(TcpLimits(), **limits))

    monkeypatch.setattr(serve, "TCP_DIALECTS", (dialect,))


def test_what_was_announced_and_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_limits(monkeypatch, body_s=0.3)
    with (
        live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0) as server,
        connected(server) as connection,
    ):
        connection.sendall(chunk_of(bytes(1_000))[:-1])
        (error,) = told(connection)
        assert "1000 bytes were announced" in error["text"]


def test_who_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verbatim.dialects.wyoming.service.IDLE_S", 0.3)
    with (
        live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0) as server,
        connected(server) as silent,
        connected(server) as slow,
    ):
        slow.sendall(b'{"type"')
        assert told(silent) == []
        assert told(slow) == []


def test_so_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, most=3)
    with (
        live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0) as server,
        contextlib.ExitStack() as stack,
    ):
        held = [stack.enter_context(connected(server)) for _ in range(3)]
        for connection in held:
            connection.sendall(DESCRIBE)
            assert connection.recv(10)
        with connected(server) as more:
            assert told(more) == []
        held[0].close()
        wait_until(lambda: answers(server))


def answers(server: LiveServer) -> bool:
    with connected(server) as connection, contextlib.suppress(OSError):
        connection.sendall(DESCRIBE)
        return bool(connection.recv(10))
    return False


def test_who_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With answers it asked for itself: as many as fill every buffer on the way."""
    with_limits(monkeypatch, send_s=0.5, close_s=0.2)
    with (
        live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0) as server,
        connected(server, receive_bytes=2_048) as connection,
    ):
        gone = threading.Event()

        def ask() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(DESCRIBE * 1_000)
            gone.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert gone.wait(TIMEOUT_S)
        asking.join()
        # And nobody else had to wait for it.
        began_s = time.monotonic()
        assert answers(server)
        assert time.monotonic() - began_s < 5


def test_no_event_says_more_than_it_should(server: LiveServer) -> None:
    """What is told of errors names no file and no line of ours."""
    with connected(server) as connection:
        connection.sendall(b'{"type":"transcribe","data":{"name":"../../etc/passwd"}}\n' + START)
        (error,) = told(connection)
    assert error["type"] == "error"
    assert not re.search(r"\.py|Traceback", error["text"])
