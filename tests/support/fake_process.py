"""A server as a process of its own: as users start it, or with an engine that takes its time.

FAKE_ENGINE_S says how long each call of the fake engine lasts, and FAKE_ENGINE_UNTIL may name a
file for which each waits; all else are Verbatim's settings.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
from tests.support.live_server import PATIENCE_S, fake_service, wait_until

from verbatim.domain.audio import Window
from verbatim.engine.catalog import Catalog
from verbatim.engine.fake import FakeEngine
from verbatim.engine.protocol import Engine
from verbatim.pipeline.service import TranscriptionService
from verbatim.server.serve import serve
from verbatim.settings import Settings, load_settings

PAUSE_VARIABLE = "FAKE_ENGINE_S"
UNTIL_VARIABLE = "FAKE_ENGINE_UNTIL"
ROOT = Path(__file__).parents[2]
VERBATIM = str(Path(sys.executable).with_name("verbatim"))
READY_S = 120.0


@dataclass
class ServerProcess:
    """A running server, seen from outside."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.told("listening")["url"])

    def told(self, message: str, patience_s: float = READY_S) -> dict[str, Any]:
        """The first log line with this message, waited for."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line["message"] == message]

        wait_until(lambda: bool(found()) or self.process.poll() is not None, patience_s)
        assert found(), self.lines
        return found()[0]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S)

    def wait_until_ready(self) -> None:
        with self.client() as client:
            wait_until(lambda: client.get("/ready").status_code == 200, READY_S)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_status(self, patience_s: float = PATIENCE_S) -> int:
        return self.process.wait(patience_s)


@contextmanager
def server_process(
    command: Sequence[str], stdout: IO[str] | None = None, /, **variables: str
) -> Iterator[ServerProcess]:
    """Start a server on a free port; it is killed at the end if it still runs.

    It has a data folder of its own: what another one was asked, it does not know.
    """
    data = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    own = {
        "VERBATIM_DATA_DIR": data.name,
        "VERBATIM_PORT": "0",
        "VERBATIM_OFFLINE": "true",
        "VERBATIM_LOG_FORMAT": "json",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    process = subprocess.Popen(
        list(command),
        env={**os.environ, **own, **variables},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    server = ServerProcess(process)
    reader = threading.Thread(target=_read, args=(process.stderr, server.lines), daemon=True)
    reader.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait()
        data.cleanup()
        reader.join(PATIENCE_S)
        process.stderr.close()


@contextmanager
def serving(*flags: str, **variables: str) -> Iterator[ServerProcess]:
    """`verbatim serve` as users start it, with the demo model; it is ready."""
    with server_process([VERBATIM, "serve", *flags], **variables) as server:
        server.wait_until_ready()
        yield server


def fake_server(pause_s: float = 0, stdout: IO[str] | None = None, /, **variables: str) -> Any:
    """A server process with the fake engine."""
    command = [sys.executable, "-m", "tests.support.fake_process"]
    settings = {"VERBATIM_PRELOAD": "false", PAUSE_VARIABLE: str(pause_s)}
    return server_process(command, stdout, **settings, **variables)


def _read(stream: IO[str], lines: list[dict[str, Any]]) -> None:
    for line in stream:
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append({"message": line})


@asynccontextmanager
async def _open(settings: Settings, catalog: Catalog) -> AsyncIterator[TranscriptionService]:
    path = os.environ.get(UNTIL_VARIABLE)
    awaited = None if path is None else Path(path)

    async def pause(windows: Sequence[Window]) -> None:
        await asyncio.sleep(float(os.environ[PAUSE_VARIABLE]))
        while awaited is not None and not awaited.exists():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)

    async def load(name: str) -> Engine:
        return FakeEngine(lambda window: "All was said.", pause)

    service = fake_service(settings, catalog, load)
    try:
        yield service
    finally:
        await service.aclose()


if __name__ == "__main__":
    sys.exit(serve(load_settings(), opener=_open))
