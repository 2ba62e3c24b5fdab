"""`/v1/transcripts`, as a program and the page meet it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.openai_schema import error_of
from tests.support.speech import wav_of_pcm

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError
from verbatim.engine.fake import FakeEngine

PATH = "/v1/transcripts"
RENDER = "/v1/transcripts/render"
LONG_FORM = {"vad": "false", "strategy": "sequential"}
EVENTS = {"accept": "text/event-stream"}
EDITED: dict[str, Any] = {
    "segments": [
        {
            "start": 0.5,
            "end": 2.5,
            "text": " Hello dear world.",
            "words": [
                {"word": " Hello", "start": 0.5, "end": 1.0, "probability": 0.9},
                {"word": " world.", "start": 2.0, "end": 2.5, "probability": 0.8},
            ],
        }
    ]
}


def wav(seconds: float) -> bytes:
    noise = np.random.default_rng(1).integers(-3000, 3000, int(16_000 * seconds), dtype=np.int16)
    return wav_of_pcm(noise)


def number_of(window: Window) -> str:
    return f" Window at {window.start_s:.0f} seconds. "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), FakeEngine(number_of)) as server:
        yield server


@pytest.fixture(scope="module")
def described(server: LiveServer) -> dict[str, Any]:
    description: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    return description


def check(described: dict[str, Any], path: str, media_type: str, body: object) -> None:
    """Fail unless a body is what the API's description says."""
    content = described[path]["post"]["responses"]["200"]["content"]
    Draft202012Validator(content[media_type]["schema"]).validate(body)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.splitlines() if line]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data:")]


def test_everything_about_a_transcript(server: LiveServer, described: dict[str, Any]) -> None:
    answer = server.post(PATH, language="en")
    assert answer.status_code == 200
    body = answer.json()
    check(described, PATH, "application/json", body)
    assert body["text"] == "Window at 0 seconds."
    assert (body["language"], body["task"], body["model"]) == ("en", "transcribe", "fake")
    assert 2 < body["duration_s"] < 2.5
    assert 0 < body["speech_duration_s"] <= body["duration_s"]
    assert body["processing_s"] > 0
    (segment,) = body["segments"]
    assert "".join(word["word"] for word in segment["words"]) == segment["text"]
    assert segment["words"][0]["probability"] == 1.0
    times = [word["start"] for word in segment["words"]]
    assert times == sorted(times)


def test_words_can_be_left_out(server: LiveServer) -> None:
    (segment,) = server.post(PATH, word_timestamps="false").json()["segments"]
    assert segment["words"] is None


def test_options_reach_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    with live_server(tmp_path, engine) as server:
        answer = server.post(
            PATH,
            task="translate",
            language="Korean",
            prompt="이름",
            hotwords="Seoul",
            **{"keywords[]": "Busan", "beam_size": "2", "temperature": "0.4"},
        )
        assert answer.json()["task"] == "translate"
    options = engine.windows[0].options
    assert (options.language, options.initial_prompt) == ("ko", "이름")
    assert options.hotwords == "Busan, Seoul"
    assert (options.beam_size, options.temperatures) == (2, (0.4,))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"task": "sing"}, "task"),
        ({"language": "klingon"}, "language"),
        ({"beam_size": "0"}, "beam_size"),
        ({"stream": "perhaps"}, "stream"),
        ({"strategy": "parallel", "condition_on_previous_text": "1"}, "condition_on_previous_text"),
    ],
)
def test_what_cannot_be_served_is_told(
    server: LiveServer, fields: dict[str, str], param: str
) -> None:
    answer = server.post(PATH, **fields)
    assert answer.status_code == 400
    assert error_of(answer.json())["param"] == param


def test_what_is_no_audio_is_told_by_the_status_also_to_who_wants_events(
    server: LiveServer,
) -> None:
    with server.client(headers=EVENTS) as client:
        answer = client.post(PATH, files={"file": b"no audio"})
    assert answer.status_code == 415
    assert error_of(answer.json())["code"] == "not_audio"


