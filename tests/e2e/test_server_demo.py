"""`verbatim serve` as a user starts it, with the demo model, driven by OpenAI's client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.support.fake_process import ServerProcess, serving
from tests.support.live_server import PATIENCE_S, wait_until
from tests.support.openai_schema import assert_valid
from tests.support.speech import Speech, error_rate, speech, units

from verbatim.domain.events import Finished
from verbatim.domain.request import DecodeOptions, Gates, TranscriptionRequest
from verbatim.engine.catalog import BUNDLED_DEMO
from verbatim.engine.local import LocalEngine
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.transcribe import Frontend
from verbatim.pipeline.transcribe import transcribe as run

MOST_ERRORS = 0.1
"""The model's own tests are stricter; here it matters that the text is that of the file."""
WORD_START_S = 0.2
NO_SECOND_TRY = {
    "compression_ratio_threshold": "off",
    "log_prob_threshold": "off",
    "no_speech_threshold": "off",
}
"""Without retries at a higher temperature, which draw lots, the same file gives the same text."""
SLOWEST_HEALTH_S = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    spool = tmp_path_factory.mktemp("spool")
    with serving(VERBATIM_SPOOL_DIR=str(spool)) as server:
        yield server
        (folder,) = spool.glob("verbatim-spool-*")
        wait_until(lambda: [path.name for path in folder.iterdir()] == [".lock"])


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load(BUNDLED_DEMO, "verbatim-demo")


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def transcribe(client: OpenAI, file: Speech, **options: Any) -> Any:
    create: Any = client.audio.transcriptions.create
    return create(file=file.path, model="whisper-1", **options)


def test_the_right_text(client: OpenAI) -> None:
    files = speech("short", "en", 4)
    pairs = [(file.text, transcribe(client, file).text, "en") for file in files]
    assert error_rate(pairs) <= MOST_ERRORS


@pytest.mark.parametrize(
    ("language", "name"), [("en", "english"), ("zh", "chinese"), ("ko", "korean")]
)
async def test_what_the_pipeline_says_in_three_languages(
    client: OpenAI, engine: LocalEngine, language: str, name: str
) -> None:
    options = DecodeOptions(gates=Gates(None, None, None))
    for file in speech("short", language, 2):
        answer = transcribe(client, file, response_format="verbose_json", extra_body=NO_SECOND_TRY)
        request = TranscriptionRequest(decode=options)
        *_, end = [event async for event in run(file.path, request, engine, Frontend(SileroVad()))]
        assert isinstance(end, Finished)
        assert answer.text == end.transcript.text != ""
        assert answer.language == name
        assert answer.duration == pytest.approx(file.duration, abs=0.1)


def test_word_times(client: OpenAI) -> None:
    (file,) = speech("short", "en", 1)
    answer = transcribe(
        client,
        file,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    spoken = file.sentences[0].words
    assert [word.word.strip(".") for word in answer.words] == [word.word for word in spoken]
    errors = [abs(f.start - t.start) for f, t in zip(answer.words, spoken, strict=True)]
    assert median(errors) <= WORD_START_S


def test_a_file_in_every_format(client: OpenAI) -> None:
    (file,) = speech("long", "en", 1)
    options: dict[str, Any] = {"extra_body": NO_SECOND_TRY}
    texts = [
        transcribe(client, file, **options).text,
        str(transcribe(client, file, response_format="text", **options)).strip(),
        transcribe(client, file, response_format="verbose_json", **options).text,
    ]
    assert len(set(texts)) == 1
    for form in ("srt", "vtt"):
        assert transcribe(client, file, response_format=form, **options).count("-->") >= 3


def test_a_stream_says_what_the_plain_answer_says(client: OpenAI) -> None:
    (file,) = speech("long", "en", 1)
    plain = transcribe(client, file, extra_body=NO_SECOND_TRY).text
    *deltas, done = transcribe(client, file, stream=True, extra_body=NO_SECOND_TRY)
    assert len(deltas) >= 2
    assert "".join(event.delta for event in deltas) == done.text == plain


def test_log_probabilities_of_real_tokens(server: ServerProcess) -> None:
    (file,) = speech("short", "ko", 1)
    with server.client() as client:
        body = client.post(
            "/v1/audio/transcriptions",
            files={"file": file.path.read_bytes()},
            data={"include[]": "logprobs"},
        ).json()
    assert_valid("CreateTranscriptionResponseJson", body)
    told = bytes(byte for token in body["logprobs"] for byte in token["bytes"]).decode()
    assert told.strip() == body["text"]
    assert all(token["logprob"] <= 0 for token in body["logprobs"])


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translation(client: OpenAI) -> None:
    (file,) = speech("short", "ko", 1)
    answer = client.audio.translations.create(file=file.path, model="whisper-1")
    assert answer.text.isascii()
    assert units(answer.text, "en")


def test_the_demo_model_says_that_it_is_one(server: ServerProcess) -> None:
    (file,) = speech("short", "en", 1)
    with server.client() as client:
        answer = client.post(
            "/v1/audio/transcriptions", files={"file": file.path.read_bytes()}
        ).json()
        health = client.get("/health").json()
        models = client.get("/v1/models").json()
    assert [warning["code"] for warning in answer["warnings"]] == ["demo_model"]
    assert [warning["code"] for warning in health["warnings"]] == ["demo_model"]
    (demo,) = [model for model in models["models"] if model["name"] == "verbatim-demo"]
    assert (demo["loaded"], demo["device"]) == (True, "cpu")
    assert demo["memory_bytes"] > 0
    assert [line["level"] for line in server.lines if line.get("code") == "demo_model"] == [
        "warning"
    ]


async def test_health_answers_while_every_place_is_taken(server: ServerProcess) -> None:
    files = speech("short", "en", 8)
    took_s: list[float] = []
    async with (
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as machine,
    ):
        work = [
            asyncio.create_task(
                client.audio.transcriptions.create(
                    file=file.path, model="whisper-1", prompt=f"Number {i}."
                )
            )
            for i in range(3)
            for file in files
        ]
        while not all(task.done() for task in work):
            began = time.monotonic()
            assert (await machine.get("/health")).status_code == 200
            took_s.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
        for task in work:
            assert task.result().text
    assert len(took_s) >= 10
    assert sorted(took_s)[int(0.99 * (len(took_s) - 1))] < SLOWEST_HEALTH_S
