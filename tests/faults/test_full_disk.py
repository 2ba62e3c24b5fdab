"""A disk that fills up under a running server."""

from __future__ import annotations

from pathlib import Path

from tests.support.full_disk import full_disk
from tests.support.live_server import SPEECH, LiveServer, live_server
from tests.support.openai_schema import error_of

ADMIN = "an administrator's own key"
ROOM_FOR = 100
"""More keys than fit in what is left of a page."""


def transcribe(server: LiveServer, key: str) -> int:
    with server.client(headers={"authorization": f"Bearer {key}"}) as client:
        answer = client.post("/v1/audio/transcriptions", files={"file": SPEECH.read_bytes()})
    return answer.status_code


def make_key(server: LiveServer) -> tuple[int, dict[str, object]]:
    with server.client(headers={"x-admin-key": ADMIN}) as admin:
        answer = admin.post("/v1/keys", json={"name": "한" * 200})
    if answer.status_code != 201:
        error_of(answer.json())
    return answer.status_code, answer.json()


def test_what_cannot_be_kept_is_told_and_all_else_goes_on(tmp_path: Path) -> None:
    with live_server(tmp_path, auth="on", admin_key=ADMIN) as server:
        _, made = make_key(server)
        with full_disk(server.database):
            statuses = [201]
            while statuses[-1] == 201 and len(statuses) < ROOM_FOR:
                statuses.append(make_key(server)[0])
            assert statuses[-1] == 507
            status, body = make_key(server)
            assert status == 507
            error = error_of(body)
            assert error["code"] == "storage_full"
            assert "disk is full" in error["message"]
            # Keys are still known, and work goes on.
            for _ in range(2):
                assert transcribe(server, str(made["key"])) == 200
        assert make_key(server)[0] == 201
    with (
        live_server(tmp_path, auth="on", admin_key=ADMIN) as server,
        server.client(headers={"x-admin-key": ADMIN}) as admin,
    ):
        kept = admin.get(f"/v1/keys/{made['id']}").json()
    assert kept["request_count"] == 2
    assert [day["requests"] for day in kept["days"]] == [2]
