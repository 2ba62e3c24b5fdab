"""OpenAI's own client, every operation and format, against a fake engine behind the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI, OpenAI
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import assert_valid

from verbatim.domain.request import DEFAULT_TEMPERATURES, Task
from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine

SAID = "Peter lives in London. He has two cats."


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(lambda window: SAID)


@pytest.fixture
def server(tmp_path: Path, engine: FakeEngine) -> Iterator[LiveServer]:
    with live_server(tmp_path, engine) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def transcribe(client: OpenAI, **options: Any) -> Any:
    """Any overload of the client's method."""
    create: Any = client.audio.transcriptions.create
    return create(file=SPEECH, model="whisper-1", **options)


def raw_json(client: OpenAI, **options: Any) -> Any:
    create: Any = client.audio.transcriptions.with_raw_response.create
    return json.loads(create(file=SPEECH, model="whisper-1", **options).text)


def test_json(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(file=SPEECH, model="whisper-1")
    assert answer.text == SAID
    body = raw_json(client)
    assert_valid("CreateTranscriptionResponseJson", body)
    # The speech is 2.171 s long.
    assert body["usage"] == {"type": "duration", "seconds": 3}


def test_text(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=SPEECH, model="whisper-1", response_format="text"
    )
    assert str(answer).strip() == SAID


def test_verbose_json_with_segments(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=SPEECH, model="whisper-1", response_format="verbose_json"
    )
    assert answer.language == "english"
    assert answer.duration == pytest.approx(2.171, abs=0.05)
    assert answer.segments is not None
    assert [segment.text.strip() for segment in answer.segments] == [SAID]
    assert not answer.words
    assert_valid(
        "CreateTranscriptionResponseVerboseJson", raw_json(client, response_format="verbose_json")
    )


@pytest.mark.parametrize("granularities", [["word"], ["segment"], ["word", "segment"]])
def test_verbose_json_lists_what_the_granularities_ask(
    client: OpenAI, granularities: list[Literal["word", "segment"]]
) -> None:
    body = raw_json(client, response_format="verbose_json", timestamp_granularities=granularities)
    assert_valid("CreateTranscriptionResponseVerboseJson", body)
    assert ("words" in body) == ("word" in granularities)
    assert ("segments" in body) == ("segment" in granularities)
    if "word" in granularities:
        assert [word["word"] for word in body["words"]][:3] == ["Peter", "lives", "in"]


@pytest.mark.parametrize(
    ("name", "media_type", "mark"),
    [
        ("srt", "application/x-subrip", "00:00:0"),
        ("vtt", "text/vtt", "WEBVTT"),
        ("tsv", "text/tab-separated-values", "start\tend\ttext"),
        ("lrc", "", "[00:0"),
        ("text", "text/plain", "Peter"),
    ],
)
def test_formats_for_people(server: LiveServer, name: str, media_type: str, mark: str) -> None:
    answer = server.post(response_format=name)
    assert answer.status_code == 200
    assert mark in answer.text
    assert "Peter" in answer.text
    assert answer.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_through_the_client(client: OpenAI, name: str) -> None:
    answer = transcribe(client, response_format=name)
    assert "-->" in answer
    assert "Peter lives" in answer


def test_log_probabilities(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=SPEECH, model="gpt-4o-transcribe", response_format="json", include=["logprobs"]
    )
    assert answer.logprobs is not None
    assert "".join(token.token or "" for token in answer.logprobs).strip() == SAID
    body = raw_json(client, include=["logprobs"])
    assert_valid("CreateTranscriptionResponseJson", body)
    assert bytes(body["logprobs"][0]["bytes"]).decode().strip() == "Peter"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translation(client: OpenAI, engine: FakeEngine) -> None:
    answer = client.audio.translations.create(file=SPEECH, model="whisper-1")
    assert answer.text == SAID
    assert {window.options.task for window in engine.windows} == {Task.TRANSLATE}


@pytest.mark.parametrize("name", ["json", "verbose_json", "text", "srt", "vtt"])
def test_translation_formats(server: LiveServer, name: str) -> None:
    answer = server.post("/v1/audio/translations", response_format=name)
    assert answer.status_code == 200
    assert "Peter" in answer.text
    if name == "json":
        assert_valid("CreateTranslationResponseJson", answer.json())
    if name == "verbose_json":
        assert_valid("CreateTranslationResponseVerboseJson", answer.json())
        assert answer.json()["language"] == "english"


def test_every_parameter_through_the_client(client: OpenAI, engine: FakeEngine) -> None:
    answer = client.audio.transcriptions.create(
        file=("speech.ogg", SPEECH.read_bytes(), "audio/ogg"),
        model="whisper-1",
        language="en",
        prompt="Names: Peter.",
        response_format="verbose_json",
        temperature=0.3,
        timestamp_granularities=["word", "segment"],
        chunking_strategy={
            "type": "server_vad",
            "threshold": 0.4,
            "prefix_padding_ms": 100,
            "silence_duration_ms": 400,
        },
        keywords=["London", "cats"],
        languages=["en", "ko"],
        extra_body={"beam_size": 3, "best_of": 2, "unheard_of": "ignored"},
    )
    assert answer.language == "english"
    options = engine.windows[-1].options
    assert options.language == "en"
    assert options.initial_prompt == "Names: Peter."
    assert options.temperatures == (0.3,)
    assert options.hotwords == "London, cats"
    assert options.word_timestamps
    assert (options.beam_size, options.best_of) == (3, 2)


def test_temperature_zero_is_the_fallback_ladder(client: OpenAI, engine: FakeEngine) -> None:
    transcribe(client, temperature=0)
    transcribe(client)
    assert {window.options.temperatures for window in engine.windows} == {DEFAULT_TEMPERATURES}


def test_the_file_may_come_after_the_fields_or_before(server: LiveServer) -> None:
    boundary = "x"
    file = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.ogg"\r\n\r\n'
    ).encode() + SPEECH.read_bytes()
    field = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="response_format"\r\n\r\ntext'
    ).encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    for parts in ((file, field), (field, file)):
        body = b"\r\n".join(parts) + f"\r\n--{boundary}--\r\n".encode()
        with server.client() as client:
            answer = client.post("/v1/audio/transcriptions", content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.text.strip() == SAID


def test_nothing_but_the_file_is_needed(server: LiveServer) -> None:
    answer = server.post()
    assert answer.status_code == 200
    assert answer.json()["text"] == SAID


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_the_asynchronous_client(server: LiveServer) -> None:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answers = await asyncio.gather(
            *(
                client.audio.transcriptions.create(file=SPEECH, model="whisper-1", prompt=f"{i}")
                for i in range(4)
            )
        )
        translation = await client.audio.translations.create(file=SPEECH, model="whisper-1")
    assert {answer.text for answer in answers} == {SAID}
    assert translation.text == SAID


def test_a_connection_serves_many_requests(server: LiveServer) -> None:
    with server.client() as client:
        for _ in range(3):
            answer = client.post("/v1/audio/transcriptions", files={"file": SPEECH.read_bytes()})
            assert answer.status_code == 200
            assert client.get("/health").status_code == 200
        assert client.post("/v1/audio/transcriptions", data={"a": "b"}).status_code == 415
        assert client.get("/v1/models").status_code == 200


def test_warnings_of_the_model_are_in_the_answer(tmp_path: Path) -> None:
    warning = TranscriptWarning(WarningCode.DEMO_MODEL, "Only a demo.")
    engine = FakeEngine(description=replace(FAKE_DESCRIPTION, warnings=(warning,)))
    with live_server(tmp_path, engine) as server:
        told = server.post().json()["warnings"]
        assert told[0]["code"] == "demo_model"
        with server.client() as client:
            health = client.get("/health").json()
        assert health["warnings"] == [{"code": "demo_model", "message": "Only a demo."}]
