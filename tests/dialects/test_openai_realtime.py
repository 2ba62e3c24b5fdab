"""`/v1/realtime`, driven by OpenAI's client; every event fits its published schema."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from tests.support.live_server import LiveServer, live_server
from tests.support.realtime_client import (
    ADDED,
    CLEARED,
    CLIENT_WARNING,
    COMMITTED,
    COMPLETED,
    DELTA,
    FAILED,
    LOGPROBS,
    SEGMENT,
    STARTED,
    STOPPED,
    Judge,
    pcm24,
    realtime,
)
from tests.support.spoken import SpokenEngine, spoken

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError
from verbatim.stages.raw_stream import RawStream, StreamEncoding, StreamFormat

pytestmark = [pytest.mark.filterwarnings(CLIENT_WARNING), pytest.mark.timeout(60)]

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0, "Where are you going?", 0.8)
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
FIRST_S = 3.3
"""In which the first sentence is said."""
FIRST, REST = np.split(SPEECH.samples, [round(FIRST_S * 16_000)])
ENGLISH = {"transcription": {"model": "whisper-1", "language": "en"}}
MANUAL: dict[str, Any] = {**ENGLISH, "turn_detection": None}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        yield server


def test_a_whole_session(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        created = talk.events[0]
        assert created["type"] == "session.created"
        updated = talk.update(**ENGLISH)
        assert updated["type"] == "session.updated"
        talk.play(SPEECH.samples)
        talk.hear_until(COMPLETED, 2)
    for session in (created["session"], updated["session"]):
        assert session["id"].startswith("sess_")
        assert session["id"] == created["session"]["id"]
        heard = session["audio"]["input"]
        assert heard["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert heard["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
        }
    assert created["session"]["audio"]["input"]["transcription"] == {"model": "fake"}
    assert updated["session"]["audio"]["input"]["transcription"] == ENGLISH["transcription"]
    assert talk.texts == SENTENCES
    assert not talk.of("error")
    assert len(talk.of(DELTA)) > 2, "text comes before the end of an utterance"
    committed = talk.of(COMMITTED)
    items = [event["item_id"] for event in committed]
    assert [event["previous_item_id"] for event in committed] == [None, items[0]]
    for item in items:
        kinds = [e["type"] for e in talk.events if e.get("item_id") == item and e["type"] != DELTA]
        assert kinds == [STARTED, STOPPED, COMMITTED, SEGMENT, COMPLETED]
    for added, event in zip(talk.of(ADDED), committed, strict=True):
        assert added["item"]["id"] == event["item_id"]
        assert added["previous_item_id"] == event["previous_item_id"]
        assert talk.events.index(added) == talk.events.index(event) + 1
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_times_and_usage(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        talk.update(**ENGLISH)
        talk.play(SPEECH.samples)
        talk.hear_until(COMPLETED, 2)
    for number, (first, last) in enumerate(
        [(0, len(SENTENCES[0].split()) - 1), (len(SENTENCES[0].split()), -1)]
    ):
        said_from_ms = 1000 * SPEECH.words[first].start
        said_to_ms = 1000 * SPEECH.words[last].end
        # 300 ms of padding before, 500 ms of silence behind; this voice is noticed late.
        assert talk.of(STARTED)[number]["audio_start_ms"] == pytest.approx(
            said_from_ms - 300, abs=350
        )
        assert talk.of(STOPPED)[number]["audio_end_ms"] == pytest.approx(said_to_ms + 500, abs=250)
        segment, completed = talk.of(SEGMENT)[number], talk.of(COMPLETED)[number]
        assert segment["text"] == SENTENCES[number]
        assert segment["speaker"] == ""
        assert segment["start"] == pytest.approx(said_from_ms / 1000, abs=0.3)
        assert completed["languages"] == [{"code": "en"}]
        length_s = (said_to_ms - said_from_ms) / 1000
        assert completed["usage"] == {
            "type": "duration",
            "seconds": pytest.approx(length_s, abs=0.6),
        }


async def test_the_asynchronous_client(server: LiveServer) -> None:
    judge = Judge()
    client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none")
    async with (
        client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        judge.see(await connection.recv_bytes())
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}
                },
                "include": ["item.input_audio_transcription.logprobs"],
            }
        )
        session = judge.see(await connection.recv_bytes())["session"]
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": "high",
        }
        assert session["include"] == [LOGPROBS]
        await connection.input_audio_buffer.append(
            audio=base64.b64encode(pcm24(SPEECH.samples)).decode()
        )
        while len(judge.texts) < 2:
            judge.see(await connection.recv_bytes())
    assert judge.texts == SENTENCES
    told = [event for event in judge.events if event["type"] in {DELTA, COMPLETED}]
    assert all(event["logprobs"] for event in told)
    assert "logprobs" not in judge.of(STARTED)[0]


def test_no_logprobs_unless_asked_for(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        talk.play(FIRST)
        assert "logprobs" not in talk.hear_until(COMPLETED)


def test_the_client_ends_the_utterances_itself(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        assert talk.update(**MANUAL)["session"]["audio"]["input"]["turn_detection"] is None
        talk.play(FIRST)
        talk.connection.input_audio_buffer.commit()
        assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[0]
        talk.play(REST)
        talk.connection.input_audio_buffer.commit()
        assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[1]
    assert not talk.of(STARTED)
    assert not talk.of(STOPPED)
    assert len(talk.of(COMMITTED)) == 2


def test_a_commit_of_silence_is_an_empty_item(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        talk.update(**MANUAL)
        talk.play(np.zeros(8_000, np.float32))
        talk.connection.input_audio_buffer.commit()
        completed = talk.hear_until(COMPLETED)
    assert (completed["transcript"], completed["languages"]) == ("", [])


@pytest.mark.parametrize("buffered_s", [0.0, 0.09])
def test_there_is_nothing_to_commit(server: LiveServer, buffered_s: float) -> None:
    with realtime(server.url) as talk:
        talk.update(**MANUAL)
        talk.play(np.zeros(round(buffered_s * 16_000), np.float32))
        talk.connection.input_audio_buffer.commit(event_id="mine")
        error = talk.hear()["error"]
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert error["type"] == "invalid_request_error"
        assert error["event_id"] == "mine"
        talk.play(FIRST)
        talk.connection.input_audio_buffer.commit()
        assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[0]
        talk.connection.input_audio_buffer.commit(event_id="again")
        assert talk.hear()["error"]["event_id"] == "again"


def test_the_least_that_can_be_committed(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        talk.update(**MANUAL)
        for _ in range(3):
            talk.play(np.zeros(1_600, np.float32))
            talk.connection.input_audio_buffer.commit()
            talk.hear_until(COMPLETED)


def test_clearing(server: LiveServer) -> None:
    with realtime(server.url) as talk:
        talk.update(**MANUAL)
        talk.play(FIRST[:-4_000])
        talk.connection.input_audio_buffer.clear()
        talk.hear_until(CLEARED)
        talk.connection.input_audio_buffer.commit(event_id="empty")
        assert talk.hear()["error"]["code"] == "input_audio_buffer_commit_empty"
        talk.play(FIRST[-4_000:])
        talk.play(REST)
        talk.connection.input_audio_buffer.commit()
        assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[1]
    assert talk.texts == SENTENCES[1:]
    assert talk.of(COMMITTED)[0]["previous_item_id"] is None


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_after_other_audio(server: LiveServer, kind: str) -> None:
    with realtime(server.url) as talk:
        talk.update(**MANUAL)
        talk.play(FIRST)
        told = talk.update(format={"type": kind})["session"]["audio"]["input"]
        assert told["format"] == {"type": kind}
        assert told["turn_detection"] is None, "what is not mentioned stays"
        talk.play_bytes(telephone(REST, kind), 800)
        talk.connection.input_audio_buffer.commit()
        talk.hear_until(COMPLETED)
    assert talk.texts == [" ".join(SENTENCES)]
    (completed,) = talk.of(COMPLETED)
    assert completed["usage"]["seconds"] == pytest.approx(SPEECH.duration_s, abs=0.6)


def telephone(samples: np.ndarray[Any, Any], kind: str) -> bytes:
    """At 8 kHz by taking every other sample; G.711 by its table, the nearest value each."""
    encoding = StreamEncoding.MULAW if kind == "audio/pcmu" else StreamEncoding.ALAW
    (values,) = RawStream(StreamFormat(encoding, 16_000)).feed(bytes(range(256)))
    order = np.argsort(values)
    places = np.searchsorted(values[order], samples[::2]).clip(0, 255)
    return bytes(order[places].astype(np.uint8))


class TestMistakes:
    @pytest.mark.parametrize(
        ("message", "param", "code"),
        [
            ("{", None, "invalid_json"),
            ("[]", None, "invalid_json"),
            ("[" * 10_000, None, "invalid_json"),
            (r'{"type": "\ud800", "event_id": "\udfff"}', None, "invalid_json"),
            (b"\0" * 3_200, None, "invalid_json"),
            ({}, "type", "invalid_value"),
            ({"type": 5, "event_id": 7}, "type", "invalid_value"),
            ({"type": "nonsense", "event_id": "mine"}, "type", "invalid_value"),
            ({"type": "response.create", "event_id": "mine"}, "type", "invalid_value"),
            ({"type": "input_audio_buffer.append"}, "audio", None),
            ({"type": "input_audio_buffer.append", "audio": 1}, "audio", None),
            ({"type": "input_audio_buffer.append", "audio": "?"}, "audio", "invalid_value"),
            ({"type": "input_audio_buffer.append", "audio": "QUJ"}, "audio", "invalid_value"),
            ({"type": "input_audio_buffer.append", "audio": "é"}, "audio", "invalid_value"),
            ({"type": "session.update"}, "session", None),
            ({"type": "session.update", "session": {"type": "realtime"}}, "session.type", None),
        ],
    )
    def test_are_answered_and_forgotten(
        self, server: LiveServer, message: Any, param: str | None, code: str | None
    ) -> None:
        with realtime(server.url) as talk:
            talk.say(message)
            error = talk.hear()["error"]
            assert error["type"] == "invalid_request_error"
            assert (error["param"], error["code"]) == (param, code)
            own = message.get("event_id") if isinstance(message, dict) else None
            assert error["event_id"] == (own if isinstance(own, str) else None)
            talk.play(FIRST)
            assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[0]

    @pytest.mark.parametrize(
        ("heard", "param"),
        [
            ({"format": {"type": "audio/mp5"}}, "session.audio.input.format.type"),
            ({"format": {"type": "audio/pcm", "rate": 16_000}}, "session.audio.input.format"),
            ({"format": "pcm16"}, "session.audio.input.format"),
            (
                {"turn_detection": {"type": "server_vad", "threshold": 2}},
                "session.audio.input.turn_detection.threshold",
            ),
            (
                {"turn_detection": {"type": "server_vad", "silence_duration_ms": -1}},
                "session.audio.input.turn_detection.silence_duration_ms",
            ),
            ({"turn_detection": {"type": "telepathy"}}, "session.audio.input.turn_detection.type"),
            (
                {"transcription": {"language": "Klingon"}},
                "session.audio.input.transcription.language",
            ),
            (
                {"transcription": {"languages": ["en", "xx"]}},
                "session.audio.input.transcription.languages",
            ),
            (
                {"transcription": {"keywords": ["long"] * 5_000}},
                "session.audio.input.transcription.keywords",
            ),
            (
                {"transcription": {"model": "gpt-4o-transcribe-diarize"}},
                "session.audio.input.transcription.model",
            ),
        ],
    )
    def test_a_bad_setting_changes_nothing(
        self, server: LiveServer, heard: dict[str, Any], param: str
    ) -> None:
        with realtime(server.url) as talk:
            talk.update(**MANUAL)
            told = talk.update(**heard)
            assert told["type"] == "error"
            assert (told["error"]["param"], told["error"]["event_id"]) == (param, "update")
            session = talk.update()["session"]
            assert session["audio"]["input"]["transcription"] == ENGLISH["transcription"]
            assert session["audio"]["input"]["turn_detection"] is None

    def test_a_model_that_is_not_there(self, server: LiveServer) -> None:
        with realtime(server.url) as talk:
            told = talk.update(transcription={"model": "no/such/model"})
            assert told["error"]["param"] == "session.audio.input.transcription.model"
            assert told["error"]["code"] == "model_not_found"
            talk.play(FIRST)
            assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[0]

    def test_a_message_that_is_too_long(self, server: LiveServer) -> None:
        with realtime(server.url) as talk:
            talk.say("x" * (22 * 1024 * 1024))
            (told,) = talk.hear_all()
        assert told["error"]["code"] == "message_too_large"
        assert talk.close is not None
        assert talk.close[0] == 1009

    def test_as_much_audio_at_once_as_is_allowed(self, server: LiveServer) -> None:
        with realtime(server.url) as talk:
            talk.update(**MANUAL)
            data = np.zeros(15 * 1024 * 1024, np.uint8).tobytes()
            talk.play_bytes(data, len(data))
            talk.connection.input_audio_buffer.commit()
            assert talk.hear_until(COMPLETED)["usage"]["seconds"] == pytest.approx(327.68)


def test_what_cannot_be_decoded_fails_alone(tmp_path: Path) -> None:
    async def fail(windows: Sequence[Window]) -> None:
        if any(window.start_s < FIRST_S for window in windows):
            raise BadRequestError("This cannot be decoded.", code="undecodable")

    with live_server(tmp_path, SpokenEngine(SPEECH, fail)) as server, realtime(server.url) as talk:
        talk.play(SPEECH.samples)
        failed = talk.hear_until(FAILED)
        assert failed["error"] == {
            "type": "invalid_request_error",
            "code": "undecodable",
            "message": "This cannot be decoded.",
        }
        assert failed["item_id"] == talk.of(COMMITTED)[0]["item_id"]
        assert talk.hear_until(COMPLETED)["transcript"] == SENTENCES[1]
