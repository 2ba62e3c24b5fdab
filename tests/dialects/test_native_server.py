"""`/v1/server`, as the page and an administrator's program meet it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from tests.support.live_server import Hold, LiveServer, live_server, wait_until
from tests.support.openai_schema import error_of

from verbatim.dialects.native_server.bodies import LoadBody
from verbatim.engine.catalog import BUNDLED_DEMO
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine

STATUS = "/v1/server/status"
MODELS = "/v1/server/models"
DEMO = "verbatim-demo"
OWNED = "our/own"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    engine = FakeEngine(description=replace(FAKE_DESCRIPTION, model=DEMO))
    with live_server(folder, engine) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def checked(client: httpx.Client, path: str) -> dict[str, Any]:
    """An answer, which must be what the API's description says."""
    answer = client.get(path)
    assert answer.status_code == 200
    description = client.get("/openapi.json").json()
    content = description["paths"][path]["get"]["responses"]["200"]["content"]
    schema = {**content["application/json"]["schema"], "components": description["components"]}
    Draft202012Validator(schema).validate(answer.json())
    body: dict[str, Any] = answer.json()
    return body


def model(client: httpx.Client, name: str) -> dict[str, Any]:
    (found,) = (m for m in client.get(MODELS).json()["models"] if m["id"] == name)
    return dict(found)


def test_the_status_tells_what_there_is(server: LiveServer, client: httpx.Client) -> None:
    before = checked(client, STATUS)
    assert server.post().status_code == 200
    assert server.post(language="klingon").status_code == 400
    told = checked(client, STATUS)
    assert (told["ready"], told["not_ready_reason"], told["draining"]) == (True, None, False)
    assert (told["default_model"], told["demo"]) == (DEMO, True)
    assert (told["device"], told["compute_type"]) == ("cpu", "float32")
    assert told["queue"] == {"running": 0, "waiting": 0, "max_running": 16, "max_waiting": 240}
    assert told["live"] == {"sessions": 0, "max_sessions": 64}
    memory = told["memory"]
    assert 10e6 < memory["server_bytes"] < memory["machine_total_bytes"]
    assert 0 < memory["machine_available_bytes"] < memory["machine_total_bytes"]
    assert told["processor"]["cores"] >= 1
    assert told["uptime_s"] >= before["uptime_s"]
    totals, earlier = told["totals"], before["totals"]
    assert totals["requests"] >= earlier["requests"] + 3
    assert totals["errors"] == earlier["errors"] + 1
    assert totals["audio_s"] == pytest.approx(earlier["audio_s"] + 2.2, abs=0.2)
    assert 0 < told["real_time_factor"] < 60


def test_the_status_shows_who_runs_and_who_waits(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(tmp_path, FakeEngine(interruption=hold), max_running=1) as server,
        server.client() as client,
    ):
        threads = [
            threading.Thread(target=server.post, kwargs={"prompt": prompt}) for prompt in "ab"
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: client.get(STATUS).json()["queue"]["waiting"] == 1)
        assert client.get(STATUS).json()["queue"]["running"] == 1
        hold.release()
        for thread in threads:
            thread.join()


def test_models_that_are_here_come_first(client: httpx.Client) -> None:
    body = checked(client, MODELS)
    assert (body["object"], body["default"]) == ("list", DEMO)
    first, *others = body["models"]
    assert (first["id"], first["source"], first["on_disk"]) == (DEMO, "bundled", True)
    assert (first["default"], first["demo"], first["pull"]) == (True, True, None)
    assert first["disk_bytes"] > 1e6
    tiny = next(other for other in others if other["id"] == "tiny")
    assert (tiny["on_disk"], tiny["source"], tiny["disk_bytes"]) == (False, None, None)
    assert tiny["download_bytes"] == 78_000_000
    english = next(other for other in others if other["id"] == "tiny.en")
    assert english["languages"] == ["en"]


def test_a_model_is_loaded_kept_and_unloaded(client: httpx.Client) -> None:
    client.post(f"{MODELS}/{DEMO}/unload")
    assert model(client, DEMO)["loaded"] is False
    began_s = time.monotonic()
    answer = client.post(f"{MODELS}/auto/load", json={"keep_alive": "5m"})
    assert answer.status_code == 200, answer.text
    loaded = answer.json()
    assert (loaded["id"], loaded["already_loaded"]) == (DEMO, False)
    assert (loaded["device"], loaded["compute_type"]) == ("cpu", "float32")
    shown = model(client, DEMO)
    assert (shown["loaded"], shown["users"], shown["languages"]) == (True, 0, ["en", "zh", "ko"])
    # A busy machine may need long for these questions; the figures are rounded.
    passed_s = time.monotonic() - began_s + 1
    assert 300 - passed_s < shown["unloads_in_s"] <= 300
    assert 0 <= shown["last_used_s"] < passed_s
    again = client.post(f"{MODELS}/{DEMO}/load", json={"keep_alive": -1}).json()
    assert again["already_loaded"] is True
    assert model(client, DEMO)["unloads_in_s"] is None
    gone = client.post(f"{MODELS}/{DEMO}/unload").json()
    assert (gone["id"], gone["unloaded"], gone["reason"]) == (DEMO, True, None)
    assert gone["freed_bytes"] >= 0
    again = client.post(f"{MODELS}/{DEMO}/unload").json()
    assert (again["unloaded"], again["reason"]) == (False, "not_loaded")
    in_pieces = (piece for piece in (b'{"keep_alive"', b": 0}"))
    kind = {"content-type": "application/json"}
    answer = client.post(f"{MODELS}/{DEMO}/load", content=in_pieces, headers=kind)
    assert answer.status_code == 200, answer.text
    wait_until(lambda: model(client, DEMO)["loaded"] is False)


