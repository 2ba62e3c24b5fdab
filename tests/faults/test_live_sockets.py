"""Clients of `/v1/live` that do what they should not."""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.live_client import LiveClient
from tests.support.live_server import LiveServer, live_server, wait_until
from tests.support.raw_http import connected
from tests.support.raw_websocket import HANDSHAKE, raw_websocket
from tests.support.spoken import SpokenEngine, spoken
from websockets.frames import Opcode

from verbatim.domain.audio import to_pcm
from verbatim.wire.websocket import SocketLimits

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0)
START = json.dumps({"type": "start", "language": "en"})
MAX_MESSAGE_BYTES = 200_000


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(
        tmp_path_factory.mktemp("server"),
        SpokenEngine(SPEECH),
        live_resume_s=0.0,
        max_message_bytes=MAX_MESSAGE_BYTES,
    ) as server:
        yield server


def sessions(server: LiveServer) -> int:
    return server.context.service.live.load().sessions


def works(server: LiveServer) -> None:
    """Another client is served as if nothing had happened."""
    with LiveClient(server.url) as client:
        client.start(language="en")
        client.play(SPEECH.samples)
        client.say(type="finish")
        list(client.hear_all())
    assert client.finals() == [SPEECH.text]


def test_tiny_messages(server: LiveServer) -> None:
    """A byte in each, so that every sample is cut."""
    data = to_pcm(SPEECH.samples).tobytes()
    with LiveClient(server.url) as client:
        client.start(language="en")
        for byte in data[:4_001]:
            client.socket.send(bytes([byte]))
        client.socket.send(b"")
        client.socket.send(data[4_001:])
        client.say(type="finish")
        told = list(client.hear_all())
    assert client.finals() == [SPEECH.text]
    assert told[-1]["audio_s"] == SPEECH.duration_s


def test_messages_longer_than_the_server_takes(server: LiveServer) -> None:
    with raw_websocket(server.url) as client:
        client.send(START)
        client.send(bytes(MAX_MESSAGE_BYTES + 1))
        assert client.close_code() == 1009
    wait_until(lambda: sessions(server) == 0)


def test_the_pieces_of_a_message_count_together(server: LiveServer) -> None:
    with raw_websocket(server.url) as client:
        client.send(START)
        client.send(bytes(100_000), fin=False)
        client.send(bytes(100_001), Opcode.CONT, fin=False)
        assert client.close_code() == 1009


def test_pieces_without_end(server: LiveServer) -> None:
    """Empty ones: they would cost memory, and never count as bytes."""
    with raw_websocket(server.url) as client:
        client.send(START)
        client.send(b"", fin=False)
        with contextlib.suppress(ConnectionError):
            for _ in range(2_000):
                client.send(b"", Opcode.CONT, fin=False)
        assert client.close_code() in {1009, None}
    wait_until(lambda: sessions(server) == 0)
    works(server)


def test_nothing_is_inflated(server: LiveServer) -> None:
    """Compression is not agreed on, so what comes compressed is an error, whatever it holds."""
    with LiveClient(server.url, compression="deflate") as client:
        assert client.start()["type"] == "ready"
        assert client.socket.protocol.extensions == []
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(100_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    with raw_websocket(server.url, more=offer) as raw:
        raw.send(START)
        raw.send(bomb[:-4], rsv1=True)
        assert raw.close_code() == 1002
    wait_until(lambda: sessions(server) == 0)


@pytest.mark.parametrize("data", [b"\x81\x05hello", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_frame(server: LiveServer, data: bytes) -> None:
    with raw_websocket(server.url) as client:
        client.send(START)
        client.connection.sendall(data)
        assert client.close_code() in {1002, 1007, 1009, None}
    wait_until(lambda: sessions(server) == 0)


def test_text_that_is_not_utf_8(server: LiveServer) -> None:
    with raw_websocket(server.url) as client:
        client.send(b"\xff\xfe{", Opcode.TEXT)
        assert client.close_code() == 1007


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/v1/live?x={'x' * 9_000}", "", 414),
        ("/v1/live", f"X-Long: {'x' * 9_000}\r\n", 431),
        ("/v1/live", "X-Many: x\r\n" * 200, 431),
    ],
)
def test_a_handshake_that_is_too_long_is_answered(
    server: LiveServer, path: str, headers: str, status: int
) -> None:
    with connected(server.url) as connection:
        connection.sendall(HANDSHAKE.format(path=path, host="a", more=headers).encode())
        received = b""
        while data := connection.recv(65_536):
            received += data
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    works(server)


def test_vanishing_in_the_middle_of_speech_frees_the_session(server: LiveServer) -> None:
    with raw_websocket(server.url) as client:
        client.send(START)
        client.send(to_pcm(SPEECH.samples).tobytes()[:50_000])
        wait_until(lambda: sessions(server) == 1)
    gone_s = time.monotonic()
    wait_until(lambda: sessions(server) == 0)
    assert time.monotonic() - gone_s < 5


def test_who_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verbatim.dialects.native_live.routes.START_S", 0.2)
    with live_server(tmp_path, SpokenEngine(SPEECH)) as server, LiveClient(server.url) as client:
        (told,) = client.hear_all()
        assert told["error"]["code"] == "no_start"
        assert client.close is not None
        assert client.close[0] == 1008


def test_who_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """And nobody else has to wait for it."""
    speech = spoken(0.3, " ".join(f"word{n}" for n in range(400)), 0.5)
    limits = {"sockets": SocketLimits(send_s=0.5, close_s=0.2)}
    with (
        live_server(
            tmp_path, SpokenEngine(speech), context_options=limits, live_resume_s=0.0
        ) as server,
        raw_websocket(server.url, receive_bytes=2_048) as client,
    ):
        client.send(json.dumps({"type": "start", "language": "en", "max_utterance_s": 3_000}))
        data = to_pcm(speech.samples).tobytes()
        with contextlib.suppress(OSError):
            for first in range(0, len(data), 16_000):
                client.send(data[first : first + 16_000])
                time.sleep(0.02)
        wait_until(lambda: bool(server.logs))
        assert sessions(server) == 0
        (line,) = server.logs
        assert (line["route"], line["status"]) == ("/v1/live", 1008)
        # The connection goes too, although what waits in it was never taken.
        wait_until(lambda: _is_gone(client.connection))


def _is_gone(connection: object) -> bool:
    try:
        connection.sendall(b"\x89\x80\x00\x00\x00\x00")  # type: ignore[attr-defined]  # a ping
    except OSError:
        return True
    return False
