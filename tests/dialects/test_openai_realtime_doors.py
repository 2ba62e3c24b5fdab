"""How one gets into `/v1/realtime`, with which settings, and how one gets out."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, OpenAI
from tests.support.live_server import Hold, LiveServer, live_server, wait_until
from tests.support.openai_schema import assert_valid, error_of
from tests.support.realtime_client import (
    CLIENT_WARNING,
    COMMITTED,
    COMPLETED,
    LOGPROBS,
    STARTED,
    Judge,
    realtime,
)
from tests.support.spoken import SpokenEngine, spoken
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

pytestmark = [pytest.mark.filterwarnings(CLIENT_WARNING), pytest.mark.timeout(60)]

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0, "Where are you going?", 0.8)
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
KEY = "secret-key-number-1"
SESSION: Any = {
    "type": "transcription",
    "audio": {
        "input": {
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "Friends."},
            "turn_detection": None,
        }
    },
    "include": ["item.input_audio_transcription.logprobs"],
}

BETA_SESSION: Any = {
    "input_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
    "include": [LOGPROBS],
}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        yield server


@pytest.fixture(name="locked", scope="module")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("locked")
    with live_server(folder, SpokenEngine(SPEECH), api_key=KEY) as server:
        yield server


def address(server: LiveServer, query: str = "?intent=transcription") -> str:
    return server.url.replace("http", "ws", 1) + "/v1/realtime" + query


def openai(server: LiveServer, key: str = KEY) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


class TestTheAddress:
    def test_a_model_that_talks_stands_for_the_default(self, server: LiveServer) -> None:
        with realtime(server.url, query={}, model="gpt-realtime") as talk:
            assert talk.events[0]["type"] == "session.created"
            told = talk.update(transcription={"language": "en"})["session"]["audio"]["input"]
            assert told["transcription"] == {"model": "gpt-realtime", "language": "en"}
            talk.play(SPEECH.samples)
            assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[0]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("?intent=conversation", "invalid_value"),
            ("?model=no/such/model", "model_not_found"),
            (f"?model={'m' * 300}", None),
            ("?model=gpt-4o-transcribe-diarize", None),
        ],
    )
    def test_what_is_not_here(self, server: LiveServer, query: str, code: str | None) -> None:
        with connect(address(server, query)) as socket:
            error = Judge().see(socket.recv(20))["error"]
            assert error["code"] == code
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008

    def test_without_a_handshake_it_is_no_route(self, server: LiveServer) -> None:
        with server.client() as client:
            for path in ("/v1/realtime", "/v1/realtime/calls"):
                response = client.get(path)
                assert response.status_code == 404
                error_of(response.json())


class TestTheBeta:
    def test_a_session_in_its_words(self, server: LiveServer) -> None:
        with realtime(server.url, extra_headers={"OpenAI-Beta": "realtime=v1"}) as talk:
            created = talk.events[0]
            assert created["type"] == "transcription_session.created"
            assert created["session"]["input_audio_format"] == "pcm16"
            talk.say({"type": "transcription_session.update", "session": BETA_SESSION})
            updated = talk.hear()
            assert updated["type"] == "transcription_session.updated"
            session = updated["session"]
            assert session["input_audio_format"] == "g711_ulaw"
            assert session["turn_detection"]["silence_duration_ms"] == 700
            talk.say(
                {
                    "type": "transcription_session.update",
                    "session": {
                        "input_audio_format": "pcm16",
                        "turn_detection": {"type": "server_vad"},
                    },
                }
            )
            assert talk.hear()["session"]["input_audio_transcription"]["language"] == "en"
            talk.play(SPEECH.samples)
            talk.hear_until(COMPLETED, 2)
        assert talk.texts == SENTENCES
        items = [event["item"]["id"] for event in talk.of("conversation.item.created")]
        assert items == [event["item_id"] for event in talk.of(COMMITTED)]
        assert all("logprobs" in event for event in talk.of(COMPLETED))

    def test_its_mistakes(self, server: LiveServer) -> None:
        with realtime(server.url, extra_headers={"OpenAI-Beta": "realtime=v1"}) as talk:
            for session, param in (
                ({"input_audio_format": "mp3"}, "session.input_audio_format"),
                (
                    {"input_audio_transcription": {"language": "Klingon"}},
                    "session.input_audio_transcription.language",
                ),
            ):
                talk.say({"type": "transcription_session.update", "session": session})
                assert talk.hear()["error"]["param"] == param

    def test_silence_is_not_looked_at(self, server: LiveServer) -> None:
        with realtime(server.url, extra_headers={"OpenAI-Beta": "realtime=v1"}) as talk:
            talk.say({"type": "transcription_session.update", "session": {"turn_detection": None}})
            assert "turn_detection" not in talk.hear()["session"]
            talk.play(SPEECH.samples)
            talk.connection.input_audio_buffer.commit()
            assert talk.hear_until(COMPLETED)["transcript"] == " ".join(SENTENCES)
        assert not talk.of(STARTED)


class TestKeys:
    def test_one_is_asked_for_before_anything(self, locked: LiveServer) -> None:
        for key in ("none", "ek_" + "0" * 64):
            with pytest.raises(InvalidStatus) as refused, realtime(locked.url, key):
                pass
            assert refused.value.response.status_code == 401
            body = json.loads(refused.value.response.body or b"")
            assert error_of(body)["code"] == "invalid_api_key"
        with realtime(locked.url, KEY) as talk:
            assert talk.events[0]["type"] == "session.created"

    def test_a_browser_shows_it_as_a_subprotocol(self, locked: LiveServer) -> None:
        offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
        with connect(address(locked), subprotocols=list(map(Subprotocol, offered))) as socket:
            assert socket.subprotocol == "realtime"
            created = Judge().see(socket.recv(20))
            assert created["type"] == "transcription_session.created"

    def test_pages_of_other_sites_are_refused(self, server: LiveServer) -> None:
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(address(server), origin=Origin("https://evil.example")),
        ):
            pass
        assert refused.value.response.status_code == 403

    def test_a_client_secret_brings_its_settings(self, locked: LiveServer) -> None:
        with openai(locked) as client:
            before_s = time.time()
            made = client.realtime.client_secrets.create(
                session=SESSION, expires_after={"anchor": "created_at", "seconds": 60}
            )
            assert_valid("RealtimeCreateClientSecretResponse", made.model_dump(exclude_unset=True))
        assert made.value.startswith("ek_")
        assert before_s + 59 <= made.expires_at <= time.time() + 60
        with realtime(locked.url, made.value) as talk:
            session = talk.events[0]["session"]
            assert session["audio"]["input"]["turn_detection"] is None
            assert session["audio"]["input"]["transcription"]["prompt"] == "Friends."
            assert session["include"] == [LOGPROBS]
            talk.play(SPEECH.samples)
            talk.connection.input_audio_buffer.commit()
            assert talk.hear_until(COMPLETED)["transcript"] == " ".join(SENTENCES)
        assert locked.engine.windows[-1].options.initial_prompt == "Friends."

    def test_it_opens_nothing_else(self, locked: LiveServer) -> None:
        with openai(locked) as client:
            secret = client.realtime.client_secrets.create().value
        with openai(locked, secret) as browser:
            for ask in (
                browser.realtime.client_secrets.create,
                lambda: browser.audio.transcriptions.create(model="whisper-1", file=("a", b"a")),
            ):
                with pytest.raises(APIStatusError) as refused:
                    ask()
                assert refused.value.status_code == 403

    def test_it_ends(self, tmp_path: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), api_key=KEY) as server:
            with openai(server) as client:
                secret = client.realtime.client_secrets.create().value
            with realtime(server.url, secret):
                pass
            (file,) = (tmp_path / "data").glob("*.db")
            with sqlite3.connect(file) as database:
                database.execute("UPDATE client_secrets SET expires_at = '2020-01-01 00:00:00'")
            database.close()
            with pytest.raises(InvalidStatus) as refused, realtime(server.url, secret):
                pass
            assert refused.value.response.status_code == 401

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "expires_after.seconds"),
            ({"expires_after": {"anchor": "created_at", "seconds": 7201}}, "expires_after.seconds"),
            ({"session": {"type": "realtime"}}, "session.type"),
            (
                {
                    "session": {
                        "type": "transcription",
                        "audio": {"input": {"format": {"type": "x"}}},
                    }
                },
                "session.audio.input.format.type",
            ),
        ],
    )
    def test_of_what_cannot_be(self, locked: LiveServer, asked: Any, param: str) -> None:
        with openai(locked) as client, pytest.raises(BadRequestError) as refused:
            client.realtime.client_secrets.create(**asked)
        assert refused.value.param == param

    def test_the_settings_are_looked_at_when_it_is_made(self, locked: LiveServer) -> None:
        session = {"audio": {"input": {"transcription": {"language": "Klingon"}}}}
        with openai(locked) as client, pytest.raises(BadRequestError) as refused:
            client.realtime.client_secrets.create(session=session)  # type: ignore[arg-type] # bad
        assert refused.value.param == "language"

    def test_the_beta_makes_them_too(self, locked: LiveServer) -> None:
        with locked.client(headers={"authorization": f"Bearer {KEY}"}) as client:
            response = client.post("/v1/realtime/transcription_sessions", json=BETA_SESSION)
            assert response.status_code == 200
            body = response.json()
            off = client.post("/v1/realtime/transcription_sessions", json={"turn_detection": None})
        assert_valid("RealtimeTranscriptionSessionCreateResponse", body)
        assert_valid("RealtimeTranscriptionSessionCreateResponse", off.json())
        assert "turn_detection" not in off.json()
        assert body["input_audio_format"] == "g711_ulaw"
        secret = body["client_secret"]["value"]
        with realtime(locked.url, secret) as talk:
            heard = talk.events[0]["session"]["audio"]["input"]
            assert heard["format"] == {"type": "audio/pcmu"}
            assert heard["turn_detection"]["silence_duration_ms"] == 700

    @pytest.mark.parametrize("path", ["client_secrets", "transcription_sessions"])
    def test_bad_bodies(self, server: LiveServer, path: str) -> None:
        with server.client() as client:
            for content, status in ((b"{", 400), (b"[]", 400), (b'"\\ud800"', 400)):
                response = client.post(
                    f"/v1/realtime/{path}",
                    content=content,
                    headers={"content-type": "application/json"},
                )
                assert response.status_code == status
                error_of(response.json())
            assert client.post(f"/v1/realtime/{path}", data={"a": "b"}).status_code == 415
            assert client.get(f"/v1/realtime/{path}").status_code == 405


class TestTheEnd:
    def test_who_leaves_frees_the_session(self, server: LiveServer) -> None:
        with connect(address(server)) as socket:
            Judge().see(socket.recv(20))
            assert server.context.service.live.load().sessions == 1
        wait_until(lambda: server.context.service.live.load().sessions == 0)

    def test_there_may_be_so_many(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), max_live_sessions=1) as server,
            realtime(server.url),
            connect(address(server)) as second,
        ):
            assert Judge().see(second.recv(20))["error"]["code"] == "overloaded"
            with pytest.raises(ConnectionClosed) as closed:
                second.recv(20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013

    def test_an_idle_session_is_ended(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), live_idle_s=0.3) as server,
            realtime(server.url) as talk,
        ):
            (told,) = talk.hear_all()
            assert told["error"]["code"] == "session_expired"
            assert talk.close == (1008, "idle")

    def test_stopping_the_server_tells_what_was_said(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH)) as server,
            realtime(server.url) as talk,
        ):
            talk.play(SPEECH.samples[: 16_000 * 2])
            talk.hear_until(STARTED)
            server.drain.begin()
            list(talk.hear_all())
            assert len(talk.of(COMPLETED)) == 1
            assert talk.events[-1]["error"]["code"] == "session_expired"
            assert talk.close == (1001, "draining")

    def test_a_session_in_the_log(self, tmp_path: Path) -> None:
        hold = Hold()
        with live_server(tmp_path, SpokenEngine(SPEECH, hold)) as server:
            with realtime(server.url) as talk:
                talk.play(SPEECH.samples)
                wait_until(lambda: hold.held > 0)
                hold.release()
                talk.hear_until(COMPLETED, 2)
            wait_until(lambda: any(log.get("route") == "/v1/realtime" for log in server.logs))
            metrics = httpx.get(f"{server.url}/metrics").text
        (line,) = [log for log in server.logs if log.get("route") == "/v1/realtime"]
        assert (line["method"], line["model"]) == ("WEBSOCKET", "fake")
        assert line["audio_s"] == pytest.approx(SPEECH.duration_s, abs=0.1)
        assert 'dialect="openai_realtime"' in metrics
        assert not any("Hello" in str(value) for log in server.logs for value in log.values())
