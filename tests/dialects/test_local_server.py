"""Whisper Local Server's additions to `/v1`, as its desktop applications use them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from tests.support.callers import CALLERS, get, send_form
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import assert_valid, error_of

from verbatim.domain.request import Task
from verbatim.engine.fake import FakeEngine

SAID = "Peter lives in London."
SEGMENT_FIELDS = {
    "id",
    "seek",
    "start",
    "end",
    "text",
    "tokens",
    "temperature",
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(lambda window: SAID)


@pytest.fixture
def server(tmp_path: Path, engine: FakeEngine) -> Iterator[LiveServer]:
    with live_server(tmp_path, engine) as server:
        yield server


@pytest.mark.parametrize("caller", CALLERS)
def test_the_json_answer_has_both_servers_fields(server: LiveServer, caller: str) -> None:
    told = send_form(
        caller,
        f"{server.url}/v1/audio/transcriptions",
        SPEECH,
        {"model": "whisper-1", "language": "en", "response_format": "json"},
    )
    assert told.status == 200
    body = told.body
    assert set(body) == {"text", "usage", "language", "duration", "segments", "model", "task"}
    assert body["text"] == SAID
    assert body["language"] == "en"
    assert body["duration"] == pytest.approx(2.171, abs=0.05)
    assert body["model"] == "fake"
    assert body["task"] == "transcribe"
    (segment,) = body["segments"]
    assert set(segment) == SEGMENT_FIELDS
    assert segment["text"].strip() == SAID
    assert 0 <= segment["start"] < segment["end"] <= body["duration"]
    assert_valid("CreateTranscriptionResponseJson", body)


def test_the_official_client_reads_both(server: LiveServer) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer: Any = client.audio.transcriptions.create(file=SPEECH, model="whisper-1")
    assert answer.text == SAID
    assert answer.usage.seconds == 3
    assert answer.model_extra["language"] == "en"
    assert answer.model_extra["segments"][0]["id"] == 0


@pytest.mark.parametrize(
    ("fields", "task"),
    [
        ({}, Task.TRANSCRIBE),
        ({"task": "transcribe"}, Task.TRANSCRIBE),
        ({"task": "translate"}, Task.TRANSLATE),
    ],
)
def test_the_task_is_honoured(
    server: LiveServer, engine: FakeEngine, fields: dict[str, str], task: Task
) -> None:
    body = server.post(**fields).json()
    assert {window.options.task for window in engine.windows} == {task}
    assert body["task"] == task.value
    assert_valid("CreateTranscriptionResponseJson", body)


def test_an_unknown_task_is_refused(server: LiveServer) -> None:
    answer = server.post(task="summarize")
    assert answer.status_code == 400
    assert error_of(answer.json())["param"] == "task"


def test_translations_and_other_formats_are_openais_alone(server: LiveServer) -> None:
    translated = server.post("/v1/audio/translations").json()
    assert set(translated) == {"text"}
    assert server.post(response_format="text").text.strip() == SAID
    verbose = server.post(response_format="verbose_json").json()
    assert verbose["language"] == "english"
    assert "model" not in verbose


@pytest.mark.parametrize("caller", CALLERS)
def test_the_root_and_health(server: LiveServer, caller: str) -> None:
    server.post()
    root = get(caller, f"{server.url}/").body
    assert {"message", "version", "device", "loaded_models", "supported_models"} <= set(root)
    assert (root["device"], root["loaded_models"]) == ("cpu", ["fake"])
    assert {"tiny", "base", "small", "medium", "large"} <= set(root["supported_models"])
    health = get(caller, f"{server.url}/health").body
    assert (health["status"], health["device"]) == ("healthy", "cpu")
    assert health["loaded_models"] == ["fake"]
