"""VoxScribe's own address, with and without its token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.callers import CALLERS, get
from tests.support.live_server import LiveServer, live_server

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
    assert {"name": "base", "loaded": False, "device": "auto"} in told.body["models"]
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
