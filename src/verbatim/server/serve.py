"""The server as a process: builds everything, listens, ends in order."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from types import FrameType
from typing import Final, NoReturn, TypeVar

import structlog
import uvicorn
from fastapi import FastAPI

from verbatim.access.opening import create_first_keys, open_access
from verbatim.access.policy import Policy, is_loopback, policy_of
from verbatim.dialects import wyoming
from verbatim.domain.errors import VerbatimError
from verbatim.engine.catalog import Catalog
from verbatim.engine.downloads import DownloadProgress
from verbatim.engine.known_models import AUTO
from verbatim.forwarding.front_end import front_end_settings, open_front_end
from verbatim.pipeline.local_service import new_results, open_service
from verbatim.pipeline.service import TranscriptionService
from verbatim.server.app import create_app, new_metrics
from verbatim.server.drain import Drain
from verbatim.server.first_keys import show_first_keys
from verbatim.server.health import Readiness
from verbatim.server.http_protocol import PatientHttp
from verbatim.server.listeners import (
    ACCEPTED_AT_ONCE,
    SecureListeners,
    addresses,
    let_wait,
    listen,
    open_listeners,
)
from verbatim.server.logs import configure_logging
from verbatim.server.metrics import Metrics
from verbatim.server.tcp_listener import serving_tcp
from verbatim.server.traces import open_tracing
from verbatim.server.version import installed_version
from verbatim.server.websocket_protocol import BoundedWebSockets
from verbatim.settings import MIB, Settings
from verbatim.store.database import open_database
from verbatim.wire.body import Pace
from verbatim.wire.context import Context
from verbatim.wire.spool import Spool
from verbatim.wire.tcp import TcpDialect

log = structlog.stdlib.get_logger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_FORCED: Final = 130
"""What a shell shows for a process that was interrupted."""
ABORT_GRACE_S: Final = 5
"""After the drain time, for telling clients that they were cut off."""
UPLOADS_ON_THEIR_WAY: Final = 16
"""Files in the spool besides those of running and waiting transcriptions."""
DESCRIPTORS: Final = 65_536
"""Shells commonly allow 1,024, which a thousand idle connections use up."""
KEEP_ALIVE_S: Final = 75
"""Longer than the 60 s of common proxies, which would otherwise meet closed connections."""

T = TypeVar("T")


class DrainingServer(uvicorn.Server):
    """uvicorn, ended in two steps: the first signal drains, the second ends at once.

    While draining it goes on listening, so that `/ready` can tell a balancer to look elsewhere.

    Args:
        config: uvicorn's.
        drain: told when to begin and when to give up.
        drain_s: how long running requests may take.
        clock: seconds that only rise.
        on_force: called in the signal's handler before the process ends.
        secure: where it listens for encrypted connections too.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        drain_s: float,
        clock: Callable[[], float],
        on_force: Callable[[], None],
        secure: SecureListeners | None = None,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_s = drain_s
        self._clock = clock
        self._on_force = on_force
        self._secure = secure
        self._signal: int | None = None
        self._deadline_s: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; on the encrypted sockets with the same application and state."""
        await super().startup(sockets=sockets)
        let_wait(sockets or ())
        if self._secure is not None:
            self.servers += await self._secure.serve(self._protocol)

    def _protocol(self) -> asyncio.Protocol:
        # As uvicorn makes them in its own `startup`, which knows one kind of socket only.
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # uvicorn's protocols'
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the first signal, end at the second; uvicorn's own would die of the signal.

        Called between any two instructions, so it does next to nothing.
        """
        del frame
        if self._signal is not None:
            self._force()
        self._signal = sig

    def drain(self) -> None:
        """Take no new work, and end when the running work has."""
        self._deadline_s = self._clock() + self._drain_s
        self._drain.begin()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; says whether to end."""
        if self._signal is not None and not self._drain.draining:
            name = signal.Signals(self._signal).name
            log.info("stopping", signal=name, running=self._drain.running)
            self.drain()
        if self._deadline_s is not None and not self._drain.aborted:
            if not self._drain.running:
                self.should_exit = True
            elif self._clock() >= self._deadline_s:
                log.warning("drain time is over", running=self._drain.running)
                self._drain.abort()
                self.should_exit = True
        return await super().on_tick(counter)

    def _force(self) -> NoReturn:
        self._on_force()
        # Threads that decode or infer would keep an orderly exit waiting.
        os._exit(EXIT_FORCED)


TCP_DIALECTS: Final[tuple[Callable[[Context], TcpDialect | None], ...]] = (wyoming.dialect,)
"""Wires that are no HTTP; each looks at the settings whether it is switched on."""

ServiceOpener = Callable[[Settings, Catalog], AbstractAsyncContextManager[TranscriptionService]]
"""Makes the service for the time of a context."""


def serve(settings: Settings, opener: ServiceOpener | None = None) -> int:
    """Serve until a signal ends it.

    Args:
        settings: of everything.
        opener: makes the service; None: as the settings say, but for tests.

    Returns:
        The exit status: 0 after an orderly end, 1 when it could not start.

    Raises:
        UnavailableError: the log file cannot be written.
    """
    configure_logging(settings)
    allow_descriptors()
    if settings.backend_url:
        settings, opener = front_end_settings(settings), opener or open_front_end
    try:
        asyncio.run(_serve(settings, opener or open_service))
    except VerbatimError as error:
        log.error("the server cannot start", reason=error.message)
        return EXIT_FAILED
    return EXIT_OK


async def _serve(settings: Settings, opener: ServiceOpener) -> None:
    policy = policy_of(settings)
    catalog = Catalog(settings)
    drain = Drain()
    max_files = settings.max_running + settings.max_waiting + UPLOADS_ON_THEIR_WAY
    with (
        open_listeners(settings) as listeners,
        Spool(settings.spool_dir, max_files=max_files) as spool,
    ):
        async with (
            open_database(settings) as database,
            open_access(policy, database) as access,
            opener(settings, catalog) as service,
            open_tracing(settings) as tracing,
        ):
            if settings.cache:
                version = installed_version()
                service.keep_results(new_results(settings, catalog, database, version))
            show_first_keys(await create_first_keys(access, settings), sys.stdout)
            _warn_if_open(settings, policy)
            pace = Pace(idle_s=settings.upload_idle_s, longest_s=settings.max_upload_s)
            context = Context(settings, service, catalog, spool, access, pace)
            readiness = Readiness(context, drain)
            metrics = new_metrics(context, drain)
            app = create_app(
                context, drain=drain, readiness=readiness, metrics=metrics, tracing=tracing
            )
            config = uvicorn_config(app, settings.max_message_bytes)
            server = DrainingServer(
                config,
                drain,
                settings.drain_s,
                context.clock,
                spool.remove_folder,
                listeners.secure,
            )
            listeners.log_addresses()
            spare_from_collection()
            async with serving_own_ports(context, drain, metrics):
                preloading = asyncio.create_task(_preload(context, readiness, server))
                await server.serve(sockets=listeners.plain)
            preloading.cancel()
            loaded = (await asyncio.gather(preloading, return_exceptions=True))[0]
            if isinstance(loaded, Exception):
                raise loaded


async def _preload(context: Context, readiness: Readiness, server: DrainingServer) -> None:
    """Get and load the default model; end the server where it cannot be had.

    Raises:
        VerbatimError: it cannot.
    """
    if not context.settings.preload:
        return
    try:
        await in_daemon_thread(lambda: context.catalog.default(log_progress()))
        readiness.default = await context.service.preload(AUTO)
    except Exception:
        server.drain()
        raise
    for warning in readiness.default.warnings:
        log.warning(warning.message, code=warning.code.value)
    log.info(
        "ready",
        model=readiness.default.model,
        device=readiness.default.device,
        compute_type=readiness.default.compute_type,
    )


@asynccontextmanager
async def serving_own_ports(
    context: Context, drain: Drain, metrics: Metrics
) -> AsyncIterator[None]:
    """Serve the wires that are no HTTP and are switched on, for the time of a context.

    Raises:
        BadRequestError: a wire that may not be served so.
        UnavailableError: an address is taken, or is not one of this machine's.
    """
    async with AsyncExitStack() as stack:
        for make in TCP_DIALECTS:
            dialect = make(context)
            if dialect is None:
                continue
            prefix = dialect.settings_prefix
            listeners = listen(dialect.host, dialect.port, (f"{prefix}host", f"{prefix}port"))
            await stack.enter_async_context(serving_tcp(dialect, listeners, drain, metrics))
            for address in addresses(listeners):
                log.info("listening", dialect=dialect.name, url=f"tcp://{address}")
        yield


def allow_descriptors(wanted: int = DESCRIPTORS) -> int:
    """Ask the system for so many open files; each connection is one. Returns what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft


