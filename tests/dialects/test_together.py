"""All dialects on one port: shared paths answer the union, and none is in another's way."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.support.callers import get, send_bytes, send_form
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import assert_valid
from websockets.sync.client import connect

from verbatim.engine.catalog import BUNDLED_DEMO
from verbatim.engine.fake import FakeEngine
from verbatim.server.app import DIALECTS
from verbatim.settings import Settings

PAGES = Path(__file__).parents[2] / "docs" / "dialects"
SAID = "头发"
ROOT_OF_LOCAL = {"message", "version", "device", "loaded_models", "supported_models"}
ROOT_OF_VOXSCRIBE = {"max_workers"}
HEALTH_OF_LOCAL = {"status", "device", "loaded_models"}
HEALTH_OF_VOXSCRIBE = {"worker_threads"}
OLDER_PATHS = {
    ("GET", "/models"),
    ("GET", "/stt/health"),
    ("POST", "/stt/transcribe/"),
    ("POST", "/stt/clear-memory"),
    ("POST", "/transcribe/file"),
    ("POST", "/transcribe/binary"),
    ("POST", "/v1/audio/transcriptions"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, FakeEngine(lambda window: SAID)) as server:
        yield server


def test_every_dialect_is_on_by_default() -> None:
    assert set(Settings().dialects) == set(DIALECTS)


def test_the_same_recording_in_every_older_dialect(server: LiveServer, tmp_path: Path) -> None:
    chinese = {"language": "zh"}
    local = send_form("requests", f"{server.url}/v1/audio/transcriptions", SPEECH, chinese).body
    micro = send_form("requests", f"{server.url}/stt/transcribe/", SPEECH, chinese).body
    shared = send_form("requests", f"{server.url}/transcribe", SPEECH, chinese).body
    file = send_form("requests", f"{server.url}/transcribe/file", SPEECH, chinese).body
    url = f"{server.url}/transcribe/binary?language=zh"
    binary = send_bytes("requests", url, SPEECH.read_bytes(), tmp_path).body
    assert local["text"] == micro["text"] == shared["text"] == SAID
    # Only this dialect writes Traditional Chinese unasked.
    assert file["text"] == binary["text"] == "頭髮"
    assert_valid("CreateTranscriptionResponseJson", local)


def test_the_pages_name_every_older_route() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    assert not [path for method, path in OLDER_PATHS if f"`{method} {path}`" not in pages]
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert all(f"({page.name})" in index for page in PAGES.glob("*.md") if page.stem != "README")


def test_the_root_is_the_union(server: LiveServer) -> None:
    told = get("requests", f"{server.url}/")
    assert told.status == 200
    assert set(told.body) >= ROOT_OF_LOCAL | ROOT_OF_VOXSCRIBE
    assert {"tiny", "base", "small", "medium", "large-v3"} <= set(told.body["supported_models"])


def test_health_is_the_union(server: LiveServer) -> None:
    told = get("requests", f"{server.url}/health")
    assert told.status == 200
    assert set(told.body) >= HEALTH_OF_LOCAL | HEALTH_OF_VOXSCRIBE
    assert told.body["status"] == "healthy"


def test_the_description_has_every_route_once(server: LiveServer) -> None:
    with warnings.catch_warnings():
        # FastAPI warns of two operations with one id.
        warnings.simplefilter("error")
        described = get("requests", f"{server.url}/openapi.json").body
    operations = [
        (method.upper(), path, operation["operationId"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    assert {(method, path) for method, path, _ in operations} >= OLDER_PATHS
    ids = [operation_id for *_, operation_id in operations]
    assert len(ids) == len(set(ids))


def test_answers_and_errors_are_as_described(server: LiveServer, tmp_path: Path) -> None:
    described = get("requests", f"{server.url}/openapi.json").body
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all")
    bad, binary = {"beam_size": "many"}, f"{server.url}/transcribe/binary"
    answers = [
        ("get", "/models", get("requests", f"{server.url}/models")),
        ("get", "/stt/health", get("requests", f"{server.url}/stt/health")),
        ("post", "/stt/clear-memory", send_form("requests", f"{server.url}/stt/clear-memory")),
        ("post", "/transcribe/binary", send_bytes("requests", binary, b"no audio", tmp_path)),
        (
            "post",
            "/transcribe/binary",
            send_bytes("requests", binary, SPEECH.read_bytes(), tmp_path),
        ),
    ]
    for path in ("/stt/transcribe/", "/transcribe/file"):
        url = f"{server.url}{path}"
        answers += [
            ("post", path, send_form("requests", url, SPEECH)),
            ("post", path, send_form("requests", url, SPEECH, {"timestamps": "true"})),
            ("post", path, send_form("requests", url, text)),
            ("post", path, send_form("requests", url, SPEECH, bad)),
        ]
    assert {told.status for *_, told in answers} == {200, 400, 415}
    for method, path, told in answers:
        responses = described["paths"][path][method]["responses"]
        fitting = responses.get(str(told.status)) or responses[f"{told.status // 100}XX"]
        schema = fitting["content"]["application/json"]["schema"]
        judge = Draft202012Validator({**schema, "components": described["components"]})
        problems = [problem.message for problem in judge.iter_errors(told.body)]
        assert not problems, (path, told)


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/nothing", {"error"}),
        ("/stt/nothing", {"detail"}),
        ("/models/nothing", {"detail"}),
        ("/transcribe", {"detail"}),
        ("/transcribe/file/nothing", {"success", "error"}),
        ("/transcribe/binary", {"success", "error"}),
    ],
)
def test_each_error_has_the_shape_of_its_paths_dialect(
    server: LiveServer, path: str, keys: set[str]
) -> None:
    told = get("requests", f"{server.url}{path}")
    assert told.status in {404, 405}
    assert set(told.body) == keys


@pytest.mark.parametrize("left_out", ["voxscribe", "zhtw", "microservice"])
def test_the_others_stay_where_one_is_off(tmp_path: Path, left_out: str) -> None:
    dialects = ",".join(name for name in DIALECTS if name != left_out)
    with live_server(tmp_path, FakeEngine(lambda window: SAID), dialects=dialects) as server:
        statuses = {
            "voxscribe": get("requests", f"{server.url}/models").status,
            "zhtw": send_form("requests", f"{server.url}/transcribe/file", SPEECH).status,
            "microservice": get("requests", f"{server.url}/stt/health").status,
        }
        root: dict[str, Any] = get("requests", f"{server.url}/").body
    # The list of models is in two dialects, so it stays where one of them is off.
    expected = {**dict.fromkeys(statuses, 200), left_out: 404} | {"voxscribe": 200}
    assert statuses == expected
    assert ("max_workers" in root) == (left_out != "voxscribe")


def test_the_description_names_the_fields(server: LiveServer) -> None:
    described = get("requests", f"{server.url}/openapi.json").body
    for path in ("/stt/transcribe/", "/transcribe/file"):
        content = described["paths"][path]["post"]["requestBody"]["content"]
        fields = content["multipart/form-data"]["schema"]["properties"]
        assert {"file", "language", "model"} <= set(fields)
    parameters = described["paths"]["/transcribe/binary"]["post"]["parameters"]
    assert {"model", "ext", "timestamps"} <= {parameter["name"] for parameter in parameters}
    assert "$defs" not in json.dumps(described)


def test_nobody_is_told_where_the_models_folder_lies(tmp_path: Path) -> None:
    folder = tmp_path / "weights-of-ours"
    folder.symlink_to(BUNDLED_DEMO)
    with live_server(tmp_path, model=str(folder)) as server:
        told = [
            get("requests", f"{server.url}{path}")
            for path in ("/", "/health", "/stt/health", "/models", "/v1/models")
        ]
        with connect(f"{server.url.replace('http', 'ws')}/ws/transcribe") as socket:
            greeting = json.loads(socket.recv())
        with server.client() as client:
            session = client.post("/v1/realtime/transcription_sessions", json={}).json()
    assert [answer.status for answer in told] == [200] * len(told)
    assert told[0].body["model"] == told[1].body["model"] == greeting["model"] == folder.name
    assert session["input_audio_transcription"]["model"] == folder.name
    assert str(tmp_path) not in json.dumps([[answer.body for answer in told], greeting, session])
