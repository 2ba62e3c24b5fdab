"""OpenTelemetry traces: a span for each request, and below it one for each stage of its work.

What is sent, and where to, say OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER …). Spans hold no text, no file name and no key.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verbatim.domain.errors import UnavailableError
from verbatim.scheduling.telemetry import Happening, StageDone
from verbatim.server.middleware import NO_ROUTE, OPERATION_PATHS
from verbatim.server.version import installed_version
from verbatim.settings import Settings
from verbatim.wire.notes import RequestNotes, notes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

SCOPE_NAME: Final = "verbatim"
SERVICE_NAME_VARIABLE: Final = "OTEL_SERVICE_NAME"
CLOSING_S: Final = 5.0
NS_PER_S: Final = 1_000_000_000
NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
MISSING: Final = (
    "Traces need a package that is not installed: pip install 'verbatim-stt[otel]', or switch the "
    "setting traces off."
)


class Tracing:
    """Makes spans.

    Args:
        provider: of OpenTelemetry; it says where spans go.
        clock: the seconds that the server measures with.
    """

    def __init__(self, provider: TracerProvider, clock: Callable[[], float]) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE_NAME, installed_version())
        self._clock = clock

    def on_happening(self, happening: Happening) -> None:
        """A stage that ended becomes a span below the one that is open in this task."""
        if not isinstance(happening, StageDone):
            return
        span = self._tracer.start_span(
            happening.stage.value, start_time=self._wall_ns(happening.began_s)
        )
        span.end(self._wall_ns(happening.ended_s))

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within a span of its own, below the caller's if they named one."""
        from opentelemetry import propagate, trace  # noqa: PLC0415 - an extra

        parent = propagate.extract(dict(Headers(scope=scope)))
        status: int | None = None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method: str = scope["method"]
        with self._tracer.start_as_current_span(
            method, context=parent, kind=trace.SpanKind.SERVER
        ) as span:
            try:
                await app(scope, receive, watch)
            finally:
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                span.update_name(f"{method} {route}")
                span.set_attributes(_attributes(method, route, status, notes_of(scope)))
                if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.set_status(trace.StatusCode.ERROR)

    async def aclose(self) -> None:
        """Send what is left, within a few seconds."""
        closing = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        await asyncio.wait({closing}, timeout=CLOSING_S)

    def _wall_ns(self, at_s: float) -> int:
        return time.time_ns() - round((self._clock() - at_s) * NS_PER_S)


class Traces:
    """Middleware that has each request served within a span; machines' questions aside."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in OPERATION_PATHS:
            await self._app(scope, receive, send)
            return
        await self._tracing.serve(self._app, scope, receive, send)


@asynccontextmanager
async def open_tracing(
    settings: Settings, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Tracing | None]:
    """Traces for the time of the context, as the settings say; None where they are off.

    Raises:
        UnavailableError: the package is not installed.
    """
    if not settings.traces:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnavailableError(MISSING) from error
    names = NO_NAMES if SERVICE_NAME_VARIABLE in os.environ else {"service.name": SCOPE_NAME}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracing = Tracing(provider, clock)
    try:
        yield tracing
    finally:
        await tracing.aclose()


def _attributes(
    method: str, route: str, status: int | None, notes: RequestNotes
) -> dict[str, AttributeValue]:
    """OpenTelemetry's names where it has one."""
    told: dict[str, AttributeValue | None] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "error.type": notes.error and notes.error.value,
        "verbatim.request_id": notes.request_id,
        "verbatim.dialect": notes.dialect,
        "verbatim.model": notes.model,
        "verbatim.language": notes.language,
        "verbatim.audio_s": notes.audio_s,
        "verbatim.cache": notes.cache and notes.cache.value,
    }
    return {name: value for name, value in told.items() if value is not None}
