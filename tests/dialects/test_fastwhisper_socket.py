"""`/ws/transcribe` as the older real-time server's clients know it."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.live_server import Hold, LiveServer, live_server, wait_until
from tests.support.older_client import OlderClient
from tests.support.spoken import SpokenEngine, spoken
from tests.support.synthetic_voice import silence
from websockets.exceptions import ConnectionClosed, InvalidStatus

from verbatim.dialects.fastwhisper import routes
from verbatim.dialects.fastwhisper.socket import AUTH_S, SocketRoute
from verbatim.domain.audio import Samples, to_pcm
from verbatim.domain.errors import InternalError
from verbatim.engine.fake import FakeEngine
from verbatim.wire.body import Pace

SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
SPEECH = spoken(0.5, SENTENCES[0], 1.2, SENTENCES[1], 1.0)
STARTED = "녹음 시작됨 (언어: en, 형식: pcm16, 침묵: 0.5초)"
STOPPED = {"type": "status", "message": "녹음 중지됨"}
CONNECTED = {
    "type": "connected",
    "message": "서버에 연결되었습니다",
    "model": "fake",
    "device": "cpu",
    "server_load": "1/200",
}
FILE_MODE = "파일 전사 모드 시작 (언어: {}). 오디오 파일을 전송하세요."
NO_FILE = "전송된 파일이 없습니다. transcribe_file 명령 후 파일을 전송하세요."


def wav(samples: Samples) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_pcm(samples).tobytes())
    return held.getvalue()


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        server.post()  # loads the model, as the start of a real server does
        yield server


@pytest.fixture(name="client")
def _client(server: LiveServer) -> Iterator[OlderClient]:
    wait_until(server.idle)
    with OlderClient(server.url) as client:
        assert client.hear() == CONNECTED
        yield client


def start(client: OlderClient, **options: Any) -> dict[str, Any]:
    said = {"language": "en", "audio_format": "pcm16", "silence_threshold": 0.5, **options}
    client.order("start", **said)
    return client.hear()


class TestRecording:
    def test_sentences_end_by_silence(self, client: OlderClient) -> None:
        assert start(client) == {"type": "status", "message": STARTED}
        client.play(SPEECH.samples)
        assert client.hear_until("final") == {
            "type": "final",
            "text": SENTENCES[0],
            "language": "en",
        }
        assert client.hear_until("final")["text"] == SENTENCES[1]
        client.order("stop")
        assert client.hear() == STOPPED
        told = [message for message in client.messages if message["type"] == "partial"]
        assert told
        for message in told:
            assert set(message) == {"type", "text", "language", "duration"}
            assert message["language"] == "en"
            assert 0 < message["duration"] < SPEECH.duration_s

    def test_partials_are_the_sentence_so_far(self, client: OlderClient) -> None:
        start(client, silence_threshold=5)
        client.play(SPEECH.samples[: round(3.0 * 16_000)])
        # A slow machine looks once at what came at once, so the microphone stays on for a while.
        for _ in range(40):
            client.play(silence(0.1))
            with suppress(TimeoutError):
                while client.hear(timeout_s=1.0)["type"] != "partial":
                    pass
            # Not the last second of it.
            if any(text.startswith("Hello there, my good") for text in client.texts("partial")):
                return
        raise AssertionError(f"no such partial among {client.texts('partial')}")

    def test_what_is_open_ends_by_stop(self, client: OlderClient) -> None:
        start(client, silence_threshold=5)
        client.play(SPEECH.samples[: round(3.0 * 16_000)])
        client.order("stop")
        final = client.hear_until("final")
        assert final["text"] == SENTENCES[0]
        assert client.hear() == STOPPED

    def test_a_longer_silence_joins_sentences(self, client: OlderClient) -> None:
        start(client, silence_threshold=3.0)
        client.play(SPEECH.samples)
        client.order("stop")
        assert client.hear_until("final")["text"] == " ".join(SENTENCES)
        assert client.hear() == STOPPED

    @pytest.mark.parametrize(("said", "kind"), [("float32", "<f4"), ("int16", "<i2")])
    def test_formats(self, client: OlderClient, said: str, kind: str) -> None:
        assert start(client, audio_format=said)["message"].startswith(
            f"녹음 시작됨 (언어: en, 형식: {said}, "
        )
        samples = SPEECH.samples if kind == "<f4" else to_pcm(SPEECH.samples)
        client.socket.send(samples.astype(kind).tobytes())
        client.order("stop")
        client.hear_until("status")
        assert client.texts("final") == SENTENCES

    @pytest.mark.parametrize("kind", ["<f4", "<i2"])
    def test_the_format_is_told_by_looking(self, client: OlderClient, kind: str) -> None:
        start(client, audio_format="auto")
        samples = SPEECH.samples if kind == "<f4" else to_pcm(SPEECH.samples)
        data = samples.astype(kind).tobytes()
        for first in range(0, len(data), 32_000):
            client.socket.send(data[first : first + 32_000])
        client.order("stop")
        client.hear_until("status")
        assert client.texts("final") == SENTENCES

    def test_defaults(self, client: OlderClient) -> None:
        client.order("start")
        assert client.hear()["message"] == "녹음 시작됨 (언어: 자동 감지, 형식: auto, 침묵: 2.0초)"
        client.play(SPEECH.samples)
        client.order("stop")
        final = client.hear_until("final")
        assert (final["text"], final["language"]) == (" ".join(SENTENCES), "en")

    @pytest.mark.parametrize(
        ("asked", "shown"), [(1, "1.0"), (0.25, "0.25"), (0, "0.1"), (-3, "0.1"), (1e6, "30.0")]
    )
    def test_silences_that_cannot_be_had(
        self, client: OlderClient, asked: float, shown: str
    ) -> None:
        assert start(client, silence_threshold=asked)["message"].endswith(f"침묵: {shown}초)")

    @pytest.mark.parametrize("language", ["", "auto", None])
    def test_no_language(self, client: OlderClient, language: str | None) -> None:
        assert "(언어: 자동 감지, " in start(client, language=language)["message"]

    def test_pieces_of_any_length(self, client: OlderClient) -> None:
        start(client)
        data = to_pcm(SPEECH.samples).tobytes()
        at, sizes = 0, [1, 3, 4_097, 7, 16_001, 2]
        while at < len(data):
            size = sizes[at % len(sizes)]
            client.socket.send(data[at : at + size])
            at += size
        client.order("stop")
        client.hear_until("status")
        assert client.texts("final") == SENTENCES

    def test_one_large_frame(self, client: OlderClient) -> None:
        start(client)
        client.socket.send(to_pcm(SPEECH.samples).tobytes() + bytes(8 * 1024 * 1024))
        client.order("stop")
        client.hear_until("status")
        assert client.texts("final") == SENTENCES

    def test_silence_has_no_text(self, client: OlderClient) -> None:
        start(client)
        client.socket.send(bytes(64_000))
        client.order("stop")
        assert client.hear() == STOPPED

    def test_clear_empties_the_buffer(self, client: OlderClient) -> None:
        start(client, silence_threshold=5)
        client.play(SPEECH.samples[: round(2.0 * 16_000)])
        client.hear_until("partial")
        client.order("clear")
        client.order("stop")
        client.hear_until("status")
        assert client.texts("final") == []

    def test_several_recordings_on_a_connection(self, client: OlderClient) -> None:
        for _ in range(2):
            start(client, silence_threshold=5)
            client.play(SPEECH.samples[: round(3.0 * 16_000)])
            client.order("stop")
            assert client.hear_until("final")["text"] == SENTENCES[0]
            assert client.hear() == STOPPED

    def test_a_start_ends_what_was_recorded(self, client: OlderClient) -> None:
        start(client, silence_threshold=5)
        client.play(SPEECH.samples[: round(3.0 * 16_000)])
        client.order("start", language="en")
        assert client.hear_until("status")["message"].startswith("녹음 시작됨")
        assert client.texts("final") == [SENTENCES[0]]

    def test_stop_without_a_recording(self, client: OlderClient) -> None:
        client.order("stop")
        assert client.hear() == STOPPED

    def test_audio_without_a_recording_is_ignored(self, client: OlderClient) -> None:
        client.socket.send(b"\x00" * 1001)
        client.order("clear")
        assert start(client)["type"] == "status"


class TestMistakes:
    @pytest.mark.parametrize(
        "text",
        ["{", "[]", '"start"', "null", "", "[" * 10_000, '{"a": "' + "x" * 70_000, '"\\ud800"'],
    )
    def test_bad_json_is_answered(self, client: OlderClient, text: str) -> None:
        client.socket.send(text)
        told = client.hear()
        assert set(told) == {"type", "message"}
        assert told["type"] == "error"
        assert told["message"].startswith("잘못된 JSON 형식입니다.")
        assert start(client)["type"] == "status"

    @pytest.mark.parametrize(
        "message",
        [{"command": "dance"}, {"command": ["start"]}, {"api_key": "sk-0"}, {}, {"command": None}],
    )
    def test_unknown_commands_are_ignored(
        self, client: OlderClient, message: dict[str, Any]
    ) -> None:
        client.say(**message)
        assert start(client)["type"] == "status"

    @pytest.mark.parametrize(
        "options",
        [
            {"language": "Klingon"},
            {"language": "ja"},
            {"language": 5},
            {"audio_format": "mp3"},
            {"silence_threshold": "long"},
            {"silence_threshold": None},
        ],
    )
    def test_a_start_that_makes_no_sense(
        self, client: OlderClient, options: dict[str, Any]
    ) -> None:
        told = start(client, **options)
        assert set(told) == {"type", "message"}
        assert told["type"] == "error"
        client.socket.send(bytes(1000))
        assert start(client)["type"] == "status"

    def test_numbers_that_are_none(self, client: OlderClient) -> None:
        client.socket.send('{"command": "start", "silence_threshold": NaN}')
        assert client.hear()["type"] == "error"

    def test_binary_junk(self, client: OlderClient) -> None:
        start(client, audio_format="float32")
        for junk in (b"\xff" * 999, b"\x00\x00\xc0\x7f" * 4000, b"\x00\x00\x80\xff" * 4001, b""):
            client.socket.send(junk)
        client.order("stop")
        client.hear_until("status")


class TestFile:
    def test_its_client_reads_exactly_four_messages(self, server: LiveServer) -> None:
        file = wav(SPEECH.samples)
        with OlderClient(server.url) as client:
            assert client.hear()["type"] == "connected"
            client.order("transcribe_file", language="en")
            assert client.hear() == {"type": "status", "message": FILE_MODE.format("en")}
            for first in range(0, len(file), 65_536):
                client.socket.send(file[first : first + 65_536])
            client.order("transcribe_file_end")
            assert client.hear() == {
                "type": "status",
                "message": f"파일 수신 완료 ({len(file)} bytes). 전사 중...",
            }
            result = client.hear()
        assert set(result) == {"type", "text", "language", "duration", "segments"}
        assert result["type"] == "file_result"
        assert result["text"].startswith(f"{SENTENCES[0]} Where are")
        assert result["language"] == "en"
        assert result["duration"] == pytest.approx(SPEECH.duration_s, abs=0.01)
        assert all(
            set(segment) == {"start", "end", "text", "confidence"} for segment in result["segments"]
        )

    def test_files_one_after_another(self, client: OlderClient) -> None:
        file = wav(SPEECH.samples)
        # All at once: what was sent ahead waits its turn.
        for _ in range(2):
            client.order("transcribe_file")
            client.socket.send(file)
            client.order("transcribe_file_end")
        for _ in range(2):
            assert client.hear()["message"] == FILE_MODE.format("자동 감지")
            assert client.hear()["message"].startswith("파일 수신 완료")
            assert client.hear()["type"] == "file_result"

    def test_a_recording_ends_before_a_file(self, client: OlderClient) -> None:
        start(client, silence_threshold=5)
        client.play(SPEECH.samples[: round(3.0 * 16_000)])
        client.order("transcribe_file")
        client.socket.send(wav(SPEECH.samples))
        client.order("transcribe_file_end")
        client.hear_until("file_result")
        kinds = [m["type"] for m in client.messages if m["type"] != "partial"][1:]
        assert kinds == ["status", "final", "status", "status", "status", "file_result"]

    @pytest.mark.parametrize("announced", [True, False])
    def test_no_file(self, client: OlderClient, announced: bool) -> None:
        if announced:
            client.order("transcribe_file")
            client.hear()
            client.socket.send(b"")
        client.order("transcribe_file_end")
        assert client.hear() == {"type": "error", "message": NO_FILE}
        assert start(client)["type"] == "status"

    def test_what_is_no_audio(self, client: OlderClient) -> None:
        client.order("transcribe_file")
        client.hear()
        client.socket.send(b"no audio at all" * 100)
        client.order("transcribe_file_end")
        assert client.hear()["message"].startswith("파일 수신 완료")
        told = client.hear()
        assert set(told) == {"type", "message"}
        assert told["type"] == "error"
        assert start(client)["type"] == "status"

    def test_an_unknown_language(self, client: OlderClient) -> None:
        client.order("transcribe_file", language="Klingon")
        assert client.hear()["type"] == "error"
        client.order("transcribe_file_end")
        assert client.hear()["message"] == NO_FILE

    def test_nonsense_in_between_costs_no_file(self, client: OlderClient) -> None:
        file = wav(SPEECH.samples)
        client.order("transcribe_file")
        client.hear()
        client.socket.send(file[:10_000])
        client.socket.send("{")
        assert client.hear()["type"] == "error"
        client.order("dance")
        client.socket.send(file[10_000:])
        client.order("transcribe_file_end")
        assert client.hear()["message"] == f"파일 수신 완료 ({len(file)} bytes). 전사 중..."
        assert client.hear()["type"] == "file_result"

    def test_clear_forgets_a_file(self, client: OlderClient, server: LiveServer) -> None:
        client.order("transcribe_file")
        client.hear()
        client.socket.send(wav(SPEECH.samples))
        client.order("clear")
        client.order("transcribe_file_end")
        assert client.hear()["message"] == NO_FILE
        assert server.spooled() == []

    def test_a_client_that_leaves_frees_everything(self, server: LiveServer) -> None:
        with OlderClient(server.url) as client:
            client.hear()
            client.order("transcribe_file")
            client.socket.send(wav(SPEECH.samples))
            wait_until(lambda: len(server.spooled()) == 1)
        wait_until(server.idle)
        with OlderClient(server.url) as client:
            start(client)
            client.play(SPEECH.samples[:32_000])
            wait_until(lambda: server.context.service.live.load().sessions == 1)
        wait_until(server.idle)


class TestLimits:
    def test_a_file_over_the_limit(self, tmp_path: Path) -> None:
        with live_server(tmp_path, max_upload_bytes=1024 * 1024) as server:
            with OlderClient(server.url) as client:
                client.hear()
                client.order("transcribe_file")
                client.hear()
                client.socket.send(bytes(700_000))
                client.socket.send(bytes(700_000))
                expected = {"type": "error", "message": "파일이 너무 큽니다. 최대 1MB"}
                assert client.hear() == expected
                client.order("transcribe_file_end")
                assert client.hear()["message"] == NO_FILE
            assert server.spooled() == []

    @pytest.mark.parametrize("pace", [Pace(idle_s=0.2), Pace(idle_s=5, grace_s=0)])
    def test_a_file_that_comes_too_slowly(self, tmp_path: Path, pace: Pace) -> None:
        with (
            live_server(tmp_path, context_options={"pace": pace}) as server,
            OlderClient(server.url) as client,
        ):
            client.hear()
            client.order("transcribe_file")
            client.hear()
            client.socket.send(b"R")
            assert client.hear()["message"].startswith("파일 수신 시간이 초과되었습니다.")
            assert server.spooled() == []

    def test_so_many_connections(self, tmp_path: Path) -> None:
        with live_server(tmp_path, max_connections=2) as server:
            with OlderClient(server.url) as one, OlderClient(server.url) as two:
                loads = {one.hear()["server_load"], two.hear()["server_load"]}
                assert loads == {"1/2", "2/2"}
                with OlderClient(server.url) as three:
                    assert three.hear() == {
                        "type": "error",
                        "code": "MAX_CONNECTIONS",
                        "message": "서버가 혼잡합니다. 잠시 후 다시 시도해주세요. "
                        "(현재 2명 접속 중)",
                    }
                    assert three.close_code() == 1013
            with OlderClient(server.url) as again:
                assert again.hear()["type"] == "connected"

    def test_so_many_sessions(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, max_live_sessions=1) as server,
            OlderClient(server.url) as one,
            OlderClient(server.url) as two,
        ):
            one.hear()
            two.hear()
            assert start(one)["type"] == "status"
            assert start(two)["type"] == "error"
            with OlderClient(server.url) as three:
                assert three.hear()["code"] == "MAX_CONNECTIONS"
            one.order("stop")
            assert one.hear() == STOPPED
            assert start(two)["type"] == "status"

    def test_so_many_transcriptions(self, tmp_path: Path) -> None:
        hold = Hold()
        with (
            live_server(
                tmp_path, FakeEngine(interruption=hold), max_running=1, max_waiting=0
            ) as server,
            OlderClient(server.url) as one,
            OlderClient(server.url) as two,
        ):
            for client, samples in ((one, SPEECH.samples), (two, SPEECH.samples[:40_000])):
                client.hear()
                client.order("transcribe_file")
                client.hear()
                client.socket.send(wav(samples))
                client.order("transcribe_file_end")
                client.hear()
                if client is one:
                    wait_until(lambda: hold.held == 1)
            assert two.hear()["type"] == "error"
            hold.release()
            assert one.hear()["type"] == "file_result"

    def test_a_client_that_leaves_cancels_its_file(self, tmp_path: Path) -> None:
        hold = Hold()
        with live_server(tmp_path, FakeEngine(interruption=hold)) as server:
            with OlderClient(server.url) as client:
                client.order("transcribe_file")
                client.socket.send(wav(SPEECH.samples))
                client.order("transcribe_file_end")
                wait_until(lambda: hold.held == 1)
            wait_until(lambda: hold.cancelled == 1)

    def test_a_buffer_of_so_many_seconds(self, tmp_path: Path) -> None:
        words = " ".join(f"word{i}{'.' * (i % 5 == 4)}" for i in range(30))
        speech = spoken(0.5, words, 0.5)
        with (
            live_server(tmp_path, SpokenEngine(speech), max_utterance_s=5) as server,
            OlderClient(server.url) as client,
        ):
            client.hear()
            start(client)
            client.play(speech.samples, pause_s=0.03)
            client.order("stop")
            client.hear_until("status")
            finals = client.texts("final")
        assert " ".join(finals) == words
        assert len(finals) > 1

    def test_a_recording_goes_on_after_a_long_pause(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), live_idle_s=0.5) as server,
            OlderClient(server.url) as client,
        ):
            client.hear()
            start(client)
            client.play(SPEECH.samples[: round(3.0 * 16_000)])
            assert client.hear_until("final")["text"] == SENTENCES[0]
            wait_until(lambda: server.context.service.live.load().sessions == 0)
            client.play(SPEECH.samples)
            client.order("stop")
            client.hear_until("status")
            assert client.texts("final")[1:] == SENTENCES

    def test_a_message_that_is_too_long(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, max_message_bytes=100_000) as server,
            OlderClient(server.url) as client,
        ):
            start(client)
            client.socket.send(bytes(100_000))
            client.socket.send(bytes(100_001))
            assert client.close_code() == 1009


class TestEnd:
    def test_a_stop_of_the_server_tells_what_was_said(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH)) as server,
            OlderClient(server.url) as talking,
            OlderClient(server.url) as quiet,
        ):
            start(talking, silence_threshold=5)
            talking.hear()
            talking.play(SPEECH.samples[: round(3.0 * 16_000)])
            talking.hear_until("partial")
            server.drain.begin()
            assert talking.hear_until("final")["text"].startswith("Hello")
            assert talking.close_code() == 1001
            assert quiet.close_code() == 1001

    def test_who_shows_a_key_while_the_server_stops_is_sent_home(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, auth="on", api_key=KEY, admin_key="boss") as server,
            OlderClient(server.url) as client,
        ):
            # It is waited for, on a connection that was accepted.
            wait_until(lambda: server.drain.running == 1)
            server.drain.begin()
            client.say(api_key=KEY)
            assert client.close_code() == 1001
            assert [m["type"] for m in client.messages] == ["auth", "connected"]

    def test_what_cannot_be_decoded_is_told(self, tmp_path: Path) -> None:
        async def fail(windows: Any) -> None:
            raise InternalError("This audio cannot be decoded.")

        with (
            live_server(tmp_path, SpokenEngine(SPEECH, fail)) as server,
            OlderClient(server.url) as client,
        ):
            client.hear()
            start(client)
            client.play(SPEECH.samples)
            assert client.hear() == {"type": "error", "message": "This audio cannot be decoded."}
            client.order("stop")
            client.hear_until("status")

    def test_a_fault_of_ours_ends_the_connection(self, tmp_path: Path) -> None:
        async def fail(windows: Any) -> None:
            raise ZeroDivisionError("the cause")

        with (
            live_server(tmp_path, SpokenEngine(SPEECH, fail)) as server,
            OlderClient(server.url) as client,
        ):
            client.hear()
            start(client)
            with suppress(ConnectionClosed):
                client.play(SPEECH.samples[: round(3.0 * 16_000)])
            assert "the cause" not in client.hear_until("error")["message"]
            assert client.close_code() == 1011


KEY = "sk-" + "ab" * 24


@pytest.fixture(name="closed", scope="module")
def _closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("closed")
    with live_server(folder, auth="on", api_key=KEY, admin_key="boss") as server:
        yield server


class TestKeys:
    def test_the_first_message_is_the_key(self, closed: LiveServer) -> None:
        with OlderClient(closed.url) as client:
            client.say(api_key=KEY)
            assert client.hear() == {"type": "auth", "status": "success", "message": "인증 성공"}
            assert client.hear()["type"] == "connected"
            assert start(client)["type"] == "status"

    @pytest.mark.parametrize("first", [{"api_key": "sk-wrong"}, {"api_key": ""}, {"api_key": 1}])
    def test_a_wrong_key(self, closed: LiveServer, first: dict[str, Any]) -> None:
        with OlderClient(closed.url) as client:
            client.say(**first)
            assert client.hear() == {
                "type": "error",
                "code": "AUTH_FAILED",
                "message": "유효하지 않은 API 키입니다.",
            }
            assert client.close_code() == 4001

    def test_no_key_but_a_command(self, closed: LiveServer) -> None:
        with OlderClient(closed.url) as client:
            client.order("start")
            assert client.hear()["code"] == "AUTH_FAILED"
            assert client.close_code() == 4001

    def test_a_key_without_the_right(self, closed: LiveServer) -> None:
        with OlderClient(closed.url) as client:
            client.say(api_key="boss")
            assert client.hear()["code"] == "AUTH_FAILED"
            assert client.close_code() == 4001

    def test_a_key_for_live_audio_only(self, closed: LiveServer) -> None:
        wish = {"name": "microphone", "scopes": ["live"]}
        with closed.client(headers={"X-Admin-Key": "boss"}) as http:
            key = http.post("/v1/keys", json=wish).json()["key"]
        with OlderClient(closed.url) as client:
            client.say(api_key=key)
            assert client.hear()["type"] == "auth"
            assert client.hear()["type"] == "connected"
            client.order("transcribe_file")
            assert "live audio only" in client.hear()["message"]
            assert start(client)["type"] == "status"

    @pytest.mark.parametrize("first", ["{", "[]", b"\x00\x01", "x" * 70_000])
    def test_what_is_no_key_at_all(self, closed: LiveServer, first: str | bytes) -> None:
        with OlderClient(closed.url) as client:
            client.socket.send(first)
            assert client.hear() == {
                "type": "error",
                "code": "AUTH_ERROR",
                "message": "인증 처리 중 오류가 발생했습니다.",
            }
            assert client.close_code() == 4003

    def test_no_key_in_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(routes, "SocketRoute", partial(SocketRoute, auth_s=0.2))
        with (
            live_server(tmp_path, auth="on", api_key=KEY, admin_key="boss") as server,
            OlderClient(server.url) as client,
        ):
            assert client.hear() == {
                "type": "error",
                "code": "AUTH_TIMEOUT",
                "message": "인증 타임아웃. 연결 후 10초 내에 API 키를 전송해주세요.",
            }
            assert client.close_code() == 4002

    def test_the_time_is_what_the_message_says(self) -> None:
        assert AUTH_S == 10

    @pytest.mark.parametrize("header", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
    def test_a_key_in_the_headers_is_enough(
        self, closed: LiveServer, header: dict[str, str]
    ) -> None:
        with OlderClient(closed.url, additional_headers=header) as client:
            assert client.hear()["type"] == "connected"
            # Those that send it anyway are not confused by another answer.
            client.say(api_key=KEY)
            assert start(client)["type"] == "status"

    def test_a_wrong_key_in_the_headers_is_made_up_for(self, closed: LiveServer) -> None:
        with OlderClient(closed.url, additional_headers={"X-API-Key": "other"}) as client:
            client.say(api_key=KEY)
            assert client.hear()["type"] == "auth"

    def test_foreign_pages(self, closed: LiveServer) -> None:
        with pytest.raises(InvalidStatus) as refused:
            OlderClient(closed.url, origin="https://evil.example")
        assert refused.value.response.status_code == 403
        assert set(json.loads(refused.value.response.body)) == {"detail"}
