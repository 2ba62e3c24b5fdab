"""The service with real engines, as the command line and the server use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from verbatim.engine.catalog import Catalog
from verbatim.engine.child import ChildLimits
from verbatim.engine.frames import WorkerSpec
from verbatim.engine.model_identity import model_identity
from verbatim.engine.process import SPARE_AFTER_S, ProcessEngine, Supervision
from verbatim.engine.protocol import Engine, LoadOptions
from verbatim.engine.residency import Residency, ResidencyLimits
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.live.service import LiveLimits
from verbatim.pipeline.live.session import SessionTimes
from verbatim.pipeline.result_cache import ResultCache
from verbatim.pipeline.service import TranscriptionService
from verbatim.pipeline.transcribe import Frontend
from verbatim.scheduling.admission import Admission
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.scheduling.telemetry import Telemetry
from verbatim.settings import Settings
from verbatim.stages.decode_audio import DecodeLimits
from verbatim.store.database import Database
from verbatim.store.results import ResultStore


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_service(
    settings: Settings, catalog: Catalog, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[TranscriptionService]:
    """The service for the time of the context; closing it drains and frees the models."""
    telemetry = Telemetry()

    async def load(name: str) -> Dispatcher:
        engine = await load_engine(settings, catalog, name, clock)
        return Dispatcher(engine, clock=clock, telemetry=telemetry)

    service = TranscriptionService(
        models=Residency(
            lambda name: catalog.resolve(name).name,
            load,
            ResidencyLimits(settings.keep_alive_s or None, settings.max_models_bytes or None),
            lambda name: _size_bytes(catalog.resolve(name).folder),
        ),
        frontend=new_frontend(settings),
        admission=Admission(settings.max_running, settings.max_waiting, clock),
        drain_s=settings.drain_s,
        live=live_limits(settings),
        clock=clock,
        telemetry=telemetry,
    )
    try:
        yield service
    finally:
        await service.aclose()


def new_results(
    settings: Settings,
    catalog: Catalog,
    database: Database,
    version: str,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = utc_now,
) -> ResultCache:
    """What keeps results in a database, as the settings say."""
    changing = (settings.device, settings.compute_type, settings.encoder, settings.short_context)

    def identify(name: str) -> str:
        return f"{model_identity(catalog.resolve(name))} {changing} {settings.max_audio_s}"

    store = ResultStore(
        database, settings.cache_max_bytes, timedelta(seconds=settings.cache_max_age_s)
    )
    return ResultCache(store, identify, version, clock, now)


def live_limits(settings: Settings) -> LiveLimits:
    """What the settings say of live sessions."""
    return LiveLimits(
        settings.max_live_sessions,
        SessionTimes(settings.live_idle_s or None, settings.max_live_s or None),
        settings.debug_audio,
    )


def new_frontend(settings: Settings) -> Frontend:
    """What turns bytes into speech, within the settings' bounds."""
    return Frontend(SileroVad(), DecodeLimits(max_duration_s=settings.max_audio_s))


async def load_engine(
    settings: Settings, catalog: Catalog, name: str, clock: Callable[[], float] = time.monotonic
) -> Engine:
    """Load a model as the settings say; the caller closes it.

    Raises:
        ModelNotFoundError, ModelUnavailableError: it cannot be had.
    """
    spec = await asyncio.to_thread(_spec, settings, catalog, name)
    return await _load(settings, spec, clock)


def _spec(settings: Settings, catalog: Catalog, name: str) -> WorkerSpec:
    files = catalog.resolve(name)
    options = LoadOptions(
        device=settings.device,
        device_indexes=tuple(settings.device_indexes),
        compute_type=settings.compute_type,
        cpu_threads=settings.cpu_threads,
        cpu_workers=settings.cpu_workers,
        encoder=settings.encoder,
        data_dir=settings.data_dir,
        batch_size=settings.batch_size,
        short_context=settings.short_context,
    )
    return WorkerSpec(files.folder, files.name, options, files.warnings)


async def _load(settings: Settings, spec: WorkerSpec, clock: Callable[[], float]) -> Engine:
    """Load a model where the settings say."""
    if settings.engine == "process":
        supervision = Supervision(
            ChildLimits(window_s=settings.max_window_s),
            max_memory_bytes=settings.max_process_bytes or None,
            spare_after_s=SPARE_AFTER_S if settings.spare_process else None,
        )
        return await ProcessEngine.start(spec, supervision, clock)
    # A server has no use for it in this process, where it would take memory.
    from verbatim.engine.local import LocalEngine  # noqa: PLC0415

    return await asyncio.to_thread(
        LocalEngine.load, spec.folder, spec.name, spec.options, spec.warnings
    )


def _size_bytes(folder: Path) -> int:
    """Of the files of a model, about what it takes in memory."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
