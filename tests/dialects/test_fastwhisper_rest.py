"""The older real-time server's REST routes, request by request as its clients send them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.older_client import OlderClient

from verbatim.engine import hardware
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.hardware import Gpu
from verbatim.settings import MIB

SAID = "Hello there."
ADMIN = {"X-Admin-Key": "boss"}
KEY = "sk-" + "ab" * 24
COUNTERS = {
    "active_connections",
    "max_connections",
    "total_connections_served",
    "total_transcriptions",
    "uptime_seconds",
    "uptime_formatted",
}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    engine = FakeEngine(lambda window: SAID)
    with live_server(tmp_path_factory.mktemp("open"), engine) as server:
        yield server


@pytest.fixture(name="closed", scope="module")
def _closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    engine = FakeEngine(lambda window: SAID)
    folder = tmp_path_factory.mktemp("closed")
    with live_server(folder, engine, auth="on", api_key=KEY, admin_key="boss") as server:
        yield server


def ask(server: LiveServer, method: str, path: str, **options: Any) -> httpx.Response:
    with server.client() as client:
        answer = client.request(method, path, **options)
    described(server, method, answer)
    return answer


def described(server: LiveServer, method: str, answer: httpx.Response) -> None:
    """The answer is what the API's description says."""
    with server.client() as client:
        description = client.get("/openapi.json").json()
    path = re.sub(r"^(/admin/keys)/(?!generate$).*", r"\1/{key}", answer.request.url.path)
    responses = description["paths"][path][method.lower()]["responses"]
    status = str(answer.status_code)
    entry = responses.get(status) or responses[f"{status[0]}XX"]
    schema = entry["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": description["components"]})


