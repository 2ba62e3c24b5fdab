"""Uploads that are too large, broken, slow or cut off; the spool is empty after each of them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

import pytest
from tests.support.live_server import SPEECH, LiveServer, live_server, wait_until
from tests.support.openai_schema import error_of
from tests.support.raw_http import PART_END, PART_HEAD, connected, read_answer, upload_head

from verbatim.domain.errors import StorageFullError
from verbatim.wire.body import Pace
from verbatim.wire.spool import UNPLACED_BYTES, SpoolWriter

PATH = "/v1/audio/transcriptions"
LIMIT_BYTES = 300_000
MIB = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path, max_upload_bytes=LIMIT_BYTES) as server:
        yield server


def error_in(body: bytes) -> dict[str, object]:
    return error_of(json.loads(body))


def test_an_upload_announced_too_large_is_refused_at_once(server: LiveServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(upload_head(10**12) + PART_HEAD)
        status, body = read_answer(connection)
    assert status == 413
    assert error_in(body)["param"] == "file"


def test_an_upload_of_unknown_length_is_refused_when_it_passes_the_limit(
    server: LiveServer,
) -> None:
    chunk = bytes(10_000)
    sent_bytes = 0
    with connected(server.url) as connection:
        connection.sendall(upload_head(None))
        connection.sendall(b"%x\r\n%b\r\n" % (len(PART_HEAD), PART_HEAD))
        connection.settimeout(0.2)
        while sent_bytes < 20 * LIMIT_BYTES:
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            sent_bytes += len(chunk)
            if sent_bytes > LIMIT_BYTES:
                try:
                    status, body = read_answer(connection)
                except TimeoutError:
                    continue
                break
    assert status == 413
    assert error_in(body)["code"] == "file_too_large"
    assert sent_bytes < 10 * LIMIT_BYTES


def test_a_client_that_sends_everything_first_gets_the_refusal_too(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.post(PATH, files={"file": bytes(20 * LIMIT_BYTES)})
        assert answer.status_code == 413
        # The same connection goes on.
        assert client.get("/health").status_code == 200


def test_a_body_without_its_end(server: LiveServer) -> None:
    body = PART_HEAD + SPEECH.read_bytes()
    with connected(server.url) as connection:
        connection.sendall(upload_head(len(body)) + body)
        status, answer = read_answer(connection)
    assert status == 400
    assert "cut off" in str(error_in(answer)["message"])


@pytest.mark.parametrize("length", ["-5", "+5", "five", "0x10", "5, 6"])
def test_impossible_lengths(server: LiveServer, length: str) -> None:
    with connected(server.url) as connection:
        connection.sendall(upload_head(length) + PART_HEAD)
        status, _ = read_answer(connection)
    assert status == 400


def test_a_head_that_never_ends_is_refused(server: LiveServer) -> None:
    status = 0
    with connected(server.url) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(2000):
            connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        status, _ = read_answer(connection)
    # Either the refusal arrived, or the connection was gone before it could be read.
    assert status in {0, 431}
    with server.client() as client:
        assert client.get("/health").status_code == 200


def test_a_client_that_stops_in_mid_upload_is_given_up(tmp_path: Path) -> None:
    with (
        live_server(tmp_path, context_options={"pace": Pace(idle_s=0.2)}) as server,
        connected(server.url) as connection,
    ):
        connection.sendall(upload_head(1_000_000) + PART_HEAD + bytes(100_000))
        status, body = read_answer(connection)
        assert status == 408
        assert error_in(body)["type"] == "invalid_request_error"


@pytest.mark.parametrize("sent_bytes", [0, 100_000, 3 * MIB])
def test_a_client_that_leaves_in_mid_upload_leaves_nothing(tmp_path: Path, sent_bytes: int) -> None:
    with live_server(tmp_path) as server:
        with connected(server.url) as connection:
            connection.sendall(upload_head(100 * MIB) + PART_HEAD + bytes(sent_bytes))
            wait_until(lambda: server.drain.running == 1)
            wait_until(lambda: len(server.spooled()) == (sent_bytes > UNPLACED_BYTES))
        wait_until(lambda: server.spooled() == [])
        assert server.engine.windows == []


def test_a_client_that_resets_in_mid_upload_leaves_nothing(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        with connected(server.url) as connection:
            connection.sendall(upload_head(100 * MIB) + PART_HEAD + bytes(2 * MIB))
            wait_until(lambda: len(server.spooled()) == 1)
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        wait_until(lambda: server.spooled() == [])


def test_file_names_are_not_paths(server: LiveServer, tmp_path: Path) -> None:
    outside = tmp_path / "outside.ogg"
    for name in ("../outside.ogg", str(outside), "..\\outside.ogg", "a\x00b", "a" * 2000):
        with server.client() as client:
            answer = client.post(PATH, files={"file": (name, SPEECH.read_bytes())})
        assert answer.status_code == 200
    assert not outside.exists()


def test_a_full_disk_is_507(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: SpoolWriter, file: FileIO, block: bytearray) -> None:
        raise StorageFullError("The disk is full.")

    monkeypatch.setattr(SpoolWriter, "_append", full)
    answer = server.post()
    assert answer.status_code == 507
    assert error_of(answer.json())["code"] == "storage_full"
    monkeypatch.undo()
    assert server.post().status_code == 200


def test_more_uploads_than_there_is_room_for(tmp_path: Path) -> None:
    with live_server(tmp_path, context_options={"max_files": 1}) as server:
        with connected(server.url) as first:
            first.sendall(upload_head(MIB) + PART_HEAD + bytes(UNPLACED_BYTES))
            wait_until(lambda: len(server.spooled()) == 1)
            answer = server.post()
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
        wait_until(lambda: server.spooled() == [])
        assert server.post().status_code == 200


def test_uploads_that_have_hardly_begun_take_no_places(tmp_path: Path) -> None:
    with live_server(tmp_path, context_options={"max_files": 1}) as server, ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(connected(server.url))
            slow.sendall(upload_head(MIB) + PART_HEAD + bytes(1000))
        wait_until(lambda: server.drain.running == 20)
        assert server.post().status_code == 200
        stack.close()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_large_upload_takes_little_memory(tmp_path: Path) -> None:
    length = 300 * MIB
    block = bytes(MIB)
    with live_server(tmp_path) as server:
        assert server.post().status_code == 200
        before = resident_bytes()
        most = 0
        with connected(server.url) as connection:
            connection.sendall(upload_head(len(PART_HEAD) + length + len(PART_END)) + PART_HEAD)
            for i in range(length // MIB):
                connection.sendall(block)
                if i % 20 == 0:
                    most = max(most, resident_bytes())
            connection.sendall(PART_END)
            status, body = read_answer(connection)
        # Zeros are no audio; they were taken in whole before anybody could tell.
        assert status == 415, body
        assert most - before < 40 * MIB
