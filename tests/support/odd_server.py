"""A server as a process of its own, whose models' processes do what a request's prompt tells.

See `odd_worker` for what that may be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from tests.support.fake_process import ServerProcess, server_process
from tests.support.live_server import fake_service
from tests.support.odd_worker import __file__ as odd_worker

from verbatim.engine.catalog import Catalog
from verbatim.engine.frames import WorkerSpec
from verbatim.engine.process import ProcessEngine, Supervision
from verbatim.engine.protocol import Engine
from verbatim.pipeline.service import TranscriptionService
from verbatim.server.serve import serve
from verbatim.settings import Settings, load_settings


def odd_server(folder: Path) -> AbstractContextManager[ServerProcess]:
    """Start it; the folder is for its spool and its data."""
    return server_process(
        [sys.executable, "-m", "tests.support.odd_server"],
        VERBATIM_PRELOAD="false",
        VERBATIM_SPOOL_DIR=str(folder),
        VERBATIM_DATA_DIR=str(folder),
    )


@asynccontextmanager
async def _open(settings: Settings, catalog: Catalog) -> AsyncIterator[TranscriptionService]:
    async def load(name: str) -> Engine:
        supervision = Supervision(command=(sys.executable, odd_worker))
        return await ProcessEngine.start(WorkerSpec(Path(), name), supervision, time.monotonic)

    service = fake_service(settings, catalog, load)
    try:
        yield service
    finally:
        await service.aclose()


if __name__ == "__main__":
    sys.exit(serve(load_settings(), opener=_open))
