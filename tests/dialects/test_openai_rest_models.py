"""`/v1/models` through OpenAI's client."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from tests.support.live_server import LiveServer, live_server
from tests.support.openai_schema import assert_valid, error_of

from verbatim.engine.catalog import BUNDLED_DEMO


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name in ("tiny", "our-own"):
        shutil.copytree(BUNDLED_DEMO, folder / name)
    return folder


@pytest.fixture
def server(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveServer]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with live_server(tmp_path, models_dir=models_dir) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_list_names_what_is_installed_and_the_default(
    client: OpenAI, server: LiveServer
) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["our-own", "tiny", "verbatim-demo"]
    assert {"whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"} <= set(
        names
    )
    assert len(names) == len(set(names))
    with server.client() as http:
        body = http.get("/v1/models").json()
    assert_valid("ListModelsResponse", body)
    absent = {"loaded": False, "device": None, "memory_bytes": None}
    assert {"name": "tiny", **absent} in body["models"]


def test_the_list_says_what_is_loaded(client: OpenAI, server: LiveServer) -> None:
    server.post(model="tiny")
    with server.client() as http:
        models = http.get("/v1/models").json()["models"]
    (loaded,) = (model for model in models if model["loaded"])
    assert loaded == {"name": "tiny", "loaded": True, "device": "cpu", "memory_bytes": 0}
    assert [model.model for model in server.context.service.loaded_models()] == ["fake"]


@pytest.mark.parametrize("name", ["tiny", "our-own", "whisper-1", "Systran/faster-whisper-tiny"])
def test_one_model_by_any_of_its_names(client: OpenAI, server: LiveServer, name: str) -> None:
    assert client.models.retrieve(name).id == name
    with server.client() as http:
        assert_valid("Model", http.get(f"/v1/models/{name}").json())


@pytest.mark.parametrize("name", ["no-such-model", "large-v3", "owner/unknown", "../../etc"])
def test_what_is_not_installed_is_not_found(client: OpenAI, server: LiveServer, name: str) -> None:
    with server.client() as http:
        answer = http.get("/v1/models/" + name.replace("..", "%2E%2E").replace("/", "%2F"))
    assert answer.status_code == 404
    assert error_of(answer.json())["code"] == "model_not_found"
    if "." not in name:
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(name)


def test_deleting(client: OpenAI, server: LiveServer, models_dir: Path) -> None:
    deleted = client.models.delete("our-own")
    assert deleted.deleted
    assert deleted.id == "our-own"
    assert not (models_dir / "our-own").exists()
    with pytest.raises(openai.NotFoundError):
        client.models.delete("our-own")
    with server.client() as http:
        body = http.delete("/v1/models/tiny").json()
    assert_valid("DeleteModelResponse", body)


@pytest.mark.parametrize("name", ["whisper-1", "verbatim-demo", "auto"])
def test_what_may_not_be_deleted(client: OpenAI, models_dir: Path, name: str) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(name)
    assert (models_dir / "tiny").is_dir()


def test_a_folder_elsewhere_cannot_be_deleted(client: OpenAI, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(BUNDLED_DEMO, other)
    with pytest.raises(openai.NotFoundError):
        client.models.delete(str(other))
    assert other.is_dir()


def test_a_default_outside_the_models_directory_is_listed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "mine"
    shutil.copytree(BUNDLED_DEMO, elsewhere)
    with (
        live_server(tmp_path, model=str(elsewhere)) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        assert "mine" in [model.id for model in client.models.list()]
        assert client.models.retrieve("whisper-1").created > 0