def detail(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    text: str = answer.json()["detail"]
    return text


def check_result(body: dict[str, Any]) -> None:
    assert set(body) == {
        "success",
        "text",
        "language",
        "language_probability",
        "duration",
        "segments",
    }
    assert body["success"] is True
    assert body["text"] == SAID
    assert body["language"] == "en"
    assert body["language_probability"] == 1.0
    assert body["duration"] == pytest.approx(2.17, abs=0.05)
    (segment,) = body["segments"]
    assert set(segment) == {"start", "end", "text", "confidence"}
    assert segment["text"] == SAID
    assert segment["confidence"] == -0.1
    assert segment["start"] == round(segment["start"], 2)
    assert 0 <= segment["start"] < segment["end"] <= body["duration"]


def transcribe(server: LiveServer, headers: Any = None, **fields: Any) -> httpx.Response:
    files = {"file": ("speech.ogg", SPEECH.read_bytes(), "audio/ogg")}
    return ask(server, "POST", "/transcribe", files=files, data=fields, headers=headers)


class TestTranscribe:
    def test_a_file(self, server: LiveServer) -> None:
        check_result(transcribe(server, language="en").json())

    @pytest.mark.parametrize("fields", [{}, {"language": ""}, {"language": "auto"}])
    def test_no_language(self, server: LiveServer, fields: dict[str, str]) -> None:
        check_result(transcribe(server, **fields).json())
        assert server.engine.windows[-1].options.language is None

    @pytest.mark.parametrize("wanted", ["true", "false", "1", "0"])
    def test_voxscribe_s_fields(self, server: LiveServer, wanted: str) -> None:
        # The segments are always there; its clients look for text, language and segments.
        answer = transcribe(
            server, model="verbatim-demo", language="en", task="translate", return_segments=wanted
        )
        check_result(answer.json())
        assert server.engine.windows[-1].options.task == "translate"

    def test_fields_of_our_own(self, server: LiveServer) -> None:
        transcribe(server, beam_size="2", prompt="Kim", word_timestamps="true")
        options = server.engine.windows[-1].options
        assert (options.beam_size, options.initial_prompt) == (2, "Kim")

    def test_an_empty_file(self, server: LiveServer) -> None:
        answer = ask(server, "POST", "/transcribe", files={"file": ("a.wav", b"")})
        assert detail(answer, 400) == "빈 파일입니다."

    @pytest.mark.parametrize(
        "fields",
        [
            {"task": "sing"},
            {"model": "no-such-model"},
            {"language": "Klingon"},
            {"return_segments": "maybe"},
        ],
    )
    def test_fields_that_cannot_be(self, server: LiveServer, fields: dict[str, str]) -> None:
        assert detail(transcribe(server, **fields), 400)
        assert server.spooled() == []

    def test_what_is_no_audio(self, server: LiveServer) -> None:
        answer = ask(server, "POST", "/transcribe", files={"file": ("notes.txt", b"Text. " * 99)})
        assert detail(answer, 400)

    def test_no_file(self, server: LiveServer) -> None:
        files = {"other": ("a.wav", b"RIFF")}
        assert "file" in detail(ask(server, "POST", "/transcribe", files=files), 400)
        answer = ask(server, "POST", "/transcribe", json={"file": "x"})
        assert "multipart/form-data" in detail(answer, 400)

    def test_a_large_file(self, tmp_path: Path) -> None:
        with live_server(tmp_path, max_upload_bytes=2 * 1024 * 1024) as server:
            files = {"file": ("a.wav", bytes(2 * 1024 * 1024 + 1))}
            told = detail(ask(server, "POST", "/transcribe", files=files), 413)
            assert told == "파일이 너무 큽니다. 최대 2MB"
            coded = base64.b64encode(bytes(2 * 1024 * 1024 + 80_000)).decode()
            answer = ask(server, "POST", "/transcribe/base64", json={"audio": coded})
            assert detail(answer, 413) == "파일이 너무 큽니다. 최대 2MB"
            assert server.spooled() == []

    def test_a_full_queue(self, tmp_path: Path) -> None:
        hold = Hold()
        with (
            live_server(
                tmp_path, FakeEngine(interruption=hold), max_running=1, max_waiting=0
            ) as server,
            OlderClient(server.url) as client,
        ):
            client.order("transcribe_file", language="en")
            client.socket.send(SPEECH.read_bytes())
            client.order("transcribe_file_end")
            wait_until(lambda: hold.held == 1)
            stats = ask(server, "GET", "/stats").json()
            assert stats["active_transcriptions"] == 1
            assert stats["max_concurrent_transcriptions"] == 1
            answer = transcribe(server)
            assert detail(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
            hold.release()
            client.hear_until("file_result")

    def test_other_addresses(self, server: LiveServer) -> None:
        with server.client() as client:
            assert client.get("/transcribe").json() == {"detail": "Method Not Allowed"}
            assert client.get("/admin/keys/sk-12/34").json() == {"detail": "Not Found"}


class TestBase64:
    def send(self, server: LiveServer, **body: Any) -> httpx.Response:
        return ask(server, "POST", "/transcribe/base64", json=body)

    @pytest.mark.parametrize("before", ["", "data:audio/ogg;base64,", " \n"])
    def test_a_file(self, server: LiveServer, before: str) -> None:
        audio = before + base64.encodebytes(SPEECH.read_bytes()).decode()
        check_result(self.send(server, audio=audio, language="en").json())
        assert server.engine.windows[-1].options.language == "en"
        assert server.spooled() == []

    @pytest.mark.parametrize("body", [{}, {"audio": ""}, {"audio": None}, {"language": "en"}])
    def test_no_audio(self, server: LiveServer, body: dict[str, Any]) -> None:
        assert detail(self.send(server, **body), 400) == "audio 필드가 필요합니다."

    @pytest.mark.parametrize(
        "audio", ["a", "%%%%", "한국어", "YWJj=YWJj", "data:audio/ogg;base64,!"]
    )
    def test_no_base64(self, server: LiveServer, audio: str) -> None:
        assert detail(self.send(server, audio=audio), 400) == "잘못된 Base64 형식입니다."

    @pytest.mark.parametrize("audio", ["    ", "data:audio/wav;base64,", "data:"])
    def test_nothing_in_it(self, server: LiveServer, audio: str) -> None:
        assert detail(self.send(server, audio=audio), 400) == "빈 파일입니다."

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"audio": 5}', b"\xff", b"[" * 9999])
    def test_no_json(self, server: LiveServer, body: bytes) -> None:
        headers = {"content-type": "application/json"}
        answer = ask(server, "POST", "/transcribe/base64", content=body, headers=headers)
        assert detail(answer, 400)
        assert server.spooled() == []

    def test_another_type(self, server: LiveServer) -> None:
        body = {"audio": base64.b64encode(SPEECH.read_bytes()).decode()}
        assert "application/json" in detail(
            ask(server, "POST", "/transcribe/base64", data=body), 400
        )

    def test_no_audio_file(self, server: LiveServer) -> None:
        assert detail(self.send(server, audio=base64.b64encode(b"Text. " * 99).decode()), 400)


class TestKeys:
    PATHS = (("POST", "/transcribe"), ("POST", "/transcribe/base64"), ("GET", "/stats"))

    @pytest.mark.parametrize(("method", "path"), PATHS)
    def test_no_key(self, closed: LiveServer, method: str, path: str) -> None:
        told = detail(ask(closed, method, path), 401)
        assert told == "API 키가 필요합니다. 'X-API-Key' 헤더를 포함해주세요."

    @pytest.mark.parametrize(("method", "path"), PATHS)
    def test_a_wrong_key(self, closed: LiveServer, method: str, path: str) -> None:
        answer = ask(closed, method, path, headers={"X-API-Key": "sk-wrong"})
        assert detail(answer, 403) == "유효하지 않은 API 키입니다."

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("Basic YTpi", "缺少认证令牌"),
            ("Bearer", "缺少认证令牌"),
            ("Bearer wrong", "认证令牌无效"),
            ("wrong", "认证令牌无效"),
        ],
    )
    def test_voxscribe_s_words(self, closed: LiveServer, value: str, told: str) -> None:
        answer = ask(closed, "POST", "/transcribe", headers={"Authorization": value})
        assert detail(answer, 401) == told
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "headers",
        [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": KEY}],
    )
    def test_a_good_key(self, closed: LiveServer, headers: dict[str, str]) -> None:
        check_result(transcribe(closed, headers).json())
        assert ask(closed, "GET", "/stats", headers=headers).status_code == 200

    def test_a_key_without_the_right(self, closed: LiveServer) -> None:
        answer = ask(closed, "GET", "/stats", headers={"X-API-Key": "boss"})
        assert "scope" in detail(answer, 403)


