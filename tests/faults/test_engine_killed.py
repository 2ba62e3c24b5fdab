"""The real server, whose model's process is killed under load, and told to stop under load."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.fake_process import READY_S, ServerProcess, serving
from tests.support.live_server import wait_until
from tests.support.speech import Speech, speech

REQUESTS = 10
ANSWER_S = 120.0
SLOWEST_HEALTH_S = 1.0
SLOWEST_RETURN_S = 20.0
"""Three seconds on a machine that has nothing else to do; tests run on others as well."""
LEAST_ANSWERS = 3
"""Of /health while a model's process is replaced: a loop that waits for it would give one."""
NO_SECOND_TRY = {
    "compression_ratio_threshold": "off",
    "log_prob_threshold": "off",
    "no_speech_threshold": "off",
}
"""Without retries at a higher temperature, which draw lots, the same file gives the same text."""
PROCESS_READY = "a model's process is ready"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # A kept result would be given at once, and nothing would be in work.
    own = {"VERBATIM_SPOOL_DIR": str(tmp_path), "VERBATIM_CACHE": "false"}
    with serving(**own) as server:
        yield server


def engine_pids(server: ServerProcess) -> list[int]:
    return [int(line["pid"]) for line in server.lines if line["message"] == PROCESS_READY]


def ask(server: ServerProcess, file: Speech) -> httpx.Response:
    with httpx.Client(base_url=server.url, timeout=ANSWER_S) as client:
        return client.post(
            "/v1/audio/transcriptions",
            files={"file": file.path.read_bytes()},
            data=NO_SECOND_TRY,
        )


@contextmanager
def watched_health(server: ServerProcess) -> Iterator[list[tuple[int, float, float]]]:
    """Of every answer of /health meanwhile its status, when it was asked for, and when it came."""
    answers: list[tuple[int, float, float]] = []
    over = threading.Event()

    def watch() -> None:
        with server.client() as client:
            while not over.is_set():
                begun_s = time.monotonic()
                status = client.get("/health").status_code
                answers.append((status, begun_s, time.monotonic()))
                over.wait(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def running(server: ServerProcess) -> int:
    with server.client() as client:
        health: dict[str, Any] = client.get("/health").json()
        return int(health["running"])


def in_work(server: ServerProcess) -> float:
    """Windows that were given to the model and have not come back."""
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()

    def total(name: str) -> float:
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    return total("verbatim_window_wait_seconds_count") - total("verbatim_batch_windows_sum")


def test_a_kill_under_load_costs_no_request(server: ServerProcess) -> None:
    short = speech("short", "en", 8)
    files = [*speech("long", "en", 1), *speech("long", "zh", 1), *short]
    assert len(files) == REQUESTS
    calm = [ask(server, file).json()["text"] for file in short]
    (pid,) = engine_pids(server)
    with watched_health(server) as health, ThreadPoolExecutor(REQUESTS) as callers:
        answers = [callers.submit(ask, server, file) for file in files]
        wait_until(lambda: in_work(server) > 0)
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        wait_until(lambda: len(engine_pids(server)) == 2)
        back_s = time.monotonic()
        responses = [answer.result() for answer in answers]
    assert [response.status_code for response in responses] == [200] * REQUESTS
    texts = [response.json()["text"] for response in responses]
    assert all(texts)
    assert texts[-len(calm) :] == calm
    assert {status for status, _, _ in health} == {200}
    assert max(came_s - begun_s for _, begun_s, came_s in health) < SLOWEST_HEALTH_S
    assert sum(killed_s < came_s < back_s for _, _, came_s in health) >= LEAST_ANSWERS
    assert back_s - killed_s < SLOWEST_RETURN_S
    assert server.told("windows are tried again")
    death = server.told("a model's process died")["death"]
    assert death.startswith("was ended by SIGKILL")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_of_all_processes_lets_running_requests_end(
    server: ServerProcess, number: signal.Signals
) -> None:
    """As a terminal's Ctrl-C and a service manager do it."""
    (pid,) = engine_pids(server)
    (file,) = speech("long", "en", 1)
    with ThreadPoolExecutor(1) as callers:
        answer = callers.submit(ask, server, file)
        wait_until(lambda: running(server) > 0)
        os.kill(pid, number)
        server.signal(number)
        assert answer.result().status_code == 200
    assert server.exit_status(READY_S) == 0
    assert len(engine_pids(server)) == 1
    assert not Path(f"/proc/{pid}").exists()
