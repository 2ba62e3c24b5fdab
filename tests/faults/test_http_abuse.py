"""Requests that are made to hurt, on every route that takes a body: refused in its own words.

After each of them the server is as before: nothing in the spool, nothing running, and the next
request is served.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.error_shapes import message_of
from tests.support.live_server import SPEECH, LiveServer, live_server, wait_until
from tests.support.raw_http import BOUNDARY, PART_END, PART_HEAD, connected, read_answer

from verbatim.engine.fake import FakeEngine

FORMS = (
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/transcripts",
    "/transcribe",
    "/stt/transcribe",
    "/stt/transcribe/",
    "/transcribe/file",
)
BODIES = ("/transcribe/binary", "/v1/listen")
JSONS = (
    ("POST", "/transcribe/base64"),
    ("POST", "/v1/transcripts/render"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/realtime/client_secrets"),
    ("POST", "/v1/realtime/transcription_sessions"),
    ("POST", "/v1/server/models/tiny/load"),
)
UPLOADS = FORMS + BODIES
ADMIN = "an-administrator-s-key"
MARK = "zq-file-name"
NAMES = (
    f"../../{MARK}.ogg",
    f"/etc/{MARK}",
    f"..\\..\\{MARK}.ogg",
    f"{MARK}\x01\x1b[31m\x7f.ogg",
    f"{MARK}\u202egpj.exe",
    f"CON-{MARK}:stream",
    MARK + "x" * 60_000,
)
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, FakeEngine(lambda window: "Yes."), admin_key=ADMIN) as server:
        yield server


@pytest.fixture(autouse=True)
def unharmed(server: LiveServer) -> Iterator[None]:
    yield
    wait_until(server.idle)
    with server.client() as client:
        assert client.get("/health").status_code == 200
    assert not [line for line in server.logs if "exc_info" in line]


def field(name: str, value: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value + b"\r\n"


def post(server: LiveServer, path: str, body: bytes, kind: str = FORM_TYPE) -> tuple[int, Any]:
    with server.client() as client:
        headers = {"content-type": kind, "x-admin-key": ADMIN}
        answer = client.post(path, content=body, headers=headers)
    return answer.status_code, answer.json()


def assert_refused(path: str, status: int, body: Any) -> str:
    assert 400 <= status < 500, (path, status, body)
    said = message_of(path, body)
    assert len(said) < 2000
    assert "Traceback" not in said
    return said


def raw(server: LiveServer, request: bytes) -> tuple[int, bytes]:
    with connected(server.url) as connection:
        connection.sendall(request)
        return read_answer(connection)


@pytest.mark.parametrize("path", FORMS)
class TestForms:
    def test_of_ten_thousand_parts(self, server: LiveServer, path: str) -> None:
        body = b"".join(field(f"f{number}", b"x") for number in range(10_000)) + PART_END
        assert "128 parts" in assert_refused(path, *post(server, path, body))

    def test_whose_parts_say_impossible_lengths(self, server: LiveServer, path: str) -> None:
        """What a part says of its length is passed over: boundaries end it (RFC 7578, 4.8)."""
        for length in ("-1", "99999999999999999999", "x"):
            head = PART_HEAD.replace(b"\r\n\r\n", f"\r\nContent-Length: {length}\r\n\r\n".encode())
            status, body = post(server, path, head + SPEECH.read_bytes() + PART_END)
            assert status == 200, body

    @pytest.mark.parametrize(
        "content",
        [
            field("language", b"\xff\xfe"),
            field("language", b"e\0n"),
            field("language", b"x" * 100_000),
            field("temperature", b"9" * 5_000),
            field("temperature", b"NaN"),
            b"".join(field("prompt", b"x" * 60_000) for _ in range(40)),
            PART_HEAD.replace(b"form-data", b"form-data" * 3000),
            PART_HEAD.replace(b'name="file"', b""),
            PART_HEAD.replace(b"\r\n\r\n", b"\r\nX-A: \0\r\n\r\n"),
            PART_HEAD.replace(b"\r\n", b"\n"),
            b"\0" * 1000,
            b"--" + BOUNDARY.encode() + b"\r\n" * 1000,
        ],
        ids=range(12),
    )
    def test_of_nonsense(self, server: LiveServer, path: str, content: bytes) -> None:
        speech = PART_HEAD + SPEECH.read_bytes() + b"\r\n"
        for body in (content + PART_END, content + speech + PART_END):
            status, told = post(server, path, body)
            # Some fields mean nothing to some dialects, which pass over them.
            if status != 200:
                assert_refused(path, status, told)

    def test_that_are_none(self, server: LiveServer, path: str) -> None:
        for kind in ("application/json", "text/plain", "multipart/form-data", "", "a", "\x7f/\x7f"):
            assert_refused(path, *post(server, path, b"{}", kind))

    def test_with_two_files(self, server: LiveServer, path: str) -> None:
        one = PART_HEAD + SPEECH.read_bytes() + b"\r\n"
        assert_refused(path, *post(server, path, one + one + PART_END))

    def test_with_names_that_are_paths(self, server: LiveServer, path: str, tmp_path: Path) -> None:
        for name in NAMES:
            head = PART_HEAD.replace(b"a.wav", name.encode())
            status, told = post(server, path, head + SPEECH.read_bytes() + PART_END)
            if status != 200:
                assert_refused(path, status, told)
            assert "\x1b" not in json.dumps(told, ensure_ascii=False)
        places = [server.context.spool.folder, *server.context.spool.folder.parents[:2]]
        assert not [file for place in places for file in place.rglob(f"*{MARK}*")]
        assert MARK not in str(server.logs)


@pytest.mark.parametrize("path", UPLOADS)
class TestHeads:
    @pytest.mark.parametrize(
        "framing",
        [
            "Content-Length: -1",
            "Content-Length: 1e3",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 6",
            f"Content-Length: {'9' * 30}",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length: 2\r\nContent-Encoding: gzip",
            "Content-Length : 5",
            "Content-Length: 5\r\nX: a\0b",
            "Content-Length: 5\r\nX: " + "x" * 200_000,
            "Content-Length: 5\r\n" + "\r\n".join(f"X-{n}: y" for n in range(20_000)),
        ],
        ids=range(14),
    )
    def test_that_make_no_sense(self, server: LiveServer, path: str, framing: str) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM_TYPE}\r\n{framing}\r\n\r\n"
        try:
            status, _ = raw(server, head.encode() + b"0\r\n\r\n")
        except ConnectionError:
            status = 0  # gone while the rest of the head was on its way
        assert status == 0 or 400 <= status < 500 or status == 501

    def test_ranges_and_expectations_change_nothing(self, server: LiveServer, path: str) -> None:
        speech = SPEECH.read_bytes()
        body = speech if path in BODIES else PART_HEAD + speech + PART_END
        headers = {
            "content-type": FORM_TYPE if path in FORMS else "audio/ogg",
            "range": "bytes=0-1,5-,-9",
            "if-range": "x",
            "content-range": "bytes 5-9/3",
            "x-forwarded-host": "evil.example",
            "x-http-method-override": "DELETE",
        }
        with server.client() as client:
            answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_no_recording(server: LiveServer, path: str) -> None:
    for body in (b"", b"\0" * 5000, b"{}", b"\xff" * 5000, b"RIFF\xff\xff\xff\xffWAVEfmt "):
        assert_refused(path, *post(server, path, body, "application/octet-stream"))


@pytest.mark.parametrize(("method", "path"), JSONS)
class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 50_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b'{"audio": ' + b"[" * 2000 + b"]" * 2000 + b"}",
            b"\xff\xfe{}",
            b'{"name": "\xff"}',
            b'{"name": "\\ud800"}',
            b'{"name": NaN, "x": 1e999}',
            b'{"keep_alive": ' + b"9" * 5000 + b"}",
            b"null",
            b"",
            b'"' + b"x" * 60_000 + b'"',
            b"\0",
        ],
        ids=range(12),
    )
    def test_that_is_none_or_makes_no_sense(
        self, server: LiveServer, method: str, path: str, body: bytes
    ) -> None:
        status, told = post(server, path, body, "application/json")
        if status >= 400:
            assert_refused(path, status, told)
        assert status < 500

    def test_of_another_type(self, server: LiveServer, method: str, path: str) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", FORM_TYPE):
            assert_refused(path, *post(server, path, b'{"name": "x"}', kind))


def test_base64_that_is_none(server: LiveServer) -> None:
    path = "/transcribe/base64"
    for audio in ("*", "A", "data:;base64,", base64.b64encode(bytes(100)).decode(), "\u0661" * 8):
        body = json.dumps({"audio": audio, "audio_base64": audio}).encode()
        assert_refused(path, *post(server, path, body, "application/json"))