class TestAdministration:
    def test_the_life_of_a_key(self, closed: LiveServer) -> None:
        made = ask(closed, "POST", "/admin/keys/generate?name=front+desk", headers=ADMIN).json()
        assert set(made) == {"api_key", "name", "message"}
        assert re.fullmatch(r"sk-[0-9a-f]{48}", made["api_key"])
        assert made["name"] == "front desk"
        assert made["message"] == "API 키가 생성되었습니다. 안전하게 보관하세요."
        key: str = made["api_key"]

        check_result(transcribe(closed, {"X-API-Key": key}).json())
        listed = ask(closed, "GET", "/admin/keys", headers=ADMIN).json()
        assert set(listed) == {"keys", "total"}
        assert listed["total"] == len(listed["keys"])
        (entry,) = (e for e in listed["keys"] if e["name"] == "front desk")
        assert set(entry) == {"key_preview", "name", "created_at", "last_used", "request_count"}
        assert entry["key_preview"] == f"{key[:8]}...{key[-4:]}"
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", entry["created_at"])

        gone = ask(closed, "DELETE", f"/admin/keys/{key}", headers=ADMIN)
        assert gone.json() == {"message": "API 키가 삭제되었습니다."}
        again = ask(closed, "DELETE", f"/admin/keys/{key}", headers=ADMIN)
        assert detail(again, 404) == "해당 API 키를 찾을 수 없습니다."
        refused = transcribe(closed, {"X-API-Key": key})
        assert detail(refused, 403) == "유효하지 않은 API 키입니다."
        assert key not in str(closed.logs)

    def test_a_key_without_a_name(self, closed: LiveServer) -> None:
        made = ask(closed, "POST", "/admin/keys/generate", headers=ADMIN).json()
        assert made["name"] == "default"
        ask(closed, "DELETE", f"/admin/keys/{made['api_key']}", headers=ADMIN)

    def test_a_name_that_cannot_be(self, closed: LiveServer) -> None:
        answer = ask(closed, "POST", "/admin/keys/generate?name=%00", headers=ADMIN)
        assert "name" in detail(answer, 400)

    @pytest.mark.parametrize("key", ["sk-unknown", "%00", "%ED%A0%80", "x" * 600, "한국어"])
    def test_a_key_that_is_none(self, closed: LiveServer, key: str) -> None:
        answer = ask(closed, "DELETE", f"/admin/keys/{key}", headers=ADMIN)
        assert detail(answer, 404) == "해당 API 키를 찾을 수 없습니다."

    @pytest.mark.parametrize("headers", [{}, {"X-Admin-Key": "x"}, {"X-Admin-Key": KEY}])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/admin/keys/generate?name=a"),
            ("GET", "/admin/keys"),
            ("DELETE", "/admin/keys/sk-1"),
        ],
    )
    def test_others(
        self,
        closed: LiveServer,
        server: LiveServer,
        method: str,
        path: str,
        headers: dict[str, str],
    ) -> None:
        # Also on a server that asks nobody for a key.
        for each in (closed, server):
            answer = ask(each, method, path, headers=headers)
            assert detail(answer, 403) == "관리자 키가 유효하지 않습니다."


