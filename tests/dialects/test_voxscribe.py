"""VoxScribe as its clients call it, with and without its token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.callers import CALLERS, get, send_form
from tests.support.live_server import SPEECH, LiveServer, live_server

from verbatim.domain.request import Task
from verbatim.engine.catalog import BUNDLED_DEMO

TOKEN = "a-token-of-our-own"
MISSING = {"detail": "缺少认证令牌"}
WRONG = {"detail": "认证令牌无效"}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("open")
    models = folder / "models"
    models.mkdir()
    (models / "base").symlink_to(BUNDLED_DEMO)
    with live_server(folder, models_dir=models, model="base") as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("closed"), api_key=TOKEN) as server:
        yield server


@pytest.mark.parametrize("caller", CALLERS)
def test_the_models(open_server: LiveServer, caller: str) -> None:
    told = get(caller, f"{open_server.url}/models")
    assert told.status == 200
    assert set(told.body) == {"models", "default"}
    assert told.body["default"] == "base"
    device = open_server.context.settings.device
    assert {"name": "base", "loaded": False, "device": device} in told.body["models"]
    assert all(set(model) == {"name", "loaded", "device"} for model in told.body["models"])


@pytest.mark.parametrize("caller", CALLERS)
def test_its_part_of_the_shared_addresses(
    tmp_path_factory: pytest.TempPathFactory, caller: str
) -> None:
    with live_server(tmp_path_factory.mktemp("six"), max_running=6) as server:
        assert get(caller, f"{server.url}/").body["max_workers"] == 6
        assert get(caller, f"{server.url}/health").body["worker_threads"] == 6


def test_a_loaded_model_says_so(open_server: LiveServer) -> None:
    open_server.post()
    models = get("requests", f"{open_server.url}/models").body["models"]
    # The fake engine calls itself so.
    assert {"name": "fake", "loaded": True, "device": "cpu"} in models


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("shown", [f"Bearer {TOKEN}", TOKEN])
def test_the_token_with_or_without_its_scheme(server: LiveServer, caller: str, shown: str) -> None:
    assert get(caller, f"{server.url}/models", {"Authorization": shown}).status == 200


@pytest.mark.parametrize("caller", CALLERS)
def test_a_missing_token(server: LiveServer, caller: str) -> None:
    told = get(caller, f"{server.url}/models")
    assert (told.status, told.body) == (401, MISSING)
    assert told.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("shown", ["Bearer wrong", "wrong", f"Bearer {TOKEN}x"])
def test_a_wrong_token(server: LiveServer, caller: str, shown: str) -> None:
    told = get(caller, f"{server.url}/models", {"Authorization": shown})
    assert (told.status, told.body) == (401, WRONG)
    assert told.headers["www-authenticate"] == "Bearer"


def test_another_method_is_told_as_details(open_server: LiveServer) -> None:
    with open_server.client() as client:
        answer = client.post("/models")
    assert answer.status_code == 405
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"language": "en", "task": "transcribe", "return_segments": "true"},
        {"model": "base", "return_segments": "false"},
    ],
)
def test_transcribe(open_server: LiveServer, caller: str, fields: dict[str, str]) -> None:
    told = send_form(caller, f"{open_server.url}/transcribe", SPEECH, fields)
    assert told.status == 200
    assert {"text", "language", "segments"} <= set(told.body)
    assert told.body["text"]
    assert {"start", "end", "text"} <= set(told.body["segments"][0])


def test_the_task_is_honoured(open_server: LiveServer) -> None:
    send_form("requests", f"{open_server.url}/transcribe", SPEECH, {"task": "translate"})
    assert open_server.engine.windows[-1].options.task is Task.TRANSLATE


@pytest.mark.parametrize("caller", CALLERS)
def test_what_transcribe_refuses(open_server: LiveServer, tmp_path: Path, caller: str) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all")
    url = f"{open_server.url}/transcribe"
    for file, fields in (
        (text, {}),
        (SPEECH, {"task": "summarize"}),
        (SPEECH, {"model": "no-such-model"}),
    ):
        told = send_form(caller, url, file, fields)
        assert told.status == 400
        assert set(told.body) == {"detail"}


@pytest.mark.parametrize("caller", CALLERS)
def test_transcribe_asks_for_the_token(server: LiveServer, caller: str) -> None:
    url = f"{server.url}/transcribe"
    wrong = send_form(caller, url, SPEECH, headers={"Authorization": "Bearer wrong"})
    assert (wrong.status, wrong.body) == (401, WRONG)
    assert wrong.headers["www-authenticate"] == "Bearer"
    for shown in (f"Bearer {TOKEN}", TOKEN):
        told = send_form(caller, url, SPEECH, headers={"Authorization": shown})
        assert told.status == 200


def test_transcribe_too_large(tmp_path: Path) -> None:
    with live_server(tmp_path, max_upload_bytes=1000) as server:
        told = send_form("requests", f"{server.url}/transcribe", SPEECH)
    assert told.status == 413
    assert set(told.body) == {"detail"}


ALONE = ["voxscribe"]


@pytest.mark.parametrize("caller", CALLERS)
def test_transcribe_where_no_other_dialect_is_on(tmp_path: Path, caller: str) -> None:
    with live_server(tmp_path, dialects=ALONE) as server:
        url = f"{server.url}/transcribe"
        told = send_form(caller, url, SPEECH, {"language": "en"})
        assert told.status == 200
        assert told.body["text"]
        assert told.body["language"] == "en"
        assert set(told.body) == {"text", "language", "segments"}
        assert all(set(segment) == {"start", "end", "text"} for segment in told.body["segments"])
        for fields in ({"task": "summarize"}, {"model": "no-such-model"}):
            refused = send_form(caller, url, SPEECH, fields)
            assert refused.status == 400
            assert set(refused.body) == {"detail"}


def test_files_that_are_none_where_no_other_dialect_is_on(tmp_path: Path) -> None:
    nothing, text = tmp_path / "empty.wav", tmp_path / "notes.txt"
    nothing.touch()
    text.write_text("no audio at all")
    with live_server(tmp_path, dialects=ALONE) as server:
        for file in (nothing, text):
            told = send_form("requests", f"{server.url}/transcribe", file)
            assert (told.status, set(told.body)) == (400, {"detail"})
    with live_server(tmp_path, dialects=ALONE, max_upload_bytes=1000) as server:
        assert send_form("requests", f"{server.url}/transcribe", SPEECH).status == 413


def test_a_missing_token_where_no_other_dialect_is_on(tmp_path: Path) -> None:
    with live_server(tmp_path, dialects=ALONE, api_key=TOKEN) as server:
        told = send_form("requests", f"{server.url}/transcribe", SPEECH)
    assert (told.status, told.body) == (401, MISSING)
    assert told.headers["www-authenticate"] == "Bearer"


def test_a_shared_path_answers_the_union_in_whichever_order_dialects_are_named(
    tmp_path: Path,
) -> None:
    with live_server(tmp_path, dialects=["voxscribe", "fastwhisper"]) as server:
        told = send_form("requests", f"{server.url}/transcribe", SPEECH)
        assert {"success", "language_probability", "duration", "segments"} <= set(told.body)
