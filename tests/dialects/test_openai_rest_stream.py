"""Streaming: what OpenAI's client sees of it, and what lies on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.openai_schema import assert_valid, error_of
from tests.support.speech import wav_of_pcm

from verbatim.dialects.openai_rest.events import GrowingText
from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError, NotAudioError
from verbatim.engine.fake import FakeEngine

LONG_FORM = {"vad": "false", "strategy": "sequential"}


def wav(seconds: float) -> bytes:
    """Noise; enough for windows when voice activity is off."""
    noise = np.random.default_rng(1).integers(-3000, 3000, int(16_000 * seconds), dtype=np.int16)
    return wav_of_pcm(noise)


def number_of(window: Window) -> str:
    return f" Window at {window.start_s:.0f} seconds. "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), FakeEngine(number_of)) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def stream(client: OpenAI, seconds: float = 100, **options: Any) -> list[Any]:
    return list(
        client.audio.transcriptions.create(
            file=("a.wav", wav(seconds)),
            model="whisper-1",
            stream=True,
            extra_body=LONG_FORM,
            **options,
        )
    )


def lines_of(server: LiveServer, **fields: str) -> list[str]:
    data = {"stream": "true", **LONG_FORM, **fields}
    with (
        server.client() as client,
        client.stream(
            "POST", "/v1/audio/transcriptions", files={"file": wav(70)}, data=data
        ) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(answer.iter_lines())


def test_deltas_join_to_the_whole_text(client: OpenAI) -> None:
    *deltas, done = stream(client)
    assert len(deltas) >= 3
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert done.text.startswith("Window at 0 seconds. Window at ")
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    assert done.usage.input_tokens == pytest.approx(100 * 50, abs=5)


def test_only_data_lines_that_fit_the_schemas(server: LiveServer) -> None:
    lines = lines_of(server)
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert all(line.startswith("data: ") for line in lines if line)
    for event in events:
        assert_valid("CreateTranscriptionResponseStreamEvent", event)
    for event in events[:-1]:
        assert_valid("TranscriptTextDeltaEvent", event)
    assert_valid("TranscriptTextDoneEvent", events[-1])


def test_the_stream_says_what_the_plain_answer_says(server: LiveServer) -> None:
    done = json.loads(lines_of(server)[-2].removeprefix("data: "))
    with server.client() as client:
        plain = client.post(
            "/v1/audio/transcriptions", files={"file": wav(70)}, data=LONG_FORM
        ).json()
    assert done["text"] == plain["text"]


def test_log_probabilities_come_with_the_deltas(client: OpenAI) -> None:
    *deltas, done = stream(client, include=["logprobs"])
    assert all(event.logprobs for event in deltas)
    told = [token.token for event in deltas for token in event.logprobs]
    assert [token.token for token in done.logprobs] == told


@pytest.mark.parametrize("name", ["text", "srt", "verbose_json"])
def test_a_stream_is_a_stream_whatever_the_format(server: LiveServer, name: str) -> None:
    assert "transcript.text.done" in lines_of(server, response_format=name)[-2]


async def test_the_asynchronous_client(server: LiveServer) -> None:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        events = [
            event
            async for event in await client.audio.transcriptions.create(
                file=SPEECH, model="whisper-1", stream=True
            )
        ]
    assert events[-1].type == "transcript.text.done"


def test_the_first_text_comes_before_the_last_is_known(tmp_path: Path) -> None:
    hold = Hold()

    async def hold_second(windows: Any) -> None:
        if windows[0].start_s > 0:
            await hold(windows)

    engine = FakeEngine(number_of, hold_second)
    with (
        live_server(tmp_path, engine) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        events = iter(
            client.audio.transcriptions.create(
                file=("a.wav", wav(70)), model="whisper-1", stream=True, extra_body=LONG_FORM
            )
        )
        first: Any = next(events)
        assert first.delta == "Window at 0 seconds."
        wait_until(lambda: hold.held == 1)
        hold.release()
        assert list(events)[-1].type == "transcript.text.done"


def test_empty_deltas_keep_a_silent_stream_alive(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(
            tmp_path, FakeEngine(number_of, hold), context_options={"heartbeat_s": 0.05}
        ) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        events = iter(
            client.audio.transcriptions.create(file=SPEECH, model="whisper-1", stream=True)
        )
        silent: list[Any] = [next(events) for _ in range(3)]
        assert [event.delta for event in silent] == ["", "", ""]
        hold.release()
        rest: list[Any] = list(events)
        *deltas, done = rest
        assert "".join(event.delta for event in deltas) == done.text == "Window at 0 seconds."


def test_silence_is_an_empty_text(tmp_path: Path) -> None:
    with (
        live_server(tmp_path, FakeEngine(lambda window: "")) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        (done,) = stream(client, seconds=2)
        assert (done.type, done.text) == ("transcript.text.done", "")


def failing_after_first(error: Exception) -> FakeEngine:
    async def fail(windows: Any) -> None:
        if windows[0].start_s > 0:
            raise error

    return FakeEngine(number_of, fail)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (NotAudioError("The rest is no audio."), "The rest is no audio."),
        (InternalError("secret detail"), "request id"),
        (RuntimeError("secret detail"), "request id"),
    ],
)
def test_an_error_in_mid_stream_is_an_event(tmp_path: Path, error: Exception, shown: str) -> None:
    with (
        live_server(tmp_path, failing_after_first(error)) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        lines = [line for line in lines_of(server) if line]
        last = json.loads(lines[-1].removeprefix("data: "))
        assert last.pop("type") == "error"
        assert shown in error_of(last)["message"]
        assert "secret" not in lines[-1]
        with pytest.raises(openai.APIError, match=shown.split(maxsplit=1)[0]):
            stream(client)


def test_an_error_before_the_first_event_is_a_plain_answer(tmp_path: Path) -> None:
    async def fail(windows: Any) -> None:
        raise NotAudioError("No audio.")

    with live_server(
        tmp_path, FakeEngine(number_of, fail), context_options={"heartbeat_s": 5}
    ) as server:
        answer = server.post(stream="true")
        assert answer.status_code == 415
        assert error_of(answer.json())["code"] == "not_audio"


@given(st.lists(st.text(st.sampled_from(" ab\n"), max_size=4)))
def test_deltas_always_join_to_the_stripped_text(parts: list[str]) -> None:
    growing = GrowingText()
    deltas = [growing.add(part) for part in parts]
    assert "".join(deltas) == growing.text == "".join(parts).strip()
