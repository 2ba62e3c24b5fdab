"""`/v1/live` on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.audio_files import FORMATS, encode
from tests.support.live_client import LiveClient
from tests.support.live_server import PATIENCE_S, Hold, LiveServer, live_server, wait_until
from tests.support.spoken import SpokenEngine, live_service, spoken
from websockets.exceptions import InvalidStatus

from verbatim.dialects.native_live.conversation import Conversation
from verbatim.domain.audio import to_pcm
from verbatim.domain.live import LiveOptions
from verbatim.wire.live_audio import LiveFormat, open_live_audio
from verbatim.wire.websocket import SocketClosedError

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0, "Where are you going?", 0.8)
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, SpokenEngine(SPEECH), live_resume_s=0.5) as server:
        yield server


def listen(server: LiveServer, **options: Any) -> LiveClient:
    client = LiveClient(server.url)
    client.start(**{"language": "en", **options})
    return client


def test_a_whole_session(server: LiveServer) -> None:
    with LiveClient(server.url) as client:
        ready = client.start(language="en")
        assert ready["type"] == "ready"
        assert ready["model"] == "fake"
        assert ready["received_bytes"] == 0
        assert len(ready["session"]) == 32
        client.play(SPEECH.samples)
        client.say(type="finish")
        told = list(client.hear_all())
    assert client.finals() == SENTENCES
    assert [message["seq"] for message in told] == list(range(1, len(told) + 1))
    assert told[-1]["type"] == "ended"
    assert (told[-1]["reason"], told[-1]["audio_s"]) == ("finished", SPEECH.duration_s)
    assert client.close == (1000, "finished")
    committed: dict[int, str] = {}
    for message in told:
        if message["type"] == "text":
            before = committed.get(message["utterance"], "")
            assert message["committed"] == before + message["delta"]
            committed[message["utterance"]] = message["committed"]
            assert message["language"] == "en"
            texts = [word["word"] for word in message["words"]]
            assert " ".join(texts) == message["committed"]
            if message["is_final"]:
                assert message["tail"] == ""
                assert message["reason"] in {"endpoint", "finish"}
    kinds = {message["type"] for message in told}
    assert kinds == {"speech_started", "speech_stopped", "utterance_ended", "text", "ended"}


@pytest.mark.parametrize("name", ["webm", "ogg-opus", "wav-s16"])
def test_containers(server: LiveServer, name: str) -> None:
    audio_format = next(each for each in FORMATS if each.name == name)
    data = encode(audio_format, SPEECH.samples, rate_hz=16_000)
    with listen(server, format="container") as client:
        for first in range(0, len(data), 4_000):
            client.socket.send(data[first : first + 4_000])
        client.say(type="finish")
        list(client.hear_all())
    assert client.finals() == SENTENCES


@pytest.mark.parametrize(
    ("encoding", "kind"), [("float32", "<f4"), ("auto", "<f4"), ("auto", "<i2")]
)
def test_raw_encodings(server: LiveServer, encoding: str, kind: str) -> None:
    samples = to_pcm(SPEECH.samples) if kind == "<i2" else SPEECH.samples
    with listen(server, format=encoding) as client:
        client.socket.send(samples.astype(kind).tobytes())
        client.say(type="finish")
        list(client.hear_all())
    assert client.finals() == SENTENCES


def test_orders(server: LiveServer) -> None:
    with listen(server, manual=True) as client:
        client.play(SPEECH.samples[: 16_000 * 3])
        client.say(type="commit")
        first = client.hear_until("text", is_final=True)
        assert (first["committed"], first["reason"]) == (SENTENCES[0], "commit")
        client.say(type="update", manual=False, second_pass=True)
        client.play(SPEECH.samples[16_000 * 3 :])
        second = client.hear_until("text", is_final=True)
        assert (second["committed"], second["reason"]) == (SENTENCES[1], "endpoint")
        again = client.hear_until("second_pass")
        assert (again["utterance"], again["text"]) == (1, SENTENCES[1])
        client.say(type="clear")
        assert client.hear_until("cleared")["utterance"] is None
        client.say(type="finish")
        assert client.hear_until("ended")["reason"] == "finished"


def test_an_update_changes_only_what_it_says(server: LiveServer) -> None:
    with listen(server, language="Korean", prompt="Kim", turns={"silence_s": 0.8}) as client:
        client.say(type="update", hotwords="Seoul")
        client.play(SPEECH.samples)
        client.say(type="finish")
        assert {m["language"] for m in client.hear_all() if m["type"] == "text"} == {"ko"}
    windows = [w for w in server.engine.windows if w.options.initial_prompt == "Seoul Kim"]
    assert {window.options.language for window in windows} == {"ko"}


class TestMistakes:
    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ("{", None),
            ("[]", None),
            ('"text"', None),
            ("[" * 10_000, None),
            ("{}", "type"),
            ('{"type": 5}', "type"),
            ('{"type": "commit"}', "type"),
            ('{"type": "start", "nonsense": 1}', "nonsense"),
            ('{"type": "start", "format": "mp5"}', "format"),
            ('{"type": "start", "rate": 1}', "sample_rate"),
            ('{"type": "start", "rate": 1e999}', "rate"),
            ('{"type": "start", "channels": 100}', "channels"),
            ('{"type": "start", "language": "Klingon"}', "language"),
            ('{"type": "start", "language": "ja"}', "language"),
            ('{"type": "start", "languages": ["en", "xx"]}', "languages"),
            ('{"type": "start", "turns": {"silence_s": -1}}', "silence_s"),
            ('{"type": "start", "model": "no/such/model"}', None),
            ('{"type": "resume", "session": "x"}', "received"),
        ],
    )
    def test_a_bad_beginning_is_the_end(
        self, server: LiveServer, message: str, param: str | None
    ) -> None:
        with LiveClient(server.url) as client:
            client.socket.send(message)
            (told,) = client.hear_all()
        assert told["type"] == "error"
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert told["error"]["message"]
        if param is not None:
            assert told["error"]["param"] == param
        assert client.close is not None
        assert client.close[0] == 1008
        assert client.close[1]

    def test_audio_before_the_start(self, server: LiveServer) -> None:
        with LiveClient(server.url) as client:
            client.socket.send(bytes(3_200))
            (told,) = client.hear_all()
        assert told["error"]["code"] == "no_start"
        assert client.close is not None
        assert client.close[0] == 1003

    def test_later_mistakes_are_answered_and_forgotten(self, server: LiveServer) -> None:
        with listen(server) as client:
            for message in ("no json", '{"type": "start"}', '{"type": "update", "step_s": -1}'):
                client.socket.send(message)
                assert client.hear()["type"] == "error"
            client.play(SPEECH.samples)
            client.say(type="finish")
            list(client.hear_all())
        assert client.finals() == SENTENCES

    def test_but_not_without_end(self, server: LiveServer) -> None:
        with listen(server) as client:
            for _ in range(30):
                client.socket.send("nonsense")
            errors = list(client.hear_all())
        assert len(errors) == 20
        assert client.close is not None
        assert client.close[0] == 1008

    def test_what_is_no_audio(self, server: LiveServer) -> None:
        with listen(server, format="container") as client:
            client.socket.send(b"This is text where audio belongs. " * 500)
            client.say(type="finish")
            error, ended = client.hear_all()
        assert error["error"]["code"] == "not_audio"
        assert ended["type"] == "ended"
        assert client.close is not None
        assert client.close[0] == 1003

    def test_a_message_that_is_too_long(self, server: LiveServer) -> None:
        with listen(server) as client:
            client.socket.send(bytes(5 * 1024 * 1024))
            (told,) = client.hear_all()
        assert told["error"]["code"] == "message_too_large"
        assert client.close is not None
        assert client.close[0] == 1009


class TestResuming:
    def test_after_a_break_nothing_is_lost(self, server: LiveServer) -> None:
        data = to_pcm(SPEECH.samples).tobytes()
        client = LiveClient(server.url)
        session = client.start(language="en")["session"]
        half = len(data) // 6_400 * 3_200
        for first in range(0, half, 3_200):
            client.socket.send(data[first : first + 3_200])
        last = client.hear_until("text")["seq"]
        # Gone without a word: what was on its way either arrived or did not.
        client.socket.socket.close()
        with LiveClient(server.url) as again:
            again.say(type="resume", session=session, received=last)
            ready = again.hear()
            assert (ready["type"], ready["session"]) == ("ready", session)
            at = ready["received_bytes"]
            assert 0 < at <= half
            assert at % 3_200 == 0
            for first in range(at, len(data), 3_200):
                again.socket.send(data[first : first + 3_200])
            again.say(type="finish")
            told = list(again.hear_all())
        assert [message["seq"] for message in told] == list(range(last + 1, last + 1 + len(told)))
        finals = [*client.finals(), *again.finals()]
        assert finals == SENTENCES
        assert told[-1]["audio_s"] == SPEECH.duration_s

    def test_a_second_connection_takes_over(self, server: LiveServer) -> None:
        with LiveClient(server.url) as first, LiveClient(server.url) as second:
            session = first.start(language="en")["session"]
            second.say(type="resume", session=session, received=0)
            assert second.hear()["session"] == session
            list(first.hear_all())
            assert first.close is not None
            assert first.close[0] == 1008
            second.play(SPEECH.samples)
            second.say(type="finish")
            list(second.hear_all())
            assert second.finals() == SENTENCES

    async def test_what_comes_late_over_a_connection_that_was_replaced(self) -> None:
        """The client was told that it did not arrive, and sends it again."""
        async with live_service(SpokenEngine(SPEECH)) as service:
            session = await service.open(LiveOptions(language="en"))
            conversation = Conversation(session, open_live_audio(LiveFormat()), None, lambda: None)
            first = conversation.attach()
            conversation.check(first)
            second = conversation.attach()
            conversation.check(second)
            with pytest.raises(SocketClosedError, match="another connection"):
                conversation.check(first)
            conversation.detach(second, 0.0)
            async with asyncio.timeout(PATIENCE_S):
                await session.ended()

    def test_of_a_session_that_is_not_there(self, server: LiveServer) -> None:
        with LiveClient(server.url) as client:
            client.say(type="resume", session="0" * 32, received=0)
            (told,) = client.hear_all()
        assert told["error"]["code"] == "session_not_found"

    def test_after_messages_that_were_never_sent(self, server: LiveServer) -> None:
        with LiveClient(server.url) as first, LiveClient(server.url) as second:
            session = first.start(language="en")["session"]
            second.say(type="resume", session=session, received=1_000)
            (told,) = second.hear_all()
            assert told["error"]["param"] == "received"
            first.say(type="finish")
            list(first.hear_all())
            assert first.close == (1000, "finished")

    def test_who_does_not_come_back_frees_the_session(self, server: LiveServer) -> None:
        client = listen(server)
        client.play(SPEECH.samples[:32_000])
        client.socket.socket.close()
        wait_until(lambda: server.context.service.live.load().sessions == 0)

    def test_who_says_goodbye_frees_it_at_once(self, tmp_path: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), live_resume_s=300.0) as server:
            with listen(server) as client:
                client.play(SPEECH.samples[:16_000])
            wait_until(lambda: server.context.service.live.load().sessions == 0)


class TestDoors:
    def test_pages_of_other_sites_are_refused(self, server: LiveServer) -> None:
        with pytest.raises(InvalidStatus) as refused:
            LiveClient(server.url, origin="https://evil.example")
        response = refused.value.response
        assert response.status_code == 403
        body = json.loads(response.body or b"")
        assert body["error"]["code"] == "origin_not_allowed"
        assert "x-request-id" in response.headers

    def test_its_own_pages_are_not(self, server: LiveServer) -> None:
        with LiveClient(server.url, origin=server.url) as client:
            assert client.start()["type"] == "ready"

    def test_nor_those_that_are_allowed(self, tmp_path: Path) -> None:
        allowed = ["https://page.example"]
        with live_server(tmp_path, SpokenEngine(SPEECH), cors_origins=allowed) as server:
            with LiveClient(server.url, origin="https://page.example") as client:
                assert client.start()["type"] == "ready"
            with pytest.raises(InvalidStatus):
                LiveClient(server.url, origin="https://page.example.evil.example")

    def test_a_key_is_asked_for_before_anything(self, tmp_path: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), api_key="secret-key-number-1") as server:
            with pytest.raises(InvalidStatus) as refused:
                LiveClient(server.url)
            assert refused.value.response.status_code == 401
            headers = {"Authorization": "Bearer secret-key-number-1"}
            with LiveClient(server.url, additional_headers=headers) as client:
                assert client.start()["type"] == "ready"

    def test_there_may_be_so_many(self, tmp_path: Path) -> None:
        engine = SpokenEngine(SPEECH)
        with live_server(tmp_path, engine, max_live_sessions=1) as server, listen(server):
            with LiveClient(server.url) as second:
                second.say(type="start")
                (told,) = second.hear_all()
            assert told["error"]["code"] == "overloaded"
            assert second.close is not None
            assert second.close[0] == 1013

    def test_an_idle_session_is_ended(self, tmp_path: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), live_idle_s=0.3) as server:
            with listen(server) as client:
                (told,) = client.hear_all()
            assert (told["type"], told["reason"]) == ("ended", "idle")
            assert client.close == (1008, "idle")


def test_stopping_the_server_tells_what_was_said(tmp_path: Path) -> None:
    with live_server(tmp_path, SpokenEngine(SPEECH)) as server:
        with listen(server) as client:
            client.play(SPEECH.samples[: 16_000 * 2])
            client.hear_until("text")
            server.drain.begin()
            told = list(client.hear_all())
            with pytest.raises(InvalidStatus) as refused:
                LiveClient(server.url)
            assert refused.value.response.status_code == 503
        assert told[-1]["reason"] == "draining"
        assert client.close == (1001, "draining")
        assert len(client.finals()) == 1


def test_a_session_in_the_log_and_the_metrics(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, SpokenEngine(SPEECH, hold)) as server:
        with listen(server) as client, server.client() as http:
            client.play(SPEECH.samples)
            wait_until(lambda: hold.held > 0)
            assert "verbatim_live_sessions 1.0" in http.get("/metrics").text
            hold.release()
            client.say(type="finish")
            list(client.hear_all())
        wait_until(lambda: bool(server.logs))
        with server.client() as http:
            metrics = http.get("/metrics").text
    (line,) = [log for log in server.logs if log.get("route") == "/v1/live"]
    assert (line["method"], line["status"], line["model"]) == ("WEBSOCKET", 1000, "fake")
    assert line["audio_s"] == pytest.approx(SPEECH.duration_s)
    assert 'dialect="native_live"' in metrics
    assert 'code="1000"' in metrics
    assert not any("Hello" in str(value) for log in server.logs for value in log.values())
