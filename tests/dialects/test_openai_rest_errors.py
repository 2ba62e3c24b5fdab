"""Every error in OpenAI's shape, and the exceptions that its client makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import error_of

from verbatim.domain import errors
from verbatim.engine.fake import FakeEngine

ROUTES = ["/v1/audio/transcriptions", "/v1/audio/translations"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def refusal(server: LiveServer, fields: dict[str, str], status: int = 400) -> dict[str, Any]:
    answer = server.post(**fields)
    assert answer.status_code == status, answer.text
    return error_of(answer.json())


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("response_format", "docx"),
        ("temperature", "warm"),
        ("temperature", "1.5"),
        ("temperature", "nan"),
        ("language", "klingon"),
        ("script", "runes"),
        ("strategy", "lucky"),
        ("beam_size", "0"),
        ("beam_size", "1000"),
        ("best_of", "many"),
        ("vad", "perhaps"),
        ("max_lines", "0"),
        ("max_line_chars", "wide"),
        ("max_cue_s", "1000"),
        ("max_chars_per_s", "-1"),
        ("no_speech_threshold", "high"),
        ("model", "x" * 300),
    ],
)
def test_a_bad_value_names_its_parameter(
    server: LiveServer, route: str, param: str, value: str
) -> None:
    answer = server.post(route, **{param: value})
    assert answer.status_code == 400, answer.text
    error = error_of(answer.json())
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("timestamp_granularities[]", "syllable"),
        ("include[]", "everything"),
        ("languages[]", "klingon"),
        ("stream", "sometimes"),
        ("chunking_strategy", "square"),
        ("chunking_strategy", '{"type": "server_vad", "threshold": 7}'),
        ("chunking_strategy[type]", "client_vad"),
    ],
)
def test_a_bad_value_of_transcription_alone(server: LiveServer, param: str, value: str) -> None:
    assert refusal(server, {param: value})["param"] == param.partition("[")[0]


def test_parameters_that_do_not_fit_together(server: LiveServer) -> None:
    error = refusal(server, {"condition_on_previous_text": "true", "strategy": "parallel"})
    assert error["param"] == "condition_on_previous_text"
    error = refusal(server, {"include[]": "logprobs", "response_format": "srt"})
    assert error["param"] == "include"


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("response_format", "diarized_json"),
        ("model", "gpt-4o-transcribe-diarize"),
        ("known_speaker_names[]", "Ann"),
        ("known_speaker_references[]", "data:audio/wav;base64," + "A" * 200_000),
    ],
)
def test_speakers_are_refused_plainly(server: LiveServer, param: str, value: str) -> None:
    error = refusal(server, {param: value})
    assert error["param"] == param.partition("[")[0]
    assert "speakers" in error["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_without_a_file(server: LiveServer, route: str) -> None:
    with server.client() as client:
        answer = client.post(route, files={"model": (None, "whisper-1")})
        assert answer.status_code == 400
        assert error_of(answer.json())["param"] == "file"
        # What curl sends for -F file=recording.wav without the @.
        answer = client.post(route, files={"file": (None, "recording.wav")})
        assert answer.status_code == 400
        assert "@" in error_of(answer.json())["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_bodies_of_other_types(server: LiveServer, route: str) -> None:
    with server.client() as client:
        for answer in (
            client.post(route, json={"model": "whisper-1"}),
            client.post(route, data={"model": "whisper-1"}),
            client.post(route, content=SPEECH.read_bytes(), headers={"content-type": "audio/ogg"}),
            client.post(route),
        ):
            assert answer.status_code == 415, answer.text
            assert "multipart/form-data" in error_of(answer.json())["message"]
        answer = client.post(route, content=b"x", headers={"content-type": "multipart/form-data"})
        assert answer.status_code == 400
        assert "boundary" in error_of(answer.json())["message"]


def test_a_compressed_body(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.post(
            ROUTES[0], files={"file": SPEECH.read_bytes()}, headers={"content-encoding": "gzip"}
        )
    assert answer.status_code == 415
    error_of(answer.json())


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_audio"), (b"This is no audio." * 100, "not_audio")]
)
def test_files_that_are_not_audio(server: LiveServer, content: bytes, code: str) -> None:
    with server.client() as client:
        answer = client.post(ROUTES[0], files={"file": ("a.wav", content)})
    assert answer.status_code == 415
    assert error_of(answer.json())["code"] == code


def test_an_unknown_model(server: LiveServer) -> None:
    error = refusal(server, {"model": "no-such-model"}, 404)
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1", 404),
        ("POST", "/v1/audio/transcriptions/", 404),
        ("GET", "/v1/audio/transcriptions", 405),
        ("PUT", "/v1/models", 405),
    ],
)
def test_addresses_that_are_not_there(
    server: LiveServer, method: str, path: str, status: int
) -> None:
    with server.client() as client:
        answer = client.request(method, path)
    assert answer.status_code == status
    error_of(answer.json())
    if status == 405:
        assert answer.headers["allow"]


def test_addresses_of_no_dialect_have_a_shape_too(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.get("/nothing")
        assert answer.status_code == 404
        assert set(answer.json()) == {"detail", "code"}
        assert client.post("/health").status_code == 405


KINDS = [
    (errors.BadRequestError("Bad."), 400, openai.BadRequestError),
    (errors.UnauthorizedError("Who?"), 401, openai.AuthenticationError),
    (errors.ForbiddenError("Not you."), 403, openai.PermissionDeniedError),
    (errors.ModelNotFoundError("None."), 404, openai.NotFoundError),
    (errors.SlowUploadError("Slow."), 408, openai.APIStatusError),
    (errors.AudioTooLongError("Long."), 413, openai.APIStatusError),
    (errors.NotAudioError("No."), 415, openai.APIStatusError),
    (errors.OverloadedError("Full.", retry_after_s=2.1), 429, openai.RateLimitError),
    (errors.InternalError("secret"), 500, openai.InternalServerError),
    (RuntimeError("secret"), 500, openai.InternalServerError),
    (errors.ModelUnavailableError("Later."), 503, openai.InternalServerError),
    (errors.StorageFullError("Full."), 507, openai.InternalServerError),
]


@pytest.mark.parametrize(
    ("error", "status", "raised"), KINDS, ids=[type(kind[0]).__name__ for kind in KINDS]
)
def test_every_kind_of_error_through_the_client(
    tmp_path: Path, error: Exception, status: int, raised: type[openai.APIStatusError]
) -> None:
    async def fail(windows: Any) -> None:
        raise error

    with (
        live_server(tmp_path, FakeEngine(interruption=fail)) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(raised) as caught:
            client.audio.transcriptions.create(file=SPEECH, model="whisper-1")
        response = caught.value.response
        assert response.status_code == status
        told = error_of(response.json())
        request_id = response.headers["x-request-id"]
        assert caught.value.request_id == request_id
        if status == 500:
            assert "secret" not in response.text
            assert request_id in told["message"]
            assert told["type"] == "server_error"
        else:
            assert told["message"] == str(error)
        if status in {429, 503}:
            assert int(response.headers["retry-after"]) >= 1
        if status == 429:
            assert response.headers["retry-after"] == "3"
            assert told["type"] == "rate_limit_error"


def test_the_client_tries_again_after_a_refusal(tmp_path: Path) -> None:
    refusals = 2

    async def refuse_twice(windows: Any) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise errors.OverloadedError("Full.", retry_after_s=0.1)

    with (
        live_server(tmp_path, FakeEngine(lambda window: "At last.", refuse_twice)) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=2) as client,
    ):
        assert client.audio.transcriptions.create(file=SPEECH, model="whisper-1").text == "At last."
    assert refusals == 0