def test_events_from_the_start_to_the_end(server: LiveServer, described: dict[str, Any]) -> None:
    with server.client(headers=EVENTS) as client:
        answer = client.post(PATH, files={"file": wav(100)}, data=LONG_FORM)
    events = events_of(answer)
    for event in events:
        check(described, PATH, "text/event-stream", event)
    started, *between, done = events
    assert started == {"type": "started", "model": "fake", "duration_s": 100.0, "joined": False}
    assert {event["type"] for event in between} == {"segment", "progress"}
    progress = [event["done_s"] for event in between if event["type"] == "progress"]
    assert progress == sorted(progress)
    assert {event["total_s"] for event in between if event["type"] == "progress"} == {100.0}
    assert done["type"] == "done"
    segments = [event["segment"] for event in between if event["type"] == "segment"]
    assert segments == done["transcript"]["segments"]
    assert len(segments) >= 3


def test_the_field_stream_goes_before_the_header(server: LiveServer) -> None:
    assert events_of(server.post(PATH, stream="true"))[-1]["type"] == "done"
    with server.client(headers=EVENTS) as client:
        answer = client.post(PATH, files={"file": SPEECH.read_bytes()}, data={"stream": "false"})
    assert answer.json()["object"] == "transcript"


def test_who_waits_is_told_the_place_in_the_line(tmp_path: Path) -> None:
    hold = Hold()
    told: dict[int, list[dict[str, Any]]] = {}
    with live_server(
        tmp_path,
        FakeEngine(number_of, hold),
        context_options={"heartbeat_s": 0.05},
        max_running=1,
    ) as server:

        def ask(number: int) -> None:
            with server.client() as client:
                answer = client.post(
                    PATH, files={"file": wav(2 + number)}, data={"stream": "true", "vad": "false"}
                )
            told[number] = events_of(answer)

        threads = []
        for number in range(3):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            wait_for_load(server, number + 1)
        hold.release()
        for thread in threads:
            thread.join()
    positions = [
        [event["position"] for event in told[number] if event["type"] == "queued"]
        for number in range(3)
    ]
    assert positions[:2] == [[], [1]]
    assert positions[2][0] == 2
    assert all(before > after for before, after in pairwise(positions[2]))
    assert all(events[-1]["type"] == "done" for events in told.values())


def wait_for_load(server: LiveServer, count: int) -> None:
    load = server.context.service.load
    wait_until(lambda: load().running + load().waiting == count)


