"""`verbatim serve --like zhtw` with BACKEND_URL: the API here, the model on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from tests.support.callers import get, send_bytes, send_form
from tests.support.fake_process import VERBATIM, ServerProcess, server_process, serving
from tests.support.live_server import SPEECH, LiveServer, live_server

from verbatim.engine.fake import FakeEngine

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def back_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    engine = FakeEngine(lambda window: "头发")
    with live_server(tmp_path_factory.mktemp("back"), engine) as server:
        yield server


@pytest.fixture(scope="module")
def front(back_end: LiveServer) -> Iterator[ServerProcess]:
    with serving("--like", "zhtw", BACKEND_URL=f"{NOBODY}, {back_end.url}") as server:
        yield server


@pytest.fixture(scope="module")
def alone() -> Iterator[ServerProcess]:
    # It is never ready.
    command = [VERBATIM, "serve", "--like", "zhtw"]
    with server_process(command, BACKEND_URL=NOBODY) as server:
        yield server


def test_it_says_at_the_start_who_is_there(front: ServerProcess, back_end: LiveServer) -> None:
    assert front.told("work is passed on")["back_end"] == back_end.url
    assert front.told("a back end cannot be reached")["back_end"] == NOBODY
    # It loads no model: that would be a process of its own.
    assert not [line for line in front.lines if "model's process" in line["message"]]


def test_every_dialect_is_served(front: ServerProcess, tmp_path: Path) -> None:
    chinese = {"language": "zh"}
    file = send_form("requests", f"{front.url}/transcribe/file", SPEECH, chinese)
    assert (file.status, file.body["text"]) == (200, "頭髮")
    url = f"{front.url}/transcribe/binary?language=zh&timestamps=true"
    binary = send_bytes("requests", url, SPEECH.read_bytes(), tmp_path).body
    assert [segment["text"] for segment in binary["segments"]] == ["頭髮"]
    micro = send_form("requests", f"{front.url}/stt/transcribe/", SPEECH, chinese).body
    assert (micro["text"], micro["language_probability"]) == ("头发", 1.0)
    assert send_form("requests", f"{front.url}/transcribe", SPEECH, chinese).body["text"] == "头发"


def test_words_and_streams_come_through(front: ServerProcess) -> None:
    with OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.audio.transcriptions.create(
            file=SPEECH,
            model="whisper-1",
            language="zh",
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
        assert answer.words is not None
        assert [word.word for word in answer.words] == ["头发"]
        *_, last = client.audio.transcriptions.create(
            file=SPEECH, model="whisper-1", language="zh", stream=True
        )
        assert last.type == "transcript.text.done"
        assert last.text == "头发"


def test_errors_of_the_back_end_come_through(front: ServerProcess, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all")
    told = send_form("requests", f"{front.url}/transcribe/file", text)
    assert told.status == 415
    assert told.body["success"] is False
    assert "not audio or video" in told.body["error"]


def test_it_says_clearly_that_none_can_be_reached(alone: ServerProcess) -> None:
    told = send_form("requests", f"{alone.url}/transcribe/file", SPEECH)
    assert told.status == 503
    assert told.headers["retry-after"] == "10"
    assert told.body == {
        "success": False,
        "error": f"No back end can be reached: {NOBODY} (connection refused). Start one, or set "
        "backend_url to where it is.",
    }
    assert get("requests", f"{alone.url}/health").status == 200
    ready = get("requests", f"{alone.url}/ready")
    assert (ready.status, ready.body["reason"]) == (503, told.body["error"])
    status = get("requests", f"{alone.url}/v1/server/status").body
    assert (status["ready"], status["not_ready_reason"]) == (False, told.body["error"])


def test_one_back_end_is_enough_to_be_ready(front: ServerProcess) -> None:
    assert get("requests", f"{front.url}/ready").status == 200
    assert get("requests", f"{front.url}/v1/server/status").body["ready"] is True