def test_a_model_in_use_stays(tmp_path: Path) -> None:
    hold = Hold()
    with (
        live_server(tmp_path, FakeEngine(interruption=hold)) as server,
        server.client() as client,
    ):
        thread = threading.Thread(target=server.post)
        thread.start()
        wait_until(lambda: hold.held == 1)
        told = client.post(f"{MODELS}/{DEMO}/unload").json()
        assert (told["unloaded"], told["reason"], told["freed_bytes"]) == (False, "in_use", 0)
        hold.release()
        thread.join()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (0, 0), (-1, inf), ("-1", inf), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_how_long_a_model_may_be_kept(value: object, seconds: float) -> None:
    assert LoadBody.model_validate({"keep_alive": value}).keep_alive == seconds


@pytest.mark.parametrize("value", ["soon", "5 days", True, [], {}, "m"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="keep_alive"):
        LoadBody.model_validate({"keep_alive": value})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "no-such-model/load", 404, "model_not_found"),
        ("POST", "no-such-model/unload", 404, "model_not_found"),
        ("POST", "../../etc/pull", 404, None),
        ("POST", "%2Fetc/pull", 400, None),
        ("POST", "auto/pull", 400, None),
        ("DELETE", "no-such-model", 404, "model_not_found"),
        ("DELETE", DEMO, 403, None),
        ("DELETE", "auto", 403, None),
    ],
)
def test_what_cannot_be_done_is_told(
    client: httpx.Client, method: str, path: str, status: int, code: str | None
) -> None:
    answer = client.request(method, f"{MODELS}/{path}")
    assert answer.status_code == status
    assert error_of(answer.json())["code"] == code


def test_a_download_is_watched_and_its_failure_told(client: httpx.Client) -> None:
    # The server is offline, so this fails, in a moment.
    begun = client.post(f"{MODELS}/Systran/faster-whisper-base.en/pull")
    assert begun.status_code == 202
    assert begun.json()["id"] == "base.en"
    assert begun.json()["pull"]["state"] == "running"
    wait_until(lambda: model(client, "base.en")["pull"]["state"] == "failed")
    assert "not on this machine" in model(client, "base.en")["pull"]["error"]
    ended = client.delete(f"{MODELS}/base.en/pull").json()
    assert ended == {"id": "base.en", "cancelled": False}


def test_a_model_is_removed_from_memory_and_disk(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    shutil.copytree(BUNDLED_DEMO, folder)
    engine = FakeEngine(description=replace(FAKE_DESCRIPTION, model="mine"))
    with (
        live_server(tmp_path, engine, models_dir=folder.parent) as server,
        server.client() as client,
    ):
        assert client.post(f"{MODELS}/mine/load").json()["id"] == "mine"
        answer = client.delete(f"{MODELS}/mine").json()
        assert answer["deleted"] is True
        assert answer["freed_bytes"] > 1e6
        assert not folder.exists()
        assert engine.closed
        assert "mine" not in {m["id"] for m in client.get(MODELS).json()["models"]}


def test_looking_takes_any_key_and_changing_an_administrators(tmp_path: Path) -> None:
    with live_server(tmp_path, auth="on", admin_key="secret", api_key="everyday") as server:
        with server.client() as nobody:
            assert nobody.get(STATUS).status_code == 401
        for key in ("secret", "everyday"):
            with server.client(headers={"x-api-key": key}) as client:
                assert client.get(STATUS).status_code == 200
                assert client.get(MODELS).status_code == 200
        with server.client(headers={"x-api-key": "everyday"}) as client:
            assert client.post(f"{MODELS}/{DEMO}/load").status_code == 403
            assert client.delete(f"{MODELS}/{DEMO}/pull").status_code == 403


def test_pages_of_other_sites_change_nothing(server: LiveServer) -> None:
    with server.client(headers={"origin": "https://example.org"}) as page:
        answer = page.post(f"{MODELS}/{DEMO}/unload")
        assert answer.status_code == 403
        assert error_of(answer.json())["code"] == "origin_not_allowed"
    with server.client(headers={"origin": server.url}) as page:
        assert page.post(f"{MODELS}/{DEMO}/load").status_code == 200
