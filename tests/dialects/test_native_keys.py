"""`/v1/keys`, as an administrator's program meets it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import error_of

ADMIN = "an administrator's own key"
PATH = "/v1/keys"
FACTS = {
    "object",
    "id",
    "name",
    "preview",
    "scopes",
    "limits",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
    "request_count",
    "audio_minutes",
    "audio_minutes_today",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, auth="on", admin_key=ADMIN) as server:
        yield server


@pytest.fixture
def admin(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(headers={"x-admin-key": ADMIN}) as client:
        yield client


def create(admin: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = admin.post(PATH, json={"name": "test", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_key_is_shown_when_it_is_made_and_never_again(admin: httpx.Client) -> None:
    made = create(admin, name="현관")
    assert set(made) == FACTS | {"key"}
    assert re.fullmatch(r"sk-[0-9a-f]{64}", made["key"])
    assert made["preview"] == f"{made['key'][:8]}...{made['key'][-4:]}"
    assert made["scopes"] == ["jobs", "live", "transcribe"]
    assert abs(made["created_at"] - time.time()) < 60
    assert made["expires_at"] is made["revoked_at"] is made["last_used_at"] is None
    assert set(made["limits"].values()) == {None}
    one = admin.get(f"{PATH}/{made['id']}")
    assert set(one.json()) == FACTS | {"days"}
    listed = admin.get(PATH)
    assert listed.json()["object"] == "list"
    found = next(key for key in listed.json()["data"] if key["id"] == made["id"])
    assert found == {name: fact for name, fact in made.items() if name != "key"}
    for answer in (one, listed):
        assert made["key"] not in answer.text


def test_a_key_with_everything_said(admin: httpx.Client) -> None:
    end = int(time.time()) + 3600
    limits = {"requests_per_minute": 9, "audio_minutes_per_day": 2.5, "parallel_requests": 1}
    made = create(admin, scopes=["live"], expires_at=end, limits=limits, format="older")
    assert len(made["key"]) == 3 + 48
    assert (made["scopes"], made["expires_at"], made["limits"]) == (["live"], end, limits)
    assert create(admin, expires_at="2999-01-01T00:00:00Z")["expires_at"] == 32472144000


def test_changing_a_key(admin: httpx.Client) -> None:
    made = create(admin, limits={"requests_per_minute": 9, "parallel_requests": 2})
    path = f"{PATH}/{made['id']}"
    changed = admin.patch(path, json={"limits": {"requests_per_minute": None}}).json()
    assert changed["limits"]["requests_per_minute"] is None
    assert changed["limits"]["parallel_requests"] == 2
    assert (changed["name"], changed["scopes"]) == (made["name"], made["scopes"])
    end = int(time.time()) + 3600
    changed = admin.patch(path, json={"name": "new", "scopes": ["jobs"], "expires_at": end}).json()
    assert (changed["name"], changed["scopes"], changed["expires_at"]) == ("new", ["jobs"], end)
    assert changed["limits"]["parallel_requests"] == 2
    assert admin.patch(path, json={"expires_at": None}).json()["expires_at"] is None
    assert admin.patch(path, json={}).json()["name"] == "new"


def test_revoking_a_key(server: LiveServer, admin: httpx.Client) -> None:
    made = create(admin)
    key = {"authorization": f"Bearer {made['key']}"}
    with server.client(headers=key) as client:
        assert client.get("/v1/models").status_code == 200
        revoked = admin.delete(f"{PATH}/{made['id']}")
        assert revoked.status_code == 200
        assert revoked.json()["revoked_at"]
        assert client.get("/v1/models").status_code == 401
    again = admin.delete(f"{PATH}/{made['id']}")
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]

    def ids(**query: Any) -> set[str]:
        return {key["id"] for key in admin.get(PATH, params=query).json()["data"]}

    assert made["id"] not in ids()
    assert made["id"] in ids(revoked=True)


def test_what_was_asked_for_is_counted(tmp_path: Path) -> None:
    with live_server(tmp_path, auth="on", admin_key=ADMIN) as server:
        with server.client(headers={"x-admin-key": ADMIN}) as admin:
            made = create(admin)
        headers = {"authorization": f"Bearer {made['key']}"}
        with server.client(headers=headers) as client:
            for _ in range(2):
                answer = client.post(
                    "/v1/audio/transcriptions", files={"file": SPEECH.read_bytes()}
                )
                assert answer.status_code == 200
    # Another start: what was counted was written at the end of the first.
    with (
        live_server(tmp_path, auth="on", admin_key=ADMIN) as server,
        server.client(headers={"x-admin-key": ADMIN}) as admin,
    ):
        key = admin.get(f"{PATH}/{made['id']}").json()
    assert key["request_count"] == 2
    assert key["audio_minutes"] == pytest.approx(2 * 2.17 / 60, abs=0.002)
    assert abs(key["last_used_at"] - time.time()) < 60
    assert [day["requests"] for day in key["days"]] == [2]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"name": "a", "scopes": ["fly"]}, "scopes"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "expires_at": "soon"}, "expires_at"),
        ({"name": "a", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": 1}, "expires_at"),
        ({"name": "a", "expires_at": 1e300}, "expires_at"),
        ({"name": "a", "limits": {"requests_per_minute": 0}}, "requests_per_minute"),
        ({"name": "a", "limits": {"requests_per_minute": 10**30}}, "requests_per_minute"),
        ({"name": "a", "limits": {"requests_per_hour": 1}}, "limits"),
        ({"name": "a", "limits": 5}, "limits"),
        ({"name": "a", "format": "newest"}, "format"),
        ({"name": "a", "colour": "red"}, "colour"),
        ({"name": "a\ud800"}, "name"),
    ],
)
def test_bodies_that_do_not_fit(admin: httpx.Client, body: Any, param: str) -> None:
    # Not httpx's own JSON, which cannot be wrong enough.
    answer = admin.post(
        PATH, content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    error = error_of(answer.json())
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bodies_that_are_no_objects(admin: httpx.Client, method: str) -> None:
    path = PATH if method == "POST" else f"{PATH}/{create(admin)['id']}"
    json_type = {"content-type": "application/json"}
    for content, headers, status in (
        (b"", json_type, 400),
        (b"{", json_type, 400),
        (b"[1]", json_type, 400),
        (b"null", json_type, 400),
        (b"[" * 60_000, json_type, 400),
        (b'"' + b"x" * 70_000 + b'"', json_type, 413),
        (b'{"name": "a"}', {"content-type": "text/plain"}, 415),
        (b"name=a", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"name": "a"}', {}, 415),
    ):
        answer = admin.request(method, path, content=content, headers=headers)
        assert answer.status_code == status, (content[:20], answer.text)
        error_of(answer.json())


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("key_id", ["key_none", "sk-" + "0" * 64, "x" * 5000, "%00", "한"])
def test_keys_that_are_not_there(admin: httpx.Client, method: str, key_id: str) -> None:
    body: Any = {"json": {}} if method == "PATCH" else {}
    answer = admin.request(method, f"{PATH}/{key_id}", **body)
    assert answer.status_code == 404, answer.text
    assert error_of(answer.json())["code"] == "key_not_found"
    # Some try the key itself in the place of its id.
    assert "sk-" not in answer.text


@pytest.mark.parametrize("auth", ["on", "off"])
def test_only_administrators_get_in(tmp_path: Path, auth: str) -> None:
    """Also where no key is asked for: a key that is made would stay."""
    with (
        live_server(tmp_path, auth=auth, admin_key=ADMIN, api_key="mine") as server,
        server.client() as client,
    ):
        for method, path in (
            ("GET", PATH),
            ("POST", PATH),
            ("GET", f"{PATH}/key_x"),
            ("PATCH", f"{PATH}/key_x"),
            ("DELETE", f"{PATH}/key_x"),
        ):
            for key, status in ((None, 401), ("wrong", 401), ("mine", 403)):
                headers = {} if key is None else {"authorization": f"Bearer {key}"}
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == status, (method, path, key, answer.text)
                error_of(answer.json())
                assert ("www-authenticate" in answer.headers) is (status == 401)


def test_an_address_that_is_not_there_has_the_same_shape(admin: httpx.Client) -> None:
    answer = admin.get(f"{PATH}/a/b")
    assert answer.status_code == 404
    assert error_of(answer.json())["type"] == "invalid_request_error"
    assert admin.put(PATH).status_code == 405


def test_it_is_described(admin: httpx.Client) -> None:
    described = admin.get("/openapi.json").json()
    paths = described["paths"]
    assert {"get", "post"} <= set(paths[PATH])
    assert {"get", "patch", "delete"} <= set(paths[f"{PATH}/{{key_id}}"])
    body = paths[PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["name"]
    assert "$ref" not in str(body)
    assert paths[PATH]["post"]["tags"] == ["keys"]
    for operation in (paths[PATH]["post"], paths["/v1/audio/transcriptions"]["post"]):
        assert operation["security"]
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