def uvicorn_config(app: FastAPI, max_message_bytes: int = MIB) -> uvicorn.Config:
    """How uvicorn runs the application; a message on a WebSocket is held in memory."""
    return uvicorn.Config(
        app,
        ws=BoundedWebSockets,
        ws_max_size=max_message_bytes,
        ws_per_message_deflate=False,
        http=PatientHttp,
        backlog=ACCEPTED_AT_ONCE,
        # Our own pipe and our own line for each request.
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ABORT_GRACE_S,
    )


def spare_from_collection() -> None:
    """Leave what exists now, which lasts as long as the server, out of the search for garbage.

    A full search stops everything, and many connections bring one about; it takes as long as there
    are objects to look at.
    """
    gc.collect()
    gc.freeze()


def _warn_if_open(settings: Settings, policy: Policy) -> None:
    if not policy.required and not is_loopback(settings.host):
        log.warning("everybody who can reach this address may use it: no_auth is set")


def log_progress() -> Callable[[DownloadProgress], None]:
    """A listener that logs a download, in steps of ten percent."""
    told = -1

    def tell(progress: DownloadProgress) -> None:
        nonlocal told
        tenths = 10 * progress.done_bytes // max(1, progress.total_bytes)
        if tenths != told:
            told = tenths
            log.info(
                "getting model", model=progress.model, phase=progress.phase, percent=10 * tenths
            )

    return tell


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Run what may take minutes, in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        def unless_cancelled() -> None:
            if not done.done():
                set_it()

        # Nobody waits any more where the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(unless_cancelled)

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
            settle(lambda: done.set_exception(failure))
        else:
            settle(lambda: done.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await done
