"""The real application on a real socket, with a fake engine that tests can hold and break."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import uvicorn
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from verbatim.access.opening import open_access
from verbatim.access.policy import policy_of
from verbatim.domain.audio import Window
from verbatim.engine.catalog import Catalog
from verbatim.engine.fake import FakeEngine
from verbatim.engine.protocol import Engine
from verbatim.engine.residency import Residency
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.local_service import live_limits, new_results
from verbatim.pipeline.service import TranscriptionService
from verbatim.pipeline.transcribe import Frontend
from verbatim.scheduling.admission import Admission
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.scheduling.telemetry import Telemetry
from verbatim.server.app import create_app, new_metrics
from verbatim.server.drain import Drain
from verbatim.server.listeners import Listeners, addresses, open_listeners
from verbatim.server.serve import DrainingServer, serving_own_ports, uvicorn_config
from verbatim.server.traces import Tracing
from verbatim.settings import Settings
from verbatim.store.database import Database, open_database
from verbatim.wire.context import Context
from verbatim.wire.spool import LOCK_NAME, Spool

Logs: TypeAlias = list[MutableMapping[str, Any]]

PATIENCE_S = 60.0
"""For what comes to pass at once on a machine with nothing else to do: it ends what never will."""
SPEECH = Path(__file__).parents[1] / "data" / "speech" / "en-01.ogg"
"""Two seconds in which somebody speaks, so that voice activity is found."""


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Hold:
    """Keeps an engine waiting until it is released, from any thread."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.held = 0
        self.cancelled = 0

    def release(self) -> None:
        self._released.set()

    async def __call__(self, windows: Sequence[Window]) -> None:
        self.held += 1
        try:
            while not self._released.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@dataclass
class LiveServer:
    """What a test sees of a running server."""

    url: str
    engine: FakeEngine
    context: Context
    drain: Drain
    logs: Logs
    database: Database
    loop: asyncio.AbstractEventLoop
    secure_url: str = ""
    """Where connections are encrypted; empty for nowhere."""

    def stop_soon(self) -> None:
        """What a signal does: take no new work, and let what runs end."""
        self.loop.call_soon_threadsafe(self.drain.begin)

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, **options)

    def post(self, path: str = "/v1/audio/transcriptions", **fields: Any) -> httpx.Response:
        """Post the speech with these form fields."""
        with self.client() as client:
            return client.post(path, files={"file": SPEECH.read_bytes()}, data=fields)

    def port_of(self, dialect: str) -> int:
        """The port of a wire that is no HTTP."""
        lines = [log for log in self.logs if log["event"] == "listening"]
        (url,) = (line["url"] for line in lines if line["dialect"] == dialect)
        return int(url.rpartition(":")[2])

    def spooled(self) -> list[str]:
        return [p.name for p in self.context.spool.folder.iterdir() if p.name != LOCK_NAME]

    def idle(self) -> bool:
        load = self.context.service.load()
        live = self.context.service.live.load().sessions
        return not (load.running or load.waiting or live or self.drain.running or self.spooled())


@cache
def shared_vad() -> SileroVad:
    """One for all servers of a test run: loading it takes longer than most tests."""
    return SileroVad()


def fake_service(
    settings: Settings, catalog: Catalog, load: Callable[[str], Awaitable[Engine]]
) -> TranscriptionService:
    """The real service, whose models come from `load`."""

    telemetry = Telemetry()

    async def dispatched(name: str) -> Dispatcher:
        return Dispatcher(await load(name), clock=time.monotonic, telemetry=telemetry)

    return TranscriptionService(
        models=Residency(lambda name: catalog.resolve(name).name, dispatched),
        frontend=Frontend(shared_vad()),
        admission=Admission(settings.max_running, settings.max_waiting, time.monotonic),
        drain_s=settings.drain_s,
        live=live_limits(settings),
        telemetry=telemetry,
    )


class _ServerThread(threading.Thread):
    """Serves until it is told to stop."""

    def __init__(
        self, settings: Settings, engine: FakeEngine, logs: Logs, context_options: dict[str, Any]
    ) -> None:
        super().__init__(name="live-server", daemon=True)
        self._settings, self._engine, self._logs = settings, engine, logs
        self._max_files: int = context_options.pop("max_files", 100)
        self._tracing: Tracing | None = context_options.pop("tracing", None)
        self._context_options = context_options
        self._server: uvicorn.Server | None = None
        self._live: LiveServer | None = None
        self._failure: BaseException | None = None
        self._serving = threading.Event()

    def started(self) -> LiveServer:
        self._serving.wait(PATIENCE_S)
        self._raise_failure()
        assert self._live is not None
        return self._live

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self.join(PATIENCE_S)
        assert not self.is_alive()
        self._raise_failure()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._failure = error
        finally:
            self._serving.set()

    async def _serve(self) -> None:
        catalog = Catalog(self._settings)

        async def load(name: str) -> Engine:
            return self._engine

        with Spool(self._settings.spool_dir, max_files=self._max_files) as spool:
            async with (
                open_database(self._settings) as database,
                open_access(policy_of(self._settings), database) as access,
            ):
                service = fake_service(self._settings, catalog, load)
                if self._settings.cache:
                    service.keep_results(new_results(self._settings, catalog, database, "tests"))
                context = Context(
                    self._settings, service, catalog, spool, access, **self._context_options
                )
                here = self._settings.model_copy(update={"host": "127.0.0.1", "port": 0})
                async with aclosing(service):
                    with open_listeners(here) as listeners:
                        await self._serve_context(context, database, listeners)

    async def _serve_context(
        self, context: Context, database: Database, listeners: Listeners
    ) -> None:
        drain = Drain()
        metrics = new_metrics(context, drain)
        app = create_app(context, drain=drain, metrics=metrics, tracing=self._tracing)
        self._server = DrainingServer(
            uvicorn_config(app, self._settings.max_message_bytes),
            drain,
            self._settings.drain_s,
            context.clock,
            context.spool.remove_folder,
            listeners.secure,
        )
        secure = listeners.secure.sockets if listeners.secure else ()
        (url,) = (f"http://{address}" for address in addresses(listeners.plain))
        self._live = LiveServer(
            url,
            self._engine,
            context,
            drain,
            self._logs,
            database,
            asyncio.get_running_loop(),
            next((f"https://{address}" for address in addresses(secure)), ""),
        )
        async with serving_own_ports(context, drain, metrics):
            self._serving.set()
            await self._server.serve(sockets=listeners.plain)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


@contextmanager
def live_server(
    folder: Path,
    engine: FakeEngine | None = None,
    context_options: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[LiveServer]:
    """Serve from another thread; at the end nothing may be left running or lying about.

    Args:
        folder: for the spool and the data.
        engine: what speaks; counts seconds if not given.
        context_options: `pace`, `heartbeat_s`, `max_files` of the spool, and `tracing`.
        settings: besides those that keep a test by itself.
    """
    defaults = {
        "spool_dir": folder / "spool",
        "data_dir": folder / "data",
        "offline": True,
        "preload": False,
        # Most tests want each request to reach the engine.
        "cache": False,
    }
    chosen = Settings(**{**defaults, **settings})
    with capture_logs(processors=[merge_contextvars]) as logs:
        thread = _ServerThread(chosen, engine or FakeEngine(), logs, dict(context_options or {}))
        thread.start()
        try:
            server = thread.started()
            yield server
            wait_until(server.idle)
        finally:
            thread.stop()
