"""`POST /v1/listen`, driven by Deepgram's client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deepgram.core.api_error import ApiError
from tests.support.audio_files import FORMATS, encode
from tests.support.deepgram_client import async_client, client
from tests.support.live_server import LiveServer, live_server
from tests.support.speech import wav
from tests.support.spoken import SpokenEngine, spoken

SPEECH = spoken(0.5, "Hello there, my good friends.", 0.4, "Where are you going?", 0.8)
"""No pause is so long that it is taken out: the fake engine could not tell where it was."""
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
BARE = ["hello there my good friends", "where are you going"]
FILE = wav(SPEECH.samples)
KEY = "secret-key-number-1"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        yield server


def post(server: LiveServer, *content: bytes, **query: str) -> dict[str, Any]:
    with server.client() as http:
        response = http.post("/v1/listen", content=b"".join(content) or FILE, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert response.headers["dg-request-id"] == answer["metadata"]["request_id"]
    return answer


def said(answer: dict[str, Any]) -> dict[str, Any]:
    (channel,) = answer["results"]["channels"]
    (only,) = channel["alternatives"]
    assert isinstance(only, dict)
    return only


def test_the_client(server: LiveServer) -> None:
    with client(server.url) as deepgram:
        answer: Any = deepgram.listen.v1.media.transcribe_file(
            request=FILE, model="nova-3", punctuate=True, tag="mine"
        )
    (channel,) = answer.results.channels
    (only,) = channel.alternatives
    assert only.transcript == " ".join(SENTENCES)
    assert only.confidence == pytest.approx(0.9)
    for told, word in zip(only.words, SPEECH.words, strict=True):
        assert told.punctuated_word == word.text.strip()
        assert told.word == word.text.strip(" ,.?").lower()
        # Nothing is said before voice activity begins.
        assert told.end == pytest.approx(word.end, abs=0.01)
    metadata = answer.metadata
    assert metadata.sha256 == hashlib.sha256(FILE).hexdigest()
    assert metadata.duration == pytest.approx(SPEECH.duration_s, abs=0.01)
    assert abs(datetime.now(UTC) - metadata.created) < timedelta(minutes=1)
    assert metadata.tags == ["mine"]
    (model,) = metadata.models
    assert metadata.model_info[model]["name"] == "fake"
    assert answer.results.utterances is None


async def test_the_asynchronous_client(server: LiveServer) -> None:
    async with async_client(server.url) as deepgram:
        media = deepgram.listen.v1.media
        answer: Any = await media.transcribe_file(request=FILE, model="nova-2-general")
    assert answer.results.channels[0].alternatives[0].transcript == " ".join(BARE)


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg-opus", "m4a"])
def test_files_of_other_kinds(server: LiveServer, name: str) -> None:
    form = next(each for each in FORMATS if each.name == name)
    data = encode(form, SPEECH.samples, rate_hz=16_000)
    assert said(post(server, data))["transcript"] == " ".join(BARE)


def test_text_is_bare_unless_asked_for(server: LiveServer) -> None:
    only = said(post(server))
    assert only["transcript"] == " ".join(BARE)
    assert set(only["words"][0]) == {"word", "start", "end", "confidence"}
    for asked in ("punctuate", "smart_format", "paragraphs"):
        assert said(post(server, **{asked: "true"}))["transcript"] == " ".join(SENTENCES)


def test_paragraphs(server: LiveServer) -> None:
    told = said(post(server, paragraphs="true"))["paragraphs"]
    sentences = [s for paragraph in told["paragraphs"] for s in paragraph["sentences"]]
    assert [sentence["text"] for sentence in sentences] == SENTENCES
    assert sum(paragraph["num_words"] for paragraph in told["paragraphs"]) == len(SPEECH.words)
    assert told["transcript"].split() == " ".join(SENTENCES).split()
    assert sentences[1]["start"] >= sentences[0]["end"]


@pytest.mark.parametrize(("split", "count"), [("0.3", 2), (None, 1), ("0.5", 1)])
def test_utterances(server: LiveServer, split: str | None, count: int) -> None:
    query = {} if split is None else {"utt_split": split}
    told = post(server, utterances="true", punctuate="true", **query)["results"]["utterances"]
    assert len(told) == count
    assert " ".join(each["transcript"] for each in told) == " ".join(SENTENCES)
    assert len({each["id"] for each in told}) == count
    for each in told:
        assert (each["start"], each["end"]) == (
            each["words"][0]["start"],
            each["words"][-1]["end"],
        )
        assert (each["channel"], each["confidence"]) == (0, pytest.approx(0.9))


class TestLanguages:
    def test_is_detected(self, server: LiveServer) -> None:
        for query in ({}, {"detect_language": "true"}, {"language": "multi"}):
            (channel,) = post(server, **query)["results"]["channels"]
            assert channel["detected_language"] == "en"
            assert channel["language_confidence"] == pytest.approx(0.9)

    def test_is_given(self, server: LiveServer) -> None:
        (channel,) = post(server, language="en-GB")["results"]["channels"]
        assert "detected_language" not in channel
        assert server.engine.windows[-1].options.language == "en"

    def test_is_one_of_these(self, server: LiveServer) -> None:
        with server.client() as http:
            answer = http.post("/v1/listen", content=FILE, params={"detect_language": ["en", "ko"]})
        assert answer.status_code == 200
        asked = [window.options.candidate_languages for window in server.engine.windows]
        assert ("en", "ko") in asked

    def test_several(self, server: LiveServer) -> None:
        only = said(post(server, language="multi"))
        assert only["languages"] == ["en"]
        assert {word["language"] for word in only["words"]} == {"en"}


def test_words_that_are_likely(server: LiveServer) -> None:
    with server.client() as http:
        query = {"keyterm": ["New York", "Seoul"], "keywords": ["Busan:1.5"]}
        assert http.post("/v1/listen", content=FILE, params=query).status_code == 200
    assert server.engine.windows[-1].options.hotwords == "New York, Seoul, Busan"


def test_silence(server: LiveServer) -> None:
    answer = post(server, wav(SPEECH.samples[:6_000] * 0), paragraphs="true", utterances="true")
    only = said(answer)
    assert (only["transcript"], only["confidence"], only["words"]) == ("", 0.0, [])
    assert only["paragraphs"] == {"transcript": "", "paragraphs": []}
    assert answer["results"]["utterances"] == []


def test_what_is_asked_for_and_not_done_is_said(server: LiveServer) -> None:
    answer = post(server, diarize="true", topics="false", summarize="v2", nonsense="1")
    warned = [warning["parameter"] for warning in answer["metadata"]["warnings"]]
    assert warned == ["diarize", "summarize"]
    assert "warnings" not in post(server)["metadata"]


class TestRefusals:
    @staticmethod
    def refused(response: Any, status: int, code: str) -> str:
        assert response.status_code == status
        body = response.json()
        assert set(body) == {"err_code", "err_msg", "request_id"}
        assert body["err_code"] == code
        assert response.headers["dg-request-id"] == body["request_id"] != ""
        assert response.headers["dg-error"]
        message = body["err_msg"]
        assert isinstance(message, str)
        return message

    def test_addresses_of_recordings(self, server: LiveServer) -> None:
        with client(server.url) as deepgram, pytest.raises(ApiError) as error:
            deepgram.listen.v1.media.transcribe_url(url="https://example.org/a.wav")
        assert error.value.status_code == 400
        assert "fetches no recordings" in str(error.value.body)

    def test_forms(self, server: LiveServer) -> None:
        with server.client() as http:
            response = http.post("/v1/listen", files={"file": FILE})
        assert "--data-binary" in self.refused(response, 415, "UNSUPPORTED_MEDIA")

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ({"callback": "https://evil.example"}, "callback"),
            ({"redact": "pci"}, "redact"),
            ({"language": "Klingon"}, "Klingon"),
            ({"utt_split": "-1"}, "utt_split"),
            ({"utt_split": "nan"}, "utt_split"),
            ({"punctuate": "maybe"}, "punctuate"),
            ({"model": "x" * 300}, "model"),
        ],
    )
    def test_bad_parameters(self, server: LiveServer, query: dict[str, str], words: str) -> None:
        with server.client() as http:
            response = http.post("/v1/listen", content=FILE, params=query)
        assert words in self.refused(response, 400, "Bad Request")

    def test_a_model_that_is_not_there(self, server: LiveServer) -> None:
        with server.client() as http:
            response = http.post("/v1/listen", content=FILE, params={"model": "no/such"})
        self.refused(response, 404, "NOT_FOUND")

    def test_what_is_no_audio(self, server: LiveServer) -> None:
        with server.client() as http:
            self.refused(http.post("/v1/listen", content=b"text" * 99), 415, "UNSUPPORTED_MEDIA")
            self.refused(http.post("/v1/listen", content=b""), 415, "UNSUPPORTED_MEDIA")

    def test_other_methods(self, server: LiveServer) -> None:
        with server.client() as http:
            self.refused(http.delete("/v1/listen"), 405, "Bad Request")
            self.refused(http.get("/v1/listen/nothing"), 404, "NOT_FOUND")

    def test_recordings_that_are_too_large(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), max_upload_bytes=1_000) as server,
            server.client() as http,
        ):
            response = http.post("/v1/listen", content=FILE)
            self.refused(response, 413, "PAYLOAD_TOO_LARGE")

    def test_who_has_no_key(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, SpokenEngine(SPEECH), api_key=KEY) as server,
            server.client() as http,
        ):
            self.refused(http.post("/v1/listen", content=FILE), 401, "INVALID_AUTH")
            with client(server.url, KEY) as deepgram:
                answer: Any = deepgram.listen.v1.media.transcribe_file(request=FILE)
            assert answer.results.channels[0].alternatives[0].transcript


def test_it_is_described(server: LiveServer) -> None:
    with server.client() as http:
        described = http.get("/openapi.json").json()["paths"]["/v1/listen"]["post"]
    names = {parameter["name"] for parameter in described["parameters"]}
    assert {"model", "punctuate", "utterances", "utt_split"} <= names
    answers = described["responses"]
    error = answers["4XX"]["content"]["application/json"]["schema"]
    assert error["required"] == ["err_code", "err_msg", "request_id"]
    assert "RecordedAnswer" in json.dumps(answers["200"])
