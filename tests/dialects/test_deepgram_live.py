"""`/v1/listen` as a WebSocket, driven by Deepgram's client."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deepgram.listen.v1.types.listen_v1results import ListenV1Results
from tests.support.audio_files import FORMATS, encode
from tests.support.deepgram_client import (
    RAW,
    assert_close,
    async_client,
    listen,
)
from tests.support.live_server import Hold, LiveServer, live_server, wait_until
from tests.support.spoken import SpokenEngine, spoken
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.errors import BadRequestError

pytestmark = pytest.mark.timeout(60)

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0, "Where are you going?", 1.8)
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
BARE = ["hello there my good friends", "where are you going"]
PCM = to_pcm(SPEECH.samples).tobytes()
KEY = "secret-key-number-1"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        yield server


def address(server: LiveServer, **query: str) -> str:
    asked = {**RAW, **query}
    listed = "&".join(f"{name}={value}" for name, value in asked.items())
    return f"{server.url.replace('http', 'ws', 1)}/v1/listen?{listed}"


def test_a_whole_session(server: LiveServer) -> None:
    with listen(server.url, punctuate="true", vad_events="true", tag="mine") as talk:
        talk.play(SPEECH.samples)
        talk.socket.send_close_stream()
        talk.hear_all()
    assert talk.close == (1000, "finished")
    kinds = [message["type"] for message in talk.messages]
    assert kinds == ["SpeechStarted", "Results"] * 2 + ["Metadata"]
    assert talk.texts == SENTENCES
    said = iter(SPEECH.words)
    for started, final in zip(talk.of("SpeechStarted"), talk.finals, strict=True):
        assert final["speech_final"]
        assert not final["from_finalize"]
        assert final["channel_index"] == started["channel"] == [0, 1]
        (only,) = final["channel"]["alternatives"]
        assert only["confidence"] == pytest.approx(0.9)
        words = [next(said) for _ in only["words"]]
        assert_close(started["timestamp"], words[0].start)
        assert_close(final["start"], words[0].start)
        assert_close(final["start"] + final["duration"], words[-1].end)
        for told, word in zip(only["words"], words, strict=True):
            assert told["punctuated_word"] == word.text.strip()
            assert told["word"] == word.text.strip(" ,.?").lower()
            assert (told["start"], told["end"]) == pytest.approx((word.start, word.end))
    (metadata,) = talk.of("Metadata")
    assert metadata["duration"] == pytest.approx(SPEECH.duration_s, abs=0.001)
    assert metadata["sha256"] == hashlib.sha256(PCM).hexdigest()
    assert metadata["channels"] == 1
    assert {final["metadata"]["request_id"] for final in talk.finals} == {metadata["request_id"]}
    (model,) = metadata["models"]
    assert metadata["model_info"][model]["name"] == "fake"
    assert talk.finals[0]["metadata"]["model_info"] == metadata["model_info"][model]


async def test_the_asynchronous_client(server: LiveServer) -> None:
    texts: list[str] = []
    asked: dict[str, Any] = {"model": "nova-3", **RAW}
    async with (
        async_client(server.url) as deepgram,
        deepgram.listen.v1.connect(**asked) as socket,
    ):
        for first in range(0, len(PCM), 3_200):
            await socket.send_media(PCM[first : first + 3_200])
        await socket.send_close_stream()
        async for message in socket:
            if isinstance(message, ListenV1Results):
                texts.append(message.channel.alternatives[0].transcript)
    assert [text for text in texts if text] == BARE


def test_text_is_bare_unless_asked_for(server: LiveServer) -> None:
    with listen(server.url) as talk:
        talk.play(SPEECH.samples)
        talk.socket.send_close_stream()
        talk.hear_all()
    assert talk.texts == BARE
    assert all(
        "punctuated_word" not in word
        for final in talk.finals
        for word in final["channel"]["alternatives"][0]["words"]
    )


def test_interim_results(server: LiveServer) -> None:
    with listen(server.url, interim_results="true", smart_format="true") as talk:
        talk.play(SPEECH.samples)
        talk.socket.send_close_stream()
        talk.hear_all()
    assert talk.texts == SENTENCES
    results = talk.of("Results")
    interim = [message for message in results if not message["is_final"]]
    assert len(interim) >= 2
    assert all(not message["speech_final"] for message in interim)
    first = [m["channel"]["alternatives"][0] for m in interim if m["start"] < 2.0]
    assert first[0]["transcript"].startswith("Hello")
    for told in first:
        words = " ".join(word["punctuated_word"] for word in told["words"])
        assert told["transcript"].startswith(words), "words are those that are certain"


def test_long_speech_is_told_in_stretches(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(30))
    speech = spoken(0.5, text, 1.0)
    with live_server(tmp_path, SpokenEngine(speech)) as server, listen(server.url) as talk:
        talk.play(speech.samples)
        talk.socket.send_close_stream()
        talk.hear_all()
    assert " ".join(talk.texts) == text
    assert len(talk.finals) >= 2
    *earlier, last = talk.finals
    assert last["speech_final"]
    assert not any(final["speech_final"] for final in earlier)
    for before, after in zip(talk.finals, talk.finals[1:], strict=False):
        assert after["start"] == pytest.approx(before["start"] + before["duration"], abs=0.002)


class TestEndpoints:
    def test_of_other_lengths(self, server: LiveServer) -> None:
        with listen(server.url, endpointing="1500") as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert [final["speech_final"] for final in talk.finals if final["duration"]][-1]
        assert " ".join(talk.texts) == " ".join(BARE)
        assert sum(final["speech_final"] for final in talk.finals) == 1

    def test_none(self, server: LiveServer) -> None:
        with listen(server.url, endpointing="false") as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert talk.texts == BARE
        assert not any(final["speech_final"] for final in talk.finals)

    def test_gaps_between_words_are_told(self, server: LiveServer) -> None:
        with listen(server.url, utterance_end_ms="1000", interim_results="true") as talk:
            for first in range(0, len(PCM), 3_200):
                talk.say(PCM[first : first + 3_200])
                if first == 3_200 * 30:
                    talk.hear_until("Results", is_final=True)
            talk.hear_until("Results", is_final=True)
            talk.listen_on_until("UtteranceEnd")
            talk.socket.send_close_stream()
            talk.hear_all()
        ends = [each["last_word_end"] for each in talk.of("UtteranceEnd")]
        assert ends == pytest.approx([SPEECH.words[4].end, SPEECH.words[-1].end])
        assert all(each["channel"] == [0, 1] for each in talk.of("UtteranceEnd"))


class TestControlMessages:
    def test_finalize(self, server: LiveServer) -> None:
        with listen(server.url) as talk:
            talk.play(SPEECH.samples[: round(2.6 * 16_000)])
            talk.socket.send_finalize()
            final = talk.hear_until("Results", is_final=True)
            assert final["from_finalize"]
            assert not final["speech_final"]
            assert talk.texts == BARE[:1]
            talk.play(SPEECH.samples[round(2.6 * 16_000) :])
            talk.socket.send_close_stream()
            talk.hear_all()
        assert talk.texts == BARE

    def test_finalize_of_nothing_is_answered(self, server: LiveServer) -> None:
        with listen(server.url) as talk:
            talk.socket.send_finalize()
            final = talk.hear()
        assert final["from_finalize"]
        assert final["channel"]["alternatives"][0] == {
            "transcript": "",
            "confidence": 0.0,
            "words": [],
        }

    def test_keep_alive(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), live_idle_s=1.5) as server,
            listen(server.url) as talk,
        ):
            for _ in range(10):
                talk.socket.send_keep_alive()
                with pytest.raises(TimeoutError):
                    talk.socket._websocket.recv(timeout=0.2)
            talk.hear_all()
        assert talk.close is not None
        assert talk.close[0] == 1011
        assert talk.close[1].startswith("NET-0001")
        assert [message["type"] for message in talk.messages] == ["Metadata"]

    def test_an_empty_message_is_the_end(self, server: LiveServer) -> None:
        with listen(server.url) as talk:
            talk.play(SPEECH.samples)
            talk.say(b"")
            talk.say(b"more")
            talk.hear_all()
        assert talk.texts == BARE
        assert talk.close == (1000, "finished")

    def test_other_keyterms(self, server: LiveServer) -> None:
        with listen(server.url, keyterm=["Seoul", "new york"], keywords="Busan:2") as talk:
            talk.play(SPEECH.samples[: 16_000 * 3])
            talk.socket.send_finalize()
            talk.hear_until("Results", from_finalize=True)
            assert server.engine.windows[-1].options.hotwords is None
            asked = server.engine.windows[-1].options.initial_prompt or ""
            assert "Seoul, new york, Busan" in asked
            talk.say({"type": "Configure", "keyterms": ["Tokyo"]})
            told = talk.hear_until("ConfigureSuccess")
            assert told["keyterms"] == ["Tokyo"]
            talk.play(SPEECH.samples[16_000 * 3 :])
            talk.socket.send_close_stream()
            talk.hear_all()
        assert "Tokyo" in (server.engine.windows[-1].options.initial_prompt or "")

    @pytest.mark.parametrize(
        "message",
        [
            "{",
            "[]",
            '{"type": 5}',
            '{"type": "Nonsense"}',
            '{"type": "Configure", "keyterms": "one"}',
            r'{"type": "\ud800"}',
            "x" * 5_000,
        ],
    )
    def test_nonsense_is_answered_and_forgotten(self, server: LiveServer, message: str) -> None:
        with listen(server.url) as talk:
            talk.say(message)
            error = talk.hear()
            assert (error["type"], error["variant"]) == ("Error", "SchemaError")
            assert error["description"]
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert talk.texts == BARE


class TestAudio:
    @pytest.mark.parametrize("name", ["webm", "ogg-opus", "wav-s16", "flac", "mp3"])
    def test_files_as_they_are_written(self, server: LiveServer, name: str) -> None:
        form = next(each for each in FORMATS if each.name == name)
        data = encode(form, SPEECH.samples, rate_hz=16_000)
        encoding = {"ogg-opus": "opus", "flac": "flac"}.get(name)
        with listen(server.url, encoding=encoding, sample_rate=None) as talk:
            talk.play_bytes(data, 4_000)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert talk.texts == BARE

    def test_floats_on_two_channels(self, server: LiveServer) -> None:
        data = np.repeat(SPEECH.samples, 2).astype("<f4").tobytes()
        asked = {"encoding": "linear32", "channels": "2", "multichannel": "true"}
        with listen(server.url, **asked) as talk:
            talk.play_bytes(data, 12_800)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert talk.texts == BARE
        (warning,) = talk.of("Metadata")[0]["warnings"]
        assert warning["parameter"] == "multichannel"

    def test_what_is_no_audio(self, server: LiveServer) -> None:
        with listen(server.url, encoding=None, sample_rate=None) as talk:
            talk.play_bytes(b"This is text where audio belongs. " * 500, 4_000)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert [message["type"] for message in talk.messages] == ["Error", "Metadata"]
        assert talk.messages[0]["variant"] == "DATA-0000"
        assert talk.close is not None
        assert talk.close[0] == 1008
        assert talk.close[1].startswith("DATA-0000")

    def test_a_message_that_is_too_long(self, server: LiveServer) -> None:
        with listen(server.url) as talk:
            talk.say(bytes(17 * 1024 * 1024))
            talk.hear_all()
        assert talk.messages[-1]["type"] == "Error"
        assert talk.close is not None
        assert talk.close[0] == 1009

    def test_what_cannot_be_decoded(self, tmp_path: Path) -> None:
        async def fail(windows: Sequence[Window]) -> None:
            if any(window.start_s < 3.0 for window in windows):
                raise BadRequestError("This cannot be decoded.")

        engine = SpokenEngine(SPEECH, fail)
        with live_server(tmp_path, engine) as server, listen(server.url) as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert [error["description"] for error in talk.of("Error")] == ["This cannot be decoded."]
        assert talk.texts == BARE[1:]


class TestLanguages:
    def test_one_that_is_given(self, server: LiveServer) -> None:
        with listen(server.url, language="en-US") as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        assert server.engine.windows[-1].options.language == "en"
        assert "languages" not in talk.finals[0]["channel"]["alternatives"][0]

    def test_several(self, server: LiveServer) -> None:
        with listen(server.url, language="multi") as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        (only,) = talk.finals[0]["channel"]["alternatives"]
        assert only["languages"] == ["en"]
        assert {word["language"] for word in only["words"]} == {"en"}


def refused(url: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
    with pytest.raises(InvalidStatus) as error, connect(url, **options):
        pass
    response = error.value.response
    body = json.loads(response.body or b"")
    assert set(body) == {"err_code", "err_msg", "request_id"}
    assert response.headers["dg-request-id"] == body["request_id"] != ""
    assert response.headers["dg-error"]
    return response.status_code, body, response.headers


class TestDoors:
    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ({"encoding": "g729"}, "g729"),
            ({"encoding": "nonsense"}, "nonsense"),
            ({"encoding": "é"}, "not read here"),
            ({"encoding": "mulaw", "sample_rate": ""}, "sample_rate"),
            ({"sample_rate": "1"}, "sample rate"),
            ({"sample_rate": "many"}, "sample_rate"),
            ({"channels": "100"}, "channels"),
            ({"language": "Klingon"}, "Klingon"),
            ({"detect_language": "xx"}, "xx"),
            ({"endpointing": "soon"}, "endpointing"),
            ({"endpointing": "9" * 400}, "endpointing"),
            ({"endpointing": "9" * 5000}, "endpointing"),
            ({"utterance_end_ms": "-1"}, "utterance_end_ms"),
            ({"interim_results": "maybe"}, "interim_results"),
            ({"callback": "https://evil.example"}, "callback"),
            ({"redact": "pci"}, "redact"),
        ],
    )
    def test_bad_parameters(self, server: LiveServer, query: dict[str, str], words: str) -> None:
        status, body, headers = refused(address(server, **query))
        assert (status, body["err_code"]) == (400, "Bad Request")
        assert words in body["err_msg"]
        assert headers["dg-error"].isascii()

    def test_a_model_that_is_not_there(self, server: LiveServer) -> None:
        status, body, _ = refused(address(server, model="no/such/model"))
        assert (status, body["err_code"]) == (404, "NOT_FOUND")

    def test_a_key_is_asked_for(self, tmp_path: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), api_key=KEY) as server:
            status, body, _ = refused(address(server))
            assert (status, body["err_code"]) == (401, "INVALID_AUTH")
            headers = {"Authorization": "Token wrong"}
            assert refused(address(server), additional_headers=headers)[0] == 401
            for scheme in ("token", "bearer"):
                offered = [Subprotocol(scheme), Subprotocol(KEY)]
                with connect(address(server), subprotocols=offered) as socket:
                    assert socket.subprotocol == scheme
            with listen(server.url, KEY) as talk:
                talk.socket.send_finalize()
                assert talk.hear()["type"] == "Results"

    def test_the_request_id_is_told_at_once(self, server: LiveServer) -> None:
        with connect(address(server)) as socket:
            assert socket.response is not None
            request_id = socket.response.headers["dg-request-id"]
            socket.send('{"type": "CloseStream"}')
            assert json.loads(socket.recv(20))["request_id"] == request_id

    def test_pages_of_other_sites_are_refused(self, server: LiveServer) -> None:
        status, body, _ = refused(address(server), origin=Origin("https://evil.example"))
        assert (status, body["err_code"]) == (403, "INSUFFICIENT_PERMISSIONS")

    def test_there_may_be_so_many(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), max_live_sessions=1) as server,
            listen(server.url),
        ):
            status, body, headers = refused(address(server))
            assert (status, body["err_code"]) == (429, "TOO_MANY_REQUESTS")
            assert int(headers["retry-after"]) > 0


class TestTheEnd:
    def test_who_leaves_frees_the_session(self, server: LiveServer) -> None:
        with listen(server.url) as talk:
            talk.play(SPEECH.samples[:16_000])
            wait_until(lambda: server.context.service.live.load().sessions == 1)
        wait_until(lambda: server.context.service.live.load().sessions == 0)

    def test_stopping_the_server_tells_what_was_said(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH)) as server,
            listen(server.url, interim_results="true") as talk,
        ):
            talk.play(SPEECH.samples[: 16_000 * 2])
            talk.hear_until("Results")
            server.drain.begin()
            talk.hear_all()
            assert talk.messages[-1]["type"] == "Metadata"
            assert talk.texts
            assert talk.close == (1001, "draining")

    def test_a_session_in_the_log(self, tmp_path: Path) -> None:
        hold = Hold()
        with live_server(tmp_path, SpokenEngine(SPEECH, hold)) as server:
            with listen(server.url, keyterm="Hello") as talk:
                talk.play(SPEECH.samples)
                wait_until(lambda: hold.held > 0)
                hold.release()
                talk.socket.send_close_stream()
                talk.hear_all()
            wait_until(lambda: any(log.get("route") == "/v1/listen" for log in server.logs))
        (line,) = [log for log in server.logs if log.get("route") == "/v1/listen"]
        assert (line["method"], line["status"], line["model"]) == ("WEBSOCKET", 1000, "fake")
        assert line["audio_s"] == pytest.approx(SPEECH.duration_s)
        assert not any("ello" in str(value) for log in server.logs for value in log.values())


def test_sessions_side_by_side(server: LiveServer) -> None:
    async def one() -> list[str]:
        return await asyncio.to_thread(_whole)

    def _whole() -> list[str]:
        with listen(server.url) as talk:
            talk.play(SPEECH.samples)
            talk.socket.send_close_stream()
            talk.hear_all()
        return talk.texts

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(one() for _ in range(4)))

    assert asyncio.run(all_of_them()) == [BARE] * 4
