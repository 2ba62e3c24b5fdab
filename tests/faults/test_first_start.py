"""Servers that others can reach, as processes: their first keys, restarts, refusals."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.fake_process import ServerProcess, fake_server
from tests.support.live_server import SPEECH, wait_until
from tests.support.postgres import PostgresServer

KEY = re.compile(r"sk-[0-9a-f]{64}")


class Place:
    """Where servers keep their data, and what they write on their consoles."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = {
            "VERBATIM_HOST": "0.0.0.0",
            "VERBATIM_DATA_DIR": str(folder / "data"),
            "VERBATIM_LOG_LEVEL": "debug",
            **settings,
        }
        self.starts = 0

    def start(self, stack: ExitStack, **settings: Any) -> tuple[ServerProcess, Path]:
        self.starts += 1
        console = self.folder / f"console-{self.starts}"
        stdout = stack.enter_context(console.open("w"))
        chosen = {**self.settings, **settings}
        return stack.enter_context(fake_server(0, stdout, **chosen)), console


def url_of(server: ServerProcess) -> str:
    return server.url.replace("0.0.0.0", "127.0.0.1")


def status(server: ServerProcess, path: str, key: str | None) -> int:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(f"{url_of(server)}{path}", headers=headers, timeout=20).status_code


def transcribe(server: ServerProcess, key: str) -> int:
    return httpx.post(
        f"{url_of(server)}/v1/audio/transcriptions",
        headers={"x-api-key": key},
        files={"file": SPEECH.read_bytes()},
        timeout=60,
    ).status_code


def up(server: ServerProcess) -> None:
    def answers() -> bool:
        try:
            return status(server, "/health", None) == 200
        except httpx.TransportError:
            return False

    wait_until(answers, 60)


def stop(server: ServerProcess) -> None:
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path)
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return Place(tmp_path, VERBATIM_DATABASE_URL=postgres.new_database())


def test_the_first_start_and_the_next(place: Place) -> None:
    with ExitStack() as stack:
        server, console = place.start(stack)
        up(server)
        admin, first = KEY.findall(console.read_text())
        assert status(server, "/v1/models", None) == 401
        assert status(server, "/v1/models", first) == 200
        assert status(server, "/v1/keys", first) == 403
        assert status(server, "/v1/keys", admin) == 200
        assert status(server, "/v1/models", admin) == 403
        assert transcribe(server, first) == 200
        stop(server)
        assert not KEY.search(str(server.lines))

        server, console = place.start(stack)
        up(server)
        assert console.read_text() == ""
        assert status(server, "/v1/models", first) == 200
        listed = httpx.get(f"{url_of(server)}/v1/keys", headers={"x-admin-key": admin}).json()
        # The first server wrote its counters as it ended: one question for models, one recording.
        counts = {key["name"]: key["request_count"] for key in listed["data"]}
        assert counts["first key"] == 2
        stop(server)


def test_two_servers_that_start_at_the_same_time(place: Place) -> None:
    with ExitStack() as stack:
        servers = [place.start(stack) for _ in range(2)]
        for server, _ in servers:
            up(server)
        shown = [KEY.findall(console.read_text()) for _, console in servers]
        assert sorted(map(len, shown)) == [0, 2]
        admin, first = max(shown, key=len)
        for server, _ in servers:
            assert status(server, "/v1/models", first) == 200
            assert status(server, "/v1/keys", admin) == 200
        for server, _ in servers:
            stop(server)


def test_on_this_machine_alone_nobody_is_asked(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, console = Place(tmp_path, VERBATIM_HOST="127.0.0.1").start(stack)
        up(server)
        assert status(server, "/v1/models", None) == 200
        assert status(server, "/v1/keys", None) == 401
        stop(server)
        assert console.read_text() == ""


def test_everybody_is_let_in_where_that_is_said(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, console = Place(tmp_path, VERBATIM_NO_AUTH="true").start(stack)
        up(server)
        assert status(server, "/v1/models", None) == 200
        assert server.told("everybody who can reach this address may use it: no_auth is set")
        stop(server)
        assert console.read_text() == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"VERBATIM_AUTH": "off"}, "--no-auth"),
        ({"VERBATIM_AUTH": "on", "VERBATIM_NO_AUTH": "true"}, "contradict"),
        (
            {"VERBATIM_DATABASE_URL": "postgresql://u:pa55@/d?host=/nowhere"},
            "cannot use d at /nowhere now",
        ),
        ({"VERBATIM_DATABASE_URL": "mysql://u:pa55@h/d"}, "database_url"),
        ({"VERBATIM_DATA_DIR": "/dev/null/data"}, "data_dir"),
    ],
)
def test_starts_that_are_refused(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    with ExitStack() as stack:
        server, console = Place(tmp_path).start(stack, **settings)
        told = server.told("the server cannot start")
        assert words in told["reason"]
        assert "pa55" not in str(server.lines)
        assert server.exit_status() == 1
        assert console.read_text() == ""


def test_keys_of_the_settings_are_not_made(tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = Place(tmp_path, VERBATIM_API_KEY="mine", VERBATIM_ADMIN_KEY="root")
        server, console = place.start(stack)
        up(server)
        assert status(server, "/v1/models", "mine") == 200
        assert status(server, "/v1/keys", "root") == 200
        stop(server)
        assert console.read_text() == ""
