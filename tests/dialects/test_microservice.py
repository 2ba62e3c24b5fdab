"""The speech-to-text microservice, as its documentation calls it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.audio_files import FORMATS, encode
from tests.support.callers import CALLERS, Told, get, send_form
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until

from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.stages.decode_audio import decode_all

SAID = "Peter lives in London."
ANSWER = {"text", "language", "language_probability", "duration", "segments", "process_time"}
SEGMENT = {"id", "start", "end", "text", "avg_logprob", "no_speech_prob"}
AT_ONCE = 20
NAMED = {"mp3": "mp3", "wav": "wav-s16", "flac": "flac", "ogg": "ogg-vorbis", "m4a": "m4a"}


class RememberingEngine(FakeEngine):
    """Takes memory, as a real one."""

    def memory_bytes(self) -> int:
        return 0 if self.closed else 300 * 1024 * 1024


@pytest.fixture
def engine(server: LiveServer) -> FakeEngine:
    """The server's, unused so far."""
    engine = server.engine
    send_form("requests", f"{server.url}/stt/clear-memory")
    engine.windows.clear()
    engine.closed = False
    return engine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, RememberingEngine(lambda window: SAID)) as server:
        yield server


def transcribe(server: LiveServer, caller: str = "requests", **fields: str) -> Told:
    return send_form(caller, f"{server.url}/stt/transcribe/", SPEECH, fields)


@pytest.mark.parametrize("caller", CALLERS)
def test_transcribe(server: LiveServer, engine: FakeEngine, caller: str) -> None:
    told = transcribe(server, caller, language="en", beam_size="3")
    assert told.status == 200
    assert set(told.body) == ANSWER
    assert told.body["text"] == SAID
    assert told.body["language"] == "en"
    assert told.body["language_probability"] == 1.0
    assert told.body["duration"] == pytest.approx(2.171, abs=0.05)
    assert told.body["process_time"] >= 0
    (segment,) = told.body["segments"]
    assert set(segment) == SEGMENT
    assert segment["text"] == SAID
    assert 0 <= segment["start"] < segment["end"]
    options = engine.windows[-1].options
    assert (options.language, options.beam_size) == ("en", 3)


def test_nothing_but_the_file_is_needed(server: LiveServer, engine: FakeEngine) -> None:
    assert transcribe(server).status == 200
    assert (engine.windows[-1].options.language, engine.windows[-1].options.beam_size) == (None, 5)


def test_the_path_without_its_last_slash(server: LiveServer) -> None:
    assert send_form("requests", f"{server.url}/stt/transcribe", SPEECH).body["text"] == SAID


