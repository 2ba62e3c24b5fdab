"""The service of a server without a model of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx

from verbatim.domain.errors import ModelUnavailableError
from verbatim.engine.catalog import Catalog
from verbatim.engine.residency import Residency
from verbatim.forwarding.back_end import BackEnd
from verbatim.forwarding.back_ends import BackEnds
from verbatim.pipeline.local_service import live_limits, new_frontend
from verbatim.pipeline.service import TranscriptionService
from verbatim.scheduling.admission import Admission
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.settings import Settings

CONNECT_S: Final = 5.0
WRITE_S: Final = 60.0
"""Longest wait until a back end takes the next bytes."""
KEEP_ALIVE_S: Final = 2.0
"""Shorter than any common server's: a connection that it closes just now would lose a request."""
NO_MODEL: Final = (
    "This server has no model of its own: it passes recordings on to others, and no live speech. "
    "Connect to one of those."
)


def front_end_settings(settings: Settings) -> Settings:
    """The settings of a server that only passes recordings on.

    It has no model to load; its back ends keep the results, and each has places of its own.
    """
    places = settings.max_running * len(settings.backend_url)
    return settings.model_copy(update={"preload": False, "cache": False, "max_running": places})


@asynccontextmanager
async def open_front_end(
    settings: Settings, catalog: Catalog, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[TranscriptionService]:
    """The service for the time of the context; back ends may come later."""
    del catalog
    key = settings.backend_api_key
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    timeout = httpx.Timeout(
        connect=CONNECT_S, write=WRITE_S, read=settings.backend_silence_s, pool=None
    )
    limits = httpx.Limits(max_connections=None, keepalive_expiry=KEEP_ALIVE_S)
    # A proxy is for what is far away, and these are near.
    async with httpx.AsyncClient(
        headers=headers, timeout=timeout, limits=limits, trust_env=False
    ) as client:
        back_ends = BackEnds([BackEnd(url, client) for url in settings.backend_url], clock)
        await back_ends.check()
        service = TranscriptionService(
            models=Residency(lambda name: name, _no_model),
            frontend=new_frontend(settings),
            admission=Admission(settings.max_running, settings.max_waiting, clock),
            drain_s=settings.drain_s,
            live=live_limits(settings),
            clock=clock,
        )
        service.pass_on_to(back_ends)
        try:
            yield service
        finally:
            await service.aclose()


async def _no_model(name: str) -> Dispatcher:
    del name
    raise ModelUnavailableError(NO_MODEL)
