"""The server as a process: signals, orderly ends, starts that fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.support.fake_process import (
    UNTIL_VARIABLE,
    VERBATIM,
    ServerProcess,
    fake_server,
    server_process,
)
from tests.support.live_server import PATIENCE_S, SPEECH, wait_until
from tests.support.openai_schema import error_of

from verbatim.engine.catalog import BUNDLED_DEMO

PATH = "/v1/audio/transcriptions"
FOREVER_S = 600
"""Longer than any test waits."""


class Posting(threading.Thread):
    """A request that waits for its answer in another thread."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__()
        self._server = server
        self.answer: httpx.Response | None = None
        self.failed = False

    def run(self) -> None:
        try:
            with self._server.client() as client:
                self.answer = client.post(PATH, files={"file": SPEECH.read_bytes()})
        except httpx.TransportError:
            self.failed = True

    def result(self) -> httpx.Response:
        self.join(PATIENCE_S)
        assert self.answer is not None
        return self.answer


@contextmanager
def posting(server: ServerProcess) -> Iterator[Posting]:
    """A request that is being transcribed."""
    request = Posting(server)
    with server.client() as client:
        request.start()
        wait_until(lambda: client.get("/health").json()["running"] == 1)
    yield request
    request.join(PATIENCE_S)
    assert not request.is_alive()


def spooled(folder: Path) -> list[Path]:
    return list(folder.glob("verbatim-spool-*"))


def test_a_signal_lets_running_requests_end(tmp_path: Path) -> None:
    spool, go_on = tmp_path / "spool", tmp_path / "go on"
    settings = {"VERBATIM_SPOOL_DIR": str(spool), UNTIL_VARIABLE: str(go_on)}
    with (
        fake_server(**settings) as server,
        posting(server) as request,
        server.client() as client,
    ):
        assert client.get("/ready").status_code == 200
        server.signal(signal.SIGTERM)
        wait_until(lambda: client.get("/ready").status_code == 503)
        refused = client.post(PATH, files={"file": SPEECH.read_bytes()})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200
        go_on.touch()
        assert request.result().json()["text"] == "All was said."
        assert server.exit_status() == 0
        assert spooled(spool) == []


def test_what_takes_longer_than_the_drain_time_is_told_so(tmp_path: Path) -> None:
    with (
        fake_server(FOREVER_S, VERBATIM_DRAIN_S="0.5", VERBATIM_SPOOL_DIR=str(tmp_path)) as server,
        posting(server) as request,
    ):
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        answer = request.result()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        error_of(answer.json())
        assert server.exit_status() == 0
        assert time.monotonic() - started < 15
        assert spooled(tmp_path) == []


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    settings = {"VERBATIM_SPOOL_DIR": str(tmp_path), "VERBATIM_DRAIN_S": str(FOREVER_S)}
    with (
        fake_server(FOREVER_S, **settings) as server,
        posting(server) as request,
    ):
        server.signal(signal.SIGTERM)
        server.told("stopping")
        server.signal(signal.SIGTERM)
        assert server.exit_status(5) == 130
        request.join(PATIENCE_S)
        assert request.failed
        assert spooled(tmp_path) == []


def test_an_interrupted_idle_server_ends_soon() -> None:
    with fake_server() as server:
        with server.client() as client:
            client.post(PATH, files={"file": SPEECH.read_bytes()})
        line = server.told("request")
        assert line["status"] == 200
        assert line["request_id"]
        server.signal(signal.SIGINT)
        assert server.exit_status(5) == 0


def test_a_killed_server_s_spool_is_removed_by_the_next(tmp_path: Path) -> None:
    with fake_server(FOREVER_S, VERBATIM_SPOOL_DIR=str(tmp_path)) as server, posting(server):
        server.signal(signal.SIGKILL)
        server.exit_status()
    (left,) = spooled(tmp_path)
    with fake_server(VERBATIM_SPOOL_DIR=str(tmp_path)) as server:
        assert server.url
        assert not left.exists()


def fails_to_start(*flags: str, **variables: str) -> str:
    done = subprocess.run(
        [VERBATIM, "serve", "--offline", *flags],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = fails_to_start("--port", str(taken.getsockname()[1]))
    assert "--port" in told


def test_a_default_model_that_does_not_exist() -> None:
    assert "no-such-model" in fails_to_start("--model", "no-such-model", "--port", "0")


def test_a_model_that_is_broken(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(BUNDLED_DEMO, folder)
    weights = folder / "model.bin"
    weights.write_bytes(weights.read_bytes()[:100_000])
    fails_to_start("--model", str(folder), "--port", "0")


def test_real_settings_reach_the_process(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "verbatim.log"
    command = [sys.executable, "-m", "tests.support.fake_process"]
    variables = {"VERBATIM_LOG_FILE": str(log), "VERBATIM_PRELOAD": "false", "FAKE_ENGINE_S": "0"}
    with server_process(command, **variables) as server:
        wait_until(lambda: log.exists() and "listening" in log.read_text())
        (line,) = [line for line in log.read_text().splitlines() if "listening" in line]
        # It listens before it can be told to stop.
        assert httpx.get(json.loads(line)["url"] + "/health", timeout=PATIENCE_S).status_code == 200
        server.signal(signal.SIGTERM)
        assert server.exit_status() == 0
    assert server.lines == []