@pytest.mark.parametrize("name", NAMED)
def test_the_formats_it_names(server: LiveServer, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"speech.{name}"
    path.write_bytes(encoded(name))
    told = send_form("requests", f"{server.url}/stt/transcribe/", path)
    assert told.status == 200, told.body
    assert told.body["duration"] == pytest.approx(2.171, abs=0.1)


def encoded(name: str) -> bytes:
    """The speech in another format."""
    samples, *_ = decode_all(SPEECH)
    by_name = {known.name: known for known in FORMATS}
    return encode(by_name[NAMED[name]], samples, SAMPLE_RATE_HZ)


def test_twenty_requests_at_once(tmp_path: Path) -> None:
    hold = Hold()
    engine = FakeEngine(lambda window: SAID, hold)
    with live_server(tmp_path, engine) as server, ThreadPoolExecutor(AT_ONCE) as threads:
        # Different requests, which cannot share one transcription.
        told = [
            threads.submit(transcribe, server, beam_size=str(1 + i % 5), prompt=f"Number {i}.")
            for i in range(AT_ONCE)
        ]
        wait_until(lambda: taken(server) == AT_ONCE)
        hold.release()
        answers = [answer.result() for answer in told]
    assert [answer.status for answer in answers] == [200] * AT_ONCE
    assert {answer.body["text"] for answer in answers} == {SAID}


def taken(server: LiveServer) -> int:
    load = server.context.service.load()
    return load.running + load.waiting


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.usefixtures("engine")
def test_health(server: LiveServer, caller: str) -> None:
    cold = {
        "status": "healthy",
        "model": "verbatim-demo",
        "model_loaded": False,
        "device": server.context.settings.device,
        "compute_type": "auto",
        "fallback": None,
        "running": 0,
        "waiting": 0,
    }
    assert get(caller, f"{server.url}/stt/health").body == cold
    transcribe(server)
    warm = {"model": "fake", "model_loaded": True, "device": "cpu", "compute_type": "float32"}
    assert get(caller, f"{server.url}/stt/health").body == {**cold, **warm}


def test_health_tells_of_a_gpu_that_does_not_work(tmp_path: Path) -> None:
    why = "The GPU does not work (no driver); the model runs on the CPU."
    warning = TranscriptWarning(WarningCode.DEVICE_FALLBACK, why)
    engine = FakeEngine(description=replace(FAKE_DESCRIPTION, warnings=(warning,)))
    with live_server(tmp_path, engine) as server:
        told = transcribe(server)
        assert told.body["warnings"] == [{"code": "device_fallback", "message": why}]
        health = get("requests", f"{server.url}/stt/health").body
    assert (health["device"], health["fallback"]) == ("cpu", why)


@pytest.mark.parametrize("caller", CALLERS)
def test_clear_memory(server: LiveServer, engine: FakeEngine, caller: str) -> None:
    transcribe(server)
    told = send_form(caller, f"{server.url}/stt/clear-memory")
    assert told.status == 200
    assert told.body == {
        "status": "success",
        "message": "Unloaded verbatim-demo; 300.0 MB are free again.",
        "unloaded": ["verbatim-demo"],
        "freed_bytes": 300 * 1024 * 1024,
        "freed_mb": 300.0,
    }
    assert engine.closed
    assert get(caller, f"{server.url}/stt/health").body["model_loaded"] is False
    again = send_form(caller, f"{server.url}/stt/clear-memory").body
    assert (again["unloaded"], again["freed_bytes"]) == ([], 0)
    assert again["message"] == "Unloaded nothing that is idle; 0.0 MB are free again."


def test_a_model_in_use_stays(tmp_path: Path) -> None:
    hold = Hold()
    engine = FakeEngine(lambda window: SAID, hold)
    with live_server(tmp_path, engine) as server, ThreadPoolExecutor(1) as threads:
        told = threads.submit(transcribe, server)
        wait_until(lambda: hold.held == 1)
        cleared = send_form("requests", f"{server.url}/stt/clear-memory").body
        assert cleared["unloaded"] == []
        hold.release()
        assert told.result().body["text"] == SAID


@pytest.mark.parametrize("caller", CALLERS)
def test_errors_are_details(server: LiveServer, tmp_path: Path, caller: str) -> None:
    url = f"{server.url}/stt/transcribe/"
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all")
    cases = [
        (send_form(caller, url, None, {"language": "en"}), {400, 415}),
        (send_form(caller, url, text), {415}),
        (send_form(caller, url, SPEECH, {"beam_size": "many"}), {400}),
        (send_form(caller, url, SPEECH, {"language": "klingon"}), {400}),
        (send_form(caller, url, SPEECH, {"model": "no-such-model"}), {404}),
        (get(caller, url), {405}),
        (get(caller, f"{server.url}/stt/nothing"), {404}),
    ]
    for told, statuses in cases:
        assert told.status in statuses
        assert set(told.body) == {"detail"}
        assert told.body["detail"]


def test_too_large(tmp_path: Path) -> None:
    with live_server(tmp_path, max_upload_bytes=1000) as server:
        told = transcribe(server)
    assert told.status == 413
    assert told.body["detail"].startswith("The file is larger than 1000 bytes")
