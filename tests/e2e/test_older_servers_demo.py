"""`verbatim serve --like …` as a user of each older server starts it, with the demo model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.callers import get, send_bytes, send_form
from tests.support.fake_process import ServerProcess, serving
from tests.support.speech import error_rate, speech

from verbatim.domain.request import Script
from verbatim.stages.script import convert_text

MOST_ERRORS = 0.1
SOME_MODEL_BYTES = 50_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    variables = {"LOG_LEVEL": "INFO", "MODEL_SIZE": "whatever"}
    with serving("--like", "microservice", **variables) as server:
        yield server


def test_a_variable_of_no_use_is_told(server: ServerProcess) -> None:
    told = "warning: MODEL_SIZE is passed over: 'whatever' is no size of Whisper"
    assert any(line["message"].startswith(told) for line in server.lines)


def test_the_local_server(server: ServerProcess) -> None:
    (file,) = speech("short", "en", 1)
    body = send_form("requests", f"{server.url}/v1/audio/transcriptions", file.path).body
    assert error_rate([(file.text, body["text"], "en")]) <= MOST_ERRORS
    assert (body["language"], body["task"], body["model"]) == ("en", "transcribe", "verbatim-demo")
    assert "".join(segment["text"] for segment in body["segments"]).strip() == body["text"]


def test_the_microservice(server: ServerProcess) -> None:
    (file,) = speech("short", "ko", 1)
    url = f"{server.url}/stt/transcribe/"
    body = send_form("requests", url, file.path, {"beam_size": "2"}).body
    assert error_rate([(file.text, body["text"], "ko")]) <= MOST_ERRORS
    assert body["language"] == "ko"
    assert 0.5 < body["language_probability"] <= 1
    assert body["duration"] == pytest.approx(file.duration, abs=0.1)
    assert body["process_time"] > 0


@pytest.mark.parametrize("way", ["file", "binary"])
def test_the_zhtw_service_writes_traditional_chinese(
    server: ServerProcess, tmp_path: Path, way: str
) -> None:
    for file in speech("short", "zh", 3):
        url = f"{server.url}/transcribe/{way}"
        if way == "file":
            body = send_form("requests", url, file.path, {"timestamps": "true"}).body
            assert "".join(segment["text"] for segment in body["segments"]) == body["text"]
        else:
            told = send_bytes("requests", f"{url}?ext=ogg", file.path.read_bytes(), tmp_path)
            body = told.body
        expected = convert_text(file.text, Script.S2TW)
        assert expected != file.text
        assert error_rate([(expected, body["text"], "zh")]) <= MOST_ERRORS


def test_the_models(server: ServerProcess) -> None:
    told = get("requests", f"{server.url}/models").body
    assert {"name": "verbatim-demo", "loaded": True, "device": "cpu"} in told["models"]


def test_memory_is_cleared_and_the_model_comes_back(server: ServerProcess) -> None:
    cleared = send_form("requests", f"{server.url}/stt/clear-memory").body
    assert cleared["unloaded"] == ["verbatim-demo"]
    assert cleared["freed_bytes"] > SOME_MODEL_BYTES
    assert get("requests", f"{server.url}/stt/health").body["model_loaded"] is False
    # One that was not sent before: what is known already needs no model.
    _, file = speech("short", "en", 2)
    answer = send_form("requests", f"{server.url}/stt/transcribe/", file.path)
    assert error_rate([(file.text, answer.body["text"], "en")]) <= MOST_ERRORS
    health = get("requests", f"{server.url}/stt/health").body
    assert (health["model"], health["model_loaded"]) == ("verbatim-demo", True)