class TestStatus:
    def test_the_root(self, closed: LiveServer) -> None:
        transcribe(closed, {"X-API-Key": KEY})
        body = ask(closed, "GET", "/").json()
        assert {"status", "model", "device", "compute_type", "auth_enabled", "message"} <= set(body)
        assert (body["status"], body["auth_enabled"]) == ("running", True)
        assert (body["model"], body["device"], body["compute_type"]) == ("fake", "cpu", "float32")
        assert body["connections"] == "0/200"
        assert re.fullmatch(r"\d+:\d\d:\d\d", body["uptime"])
        # Those of Whisper Local Server, beside them.
        assert {"version", "loaded_models", "supported_models"} <= set(body)

    def test_the_root_of_an_open_server(self, server: LiveServer) -> None:
        assert ask(server, "GET", "/").json()["auth_enabled"] is False

    def test_health(self, server: LiveServer) -> None:
        transcribe(server)
        body = ask(server, "GET", "/health").json()
        assert body["status"] == "healthy"
        assert set(body) >= COUNTERS | {"model_loaded", "model", "device", "loaded_models"}
        assert (body["model_loaded"], body["model"], body["device"]) == (True, "fake", "cpu")
        assert body["max_connections"] == 200
        assert not any(name.startswith("gpu_") for name in body)

    def test_a_gpu(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cards = (Gpu("H100", 80 * MIB), Gpu("H200", 141 * MIB, 3 * MIB // 2))
        monkeypatch.setattr(hardware, "_gpus", lambda: cards)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        on_second = replace(FAKE_DESCRIPTION, device="cuda", device_indexes=(1,))
        with live_server(tmp_path, FakeEngine(description=on_second)) as server:
            assert "gpu_name" not in ask(server, "GET", "/health").json()
            transcribe(server)
            body = ask(server, "GET", "/health").json()
            assert (body["device"], body["gpu_name"]) == ("cuda", "H200")
            assert body["gpu_memory_allocated_mb"] == body["gpu_memory_reserved_mb"] == 1.5

    def test_stats(self, tmp_path: Path) -> None:
        with live_server(tmp_path, FakeEngine(lambda window: SAID), max_running=7) as server:
            before = ask(server, "GET", "/stats").json()
            assert set(before) >= COUNTERS | {
                "max_concurrent_transcriptions",
                "active_transcriptions",
                "connections_detail",
            }
            assert before["connections_detail"] == []
            assert before["max_concurrent_transcriptions"] == 7
            transcribe(server)
            with OlderClient(server.url) as client:
                client.hear()
                client.order("transcribe_file")
                client.socket.send(SPEECH.read_bytes())
                client.order("transcribe_file_end")
                client.hear_until("file_result")
                during = ask(server, "GET", "/stats").json()
                assert ask(server, "GET", "/").json()["connections"] == "1/200"
            (detail,) = during["connections_detail"]
            assert set(detail) == {
                "client_id",
                "client_info",
                "connected_duration",
                "transcription_count",
            }
            assert re.fullmatch(r"127\.0\.0\.1:\d+", detail["client_info"])
            assert detail["transcription_count"] == 1
            assert detail["connected_duration"] >= 0
            assert during["active_connections"] == 1
            assert during["total_connections_served"] == 1
            assert during["total_transcriptions"] == 2
            assert during["uptime_seconds"] >= before["uptime_seconds"]
            wait_until(lambda: ask(server, "GET", "/stats").json()["active_connections"] == 0)
            assert ask(server, "GET", "/stats").json()["total_connections_served"] == 1

    def test_without_the_dialect_its_fields_are_gone(self, tmp_path: Path) -> None:
        with live_server(tmp_path, dialects=["openai_rest"]) as server:
            assert "connections" not in ask(server, "GET", "/").json()
            assert "max_connections" not in ask(server, "GET", "/health").json()
