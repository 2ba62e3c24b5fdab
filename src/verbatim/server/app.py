"""The HTTP application: every dialect and the operation's routes on one port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from verbatim.dialects import (
    deepgram,
    fastwhisper,
    microservice,
    native_keys,
    native_live,
    native_server,
    native_transcripts,
    openai_realtime,
    openai_rest,
    voxscribe,
    zhtw,
)
from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.server.browsers import SiteGuard
from verbatim.server.docs import description_routes
from verbatim.server.drain import Drain
from verbatim.server.errors import ErrorResponder
from verbatim.server.health import Readiness, operation_routes
from verbatim.server.metrics import Metrics
from verbatim.server.middleware import REQUEST_ID_HEADER, ErrorBoundary, Observe
from verbatim.server.traces import Traces, Tracing
from verbatim.server.version import installed_version
from verbatim.server.visits import Visits
from verbatim.server.web import Page, bundled_folder, page_routes
from verbatim.wire.caching import CACHE_HEADER
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect, retry_headers
from verbatim.wire.guard import LIMIT_HEADERS
from verbatim.wire.server_view import ServerView

DIALECTS: Final[Mapping[str, Callable[[Context], Dialect]]] = MappingProxyType(
    {
        openai_rest.NAME: openai_rest.dialect,
        openai_realtime.NAME: openai_realtime.dialect,
        deepgram.NAME: deepgram.dialect,
        native_keys.NAME: native_keys.dialect,
        native_live.NAME: native_live.dialect,
        fastwhisper.NAME: fastwhisper.dialect,
        native_server.NAME: native_server.dialect,
        native_transcripts.NAME: native_transcripts.dialect,
        voxscribe.NAME: voxscribe.dialect,
        microservice.NAME: microservice.dialect,
        zhtw.NAME: zhtw.dialect,
    }
)
DESCRIPTION: Final = "Speech to text on your own machine, through the APIs that clients speak."


def create_app(
    context: Context,
    *,
    drain: Drain | None = None,
    readiness: Readiness | None = None,
    metrics: Metrics | None = None,
    page_folder: Path | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The application; it owns nothing of what the context holds, and starts nothing.

    Args:
        context: what the dialects work with.
        drain: given by who stops the server.
        readiness: given by who loads the model.
        metrics: given by who counts there too what is no HTTP; of `new_metrics`.
        page_folder: of the built page; that of the package if not given.
        tracing: makes traces, if given.

    Raises:
        BadRequestError: the settings switch on a dialect that does not exist.
    """
    drain = drain or Drain()
    drain.on_begin(context.service.live.drain)
    readiness = readiness or Readiness(context, drain)
    metrics = metrics or new_metrics(context, drain)
    view = ServerView(
        version=installed_version(),
        uptime_s=metrics.activity.uptime_s,
        obstacle=readiness.obstacle,
        draining=lambda: drain.draining,
        totals=metrics.activity.totals,
    )
    context = replace(context, server=view)
    dialects = tuple(_dialects(context))
    errors = ErrorResponder(dialects, fallback=_render_error)
    app = FastAPI(
        title="Verbatim",
        version=installed_version(),
        description=DESCRIPTION,
        # The ready-made pages load scripts from elsewhere; this server must work offline.
        docs_url=None,
        # Ours is written once, and not for every request.
        openapi_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=errors.handlers(),
    )
    # Before all others: at `/`, browsers get the page, and programs what the dialects answer.
    app.router.routes.extend(page_routes(Page.read(page_folder or bundled_folder())))
    app.router.routes.extend(description_routes(app.openapi))
    # One list: `include_router` would have every request ask router after router.
    app.router.routes.extend(operation_routes(context, readiness, metrics, dialects).routes)
    for dialect in dialects:
        drain.on_begin(dialect.drain)
    for router in _without_repeats(dialect.router for dialect in dialects):
        app.router.routes.extend(router.routes)
    # The one added last is the outermost.
    app.add_middleware(ErrorBoundary, errors=errors, drain=drain)
    app.add_middleware(Visits)
    app.add_middleware(
        SiteGuard,
        settings=context.settings,
        open_to_all=not context.access.policy.required,
        errors=errors,
    )
    if context.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=context.settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, CACHE_HEADER, "retry-after", *LIMIT_HEADERS],
        )
    if tracing is not None:
        context.service.telemetry.listen(tracing.on_happening)
        app.add_middleware(Traces, tracing=tracing)
    app.add_middleware(Observe, dialects=dialects, metrics=metrics, clock=context.clock)
    return app


def _without_repeats(routers: Iterable[APIRouter]) -> Iterator[APIRouter]:
    """The routers without what one before has: shared paths answer what all their dialects do."""
    known: set[tuple[str, str]] = set()
    for router in routers:
        for route in tuple(router.routes):
            if not isinstance(route, APIRoute):
                continue
            answers = {(route.path, method) for method in route.methods or ()}
            if answers <= known:
                router.routes.remove(route)
            known |= answers
        yield router


def _dialects(context: Context) -> Iterator[Dialect]:
    """Those that are switched on.

    Always in the same order: of two that share a path, the first one's answer is the union.
    """
    names = context.settings.dialects
    for name in names:
        if name not in DIALECTS:
            raise BadRequestError(
                f"There is no dialect {name!r}; the setting dialects takes: {', '.join(DIALECTS)}.",
                param="dialects",
            )
    for name, make in DIALECTS.items():
        if name in names:
            yield make(context)


def new_metrics(context: Context, drain: Drain) -> Metrics:
    """What is shown at `/metrics`.

    Args:
        context: whose state is shown.
        drain: knows the requests that run.
    """
    metrics = Metrics(installed_version(), context.clock)
    service, spool = context.service, context.spool
    watched: dict[str, tuple[str, Callable[[], float]]] = {
        "queue_running": ("Transcriptions that run.", lambda: service.load().running),
        "queue_waiting": ("Transcriptions that wait.", lambda: service.load().waiting),
        "live_sessions": ("Live sessions that are open.", lambda: service.live.load().sessions),
        "models_loaded": ("Models in memory.", lambda: len(service.loaded_models())),
        "http_requests_in_flight": ("Requests being served.", lambda: drain.running),
        "spooled_files": ("Uploads on disk or on their way.", lambda: spool.files),
    }
    for name, (help_text, read) in watched.items():
        metrics.watch(name, help_text, read)
    metrics.watch_models(service.resident_models)
    service.telemetry.listen(metrics.on_happening)
    return metrics


def _render_error(error: VerbatimError, status: int) -> Response:
    """The shape where no dialect is asked: that of most of them."""
    body: dict[str, Any] = {"detail": error.message, "code": error.code}
    return JSONResponse(body, status, headers=retry_headers(error))