def test_a_comment_breaks_a_long_silence(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(
            tmp_path, FakeEngine(number_of, hold), context_options={"heartbeat_s": 0.05}
        ) as server,
        server.client() as client,
        client.stream(
            "POST", PATH, files={"file": SPEECH.read_bytes()}, data={"stream": "true"}
        ) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        assert json.loads(next(lines).removeprefix("data: "))["type"] == "started"
        assert next(lines).startswith(":")
        assert next(lines).startswith(":")
        hold.release()
        rest = [line for line in lines if line.startswith("data:")]
    assert '"type":"done"' in rest[-1]


def test_a_client_that_leaves_cancels_its_work(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(number_of, hold)) as server:
        with server.client() as client:
            files = {"file": SPEECH.read_bytes()}
            with client.stream("POST", PATH, files=files, data={"stream": "true"}) as answer:
                lines = answer.iter_lines()  # kept: httpx hangs up when nobody has it
                assert "started" in next(lines)
                wait_until(lambda: hold.held == 1)
        wait_until(lambda: hold.cancelled == 1)
        wait_until(server.idle)


def test_an_error_in_mid_stream_is_the_last_event(tmp_path: Path) -> None:
    async def fail(windows: Any) -> None:
        if windows[0].start_s > 0:
            raise InternalError("secret detail")

    with live_server(tmp_path, FakeEngine(number_of, fail)) as server, server.client() as client:
        answer = client.post(PATH, files={"file": wav(70)}, data={"stream": "true", **LONG_FORM})
        *_, last = events_of(answer)
        assert last.pop("type") == "error"
        assert "request id" in error_of(last)["message"]
        assert "secret" not in answer.text


def render(server: LiveServer, form: str, **body: Any) -> httpx.Response:
    with server.client() as client:
        return client.post(RENDER, json={"format": form, "transcript": EDITED, **body})


@pytest.mark.parametrize(
    ("form", "extension", "media_type", "part"),
    [
        ("txt", "txt", "text/plain", "Hello dear world."),
        ("text", "txt", "text/plain", "Hello dear world."),
        ("srt", "srt", "application/x-subrip", "00:00:00,500 --> 00:00:02,500"),
        ("vtt", "vtt", "text/vtt", "WEBVTT"),
        ("tsv", "tsv", "text/tab-separated-values", "500\t2500\tHello dear world."),
        ("lrc", "lrc", "text/plain", "[00:00.50]Hello dear world."),
        ("json", "json", "application/json", '"text": "Hello dear world."'),
        ("verbose_json", "json", "application/json", '"duration": 2.5'),
    ],
)
def test_an_edited_transcript_in_every_format(
    server: LiveServer, form: str, extension: str, media_type: str, part: str
) -> None:
    answer = render(server, form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == media_type
    named = f'attachment; filename="transcript.{extension}"'
    assert answer.headers["content-disposition"] == named
    assert part in answer.text


def test_the_words_of_an_edited_text_have_times(server: LiveServer) -> None:
    words = render(server, "verbose_json", options={"words": True}).json()["words"]
    assert words == [
        {"word": "Hello", "start": 0.5, "end": 1.0},
        {"word": "dear", "start": 1.0, "end": 2.0},
        {"word": "world.", "start": 2.0, "end": 2.5},
    ]


def test_a_transcript_can_be_sent_back_as_it_came(server: LiveServer) -> None:
    with server.client() as client:
        came = client.post(PATH, files={"file": wav(70)}, data=LONG_FORM).json()
        for form in ("srt", "verbose_json"):
            written = client.post(RENDER, json={"format": form, "transcript": came})
            asked = {**LONG_FORM, "response_format": form}
            at_once = client.post("/v1/audio/transcriptions", files={"file": wav(70)}, data=asked)
            assert written.text == at_once.text


def test_captions_are_laid_out_as_asked(server: LiveServer) -> None:
    lines = render(server, "srt", options={"max_line_chars": 6, "max_lines": 1}).text.splitlines()
    assert [line for line in lines if line.isalpha() or line.endswith(".")] == [
        "Hello",
        "dear",
        "world.",
    ]


SEGMENT = EDITED["segments"][0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"format": "docx", "transcript": EDITED}, "choose one of"),
        ({"format": "srt"}, "transcript"),
        ({"format": "srt", "transcript": {}}, "segments"),
        ({"format": "srt", "transcript": {"segments": [{"text": "a"}]}}, "start"),
        ({"format": "srt", "transcript": {"segments": [{**SEGMENT, "end": 0.1}]}}, "ends before"),
        ({"format": "srt", "transcript": {"segments": [{**SEGMENT, "end": 1e300}]}}, "less than"),
        ({"format": "srt", "transcript": {"segments": [{**SEGMENT, "start": "0"}]}}, "number"),
        (
            {
                "format": "srt",
                "transcript": {"segments": [SEGMENT, {**SEGMENT, "start": 0.0}]},
            },
            "not in order",
        ),
        ({"format": "srt", "transcript": EDITED, "options": {"max_lines": 99}}, "max_lines"),
    ],
)
def test_what_cannot_be_written_is_told(server: LiveServer, body: Any, said: str) -> None:
    with server.client() as client:
        answer = client.post(RENDER, json=body)
    assert answer.status_code == 400
    assert said in error_of(answer.json())["message"]


def test_a_body_without_end_is_refused(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.post(
            RENDER,
            content=b'{"format":"srt","x":"' + b"x" * (17 << 20),
            headers={"content-type": "application/json"},
        )
    assert answer.status_code == 413


def test_both_routes_need_the_right_to_transcribe(tmp_path: Path) -> None:
    with live_server(tmp_path, auth="on", admin_key="secret") as server:
        assert server.post(PATH).status_code == 401
        assert render(server, "srt").status_code == 401
        with server.client(headers={"x-api-key": "secret"}) as client:
            answer = client.post(RENDER, json={"format": "srt", "transcript": EDITED})
        assert answer.status_code == 403
