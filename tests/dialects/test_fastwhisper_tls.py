"""WS and WSS at the same time, in one server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.support.live_server import LiveServer, live_server
from tests.support.older_client import OlderClient
from tests.support.spoken import SpokenEngine, spoken

from verbatim.server.certificate import make_certificate

SENTENCE = "Hello there, my good friends."
SPEECH = spoken(0.5, SENTENCE, 1.0)


@pytest.fixture(name="pair", scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    made = make_certificate(["127.0.0.1"], 1, datetime.now(UTC))
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.certificate)
    key.write_bytes(made.key)
    return cert, key


@pytest.fixture(name="trust")
def _trust(pair: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair[0])


@pytest.fixture(name="server")
def _server(tmp_path: Path, pair: tuple[Path, Path]) -> Iterator[LiveServer]:
    cert, key = pair
    with live_server(
        tmp_path, SpokenEngine(SPEECH), tls_port=0, tls_cert=cert, tls_key=key
    ) as server:
        yield server


def test_clients_of_both_at_the_same_time(server: LiveServer, trust: ssl.SSLContext) -> None:
    with (
        OlderClient(server.url) as plain,
        OlderClient(server.secure_url, ssl=trust) as secure,
    ):
        loads = {plain.hear()["server_load"], secure.hear()["server_load"]}
        assert loads == {"1/200", "2/200"}
        for client in (plain, secure):
            client.order("start", language="en", audio_format="pcm16", silence_threshold=0.5)
            client.hear()
        for client in (plain, secure):
            client.play(SPEECH.samples)
        for client in (plain, secure):
            assert client.hear_until("final")["text"] == SENTENCE
        with httpx.Client(base_url=server.secure_url, verify=trust) as http:
            assert http.get("/health").json()["active_connections"] == 2


def test_who_does_not_trust_it_does_not_connect(server: LiveServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        OlderClient(server.secure_url)


def test_without_encryption_on_the_encrypted_port(server: LiveServer) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(server.secure_url.replace("https", "http") + "/health")


def test_a_large_file_over_wss(server: LiveServer, trust: ssl.SSLContext) -> None:
    with OlderClient(server.secure_url, ssl=trust) as client:
        client.hear()
        client.order("transcribe_file")
        client.hear()
        client.socket.send(bytes(5_000_000))
        client.order("transcribe_file_end")
        assert client.hear()["message"] == "파일 수신 완료 (5000000 bytes). 전사 중..."
        assert client.hear()["type"] == "error"


def test_a_stop_reaches_both(server: LiveServer, trust: ssl.SSLContext) -> None:
    with (
        OlderClient(server.url) as plain,
        OlderClient(server.secure_url, ssl=trust) as secure,
    ):
        plain.hear()
        secure.hear()
        server.drain.begin()
        assert (plain.close_code(), secure.close_code()) == (1001, 1001)
