"""What a client is told when its recording crashes the engine, and what others notice of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.support.fake_process import ServerProcess
from tests.support.live_server import SPEECH, wait_until
from tests.support.odd_server import odd_server
from tests.support.openai_schema import error_of

PATH = "/v1/audio/transcriptions"
CRASH = "crash"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with odd_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def ask(server: ServerProcess, request_id: str, **fields: str) -> httpx.Response:
    with server.client() as client:
        return client.post(
            PATH,
            files={"file": SPEECH.read_bytes()},
            data=fields,
            headers={"x-request-id": request_id},
        )


@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_crashes_two_processes_is_told_so_with_its_id(
    server: ServerProcess, stream: str
) -> None:
    before = len(server.lines)
    name = f"bad-{stream}"
    answer = ask(server, name, prompt=CRASH, stream=stream)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == name
    error = error_of(answer.json())
    assert error["code"] == "engine_crashed"
    assert "crashed the speech engine twice" in error["message"]
    assert name in error["message"]
    assert ask(server, f"good-{stream}").json()["text"]
    # The log is read by a thread, in order.
    wait_until(lambda: f"good-{stream}" in {line.get("request_id") for line in server.lines})
    lines = server.lines[before:]
    deaths = [line["death"] for line in lines if line["message"] == "a model's process died"]
    assert len(deaths) == 2
    assert all(death.startswith("was ended by SIGKILL") for death in deaths)
    failures = [line["request_id"] for line in lines if line["message"] == "request failed"]
    assert failures == [name]


def test_what_is_no_fault_of_the_engine_keeps_its_own_words(server: ServerProcess) -> None:
    answer = ask(server, "odd-1", prompt="refuse")
    error = error_of(answer.json())
    assert (answer.status_code, error["message"]) == (400, "This is refused.")


def test_a_secret_of_the_code_stays_in_the_log(server: ServerProcess) -> None:
    answer = ask(server, "odd-2", prompt="fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "odd-2" in error_of(answer.json())["message"]
