"""The service with real engines in this process, as the command line and the server use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from verbatim.engine.catalog import Catalog
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.engine.residency import Residency
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.service import TranscriptionService
from verbatim.pipeline.transcribe import Frontend
from verbatim.scheduling.admission import Admission
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.settings import Settings
from verbatim.stages.decode_audio import DecodeLimits


@asynccontextmanager
async def open_service(
    settings: Settings, catalog: Catalog, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[TranscriptionService]:
    """The service for the time of the context; closing it drains and frees the models."""
    options = LoadOptions(
        device=settings.device,
        device_indexes=tuple(settings.device_indexes),
        compute_type=settings.compute_type,
        cpu_threads=settings.cpu_threads,
        batch_size=settings.batch_size,
    )

    async def load(name: str) -> Dispatcher:
        return Dispatcher(await asyncio.to_thread(_load, catalog, name, options), clock=clock)

    service = TranscriptionService(
        models=Residency(lambda name: catalog.resolve(name).name, load),
        frontend=Frontend(SileroVad(), DecodeLimits(max_duration_s=settings.max_audio_s)),
        admission=Admission(settings.max_running, settings.max_waiting, clock),
        drain_s=settings.drain_s,
    )
    try:
        yield service
    finally:
        await service.aclose()


def _load(catalog: Catalog, name: str, options: LoadOptions) -> LocalEngine:
    files = catalog.resolve(name)
    return LocalEngine.load(files.folder, files.name, options, files.warnings)
