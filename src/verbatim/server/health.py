"""What machines ask: is it alive, does it take work, how is it doing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, create_model
from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import UnavailableError
from verbatim.domain.transcript import TranscriptWarning
from verbatim.engine.known_models import KnownModel
from verbatim.engine.protocol import EngineDescription
from verbatim.server.drain import Drain
from verbatim.server.metrics import Metrics
from verbatim.server.version import installed_version
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect, StatusPart, retry_headers
from verbatim.wire.json_body import JSON_TYPE
from verbatim.wire.model_list import model_setting

TAG = "operation"


class Readiness:
    """Whether requests should come here.

    Args:
        context: of the application.
        drain: says when the server is stopping.
    """

    def __init__(self, context: Context, drain: Drain) -> None:
        self._context = context
        self._drain = drain
        self.default: EngineDescription | None = None
        """The default model, once it is loaded."""

    async def obstacle(self) -> str | None:
        """What keeps requests away; None where nothing does."""
        if self._drain.draining:
            return "The server is stopping."
        if self._context.settings.preload and self.default is None:
            return "The model is being loaded."
        return await self._context.service.obstacle()

    def model(self) -> EngineDescription | None:
        """The default model, or whichever is loaded, or none."""
        return self.default or next(iter(self._context.service.loaded_models()), None)


class Root(BaseModel):
    """What this server is; dialects add what their clients look for."""

    message: str
    version: str
    device: str
    loaded_models: list[str]
    supported_models: list[str]


class HealthWarning(BaseModel):
    """Something that the operator should know."""

    code: str
    message: str


class Health(BaseModel):
    """How the server is; dialects add what their clients look for."""

    status: Literal["healthy"]
    model: str
    model_loaded: bool
    device: str
    compute_type: str
    loaded_models: list[str]
    running: int
    waiting: int
    version: str
    warnings: list[HealthWarning]


class Ready(BaseModel):
    """The server takes requests."""

    status: Literal["ready"]


class NotReady(BaseModel):
    """The server takes none just now."""

    status: Literal["not ready"]
    reason: str


def operation_routes(
    context: Context, readiness: Readiness, metrics: Metrics, dialects: Sequence[Dialect] = ()
) -> APIRouter:
    """`/`, `/health`, `/ready` and `/metrics`; none of them ever waits for a transcription."""
    router = APIRouter(tags=[TAG], default_response_class=JSONResponse)
    version = installed_version()

    def root() -> Root:
        return Root(
            message="Verbatim, a speech-to-text server. The API is described at /docs.",
            version=version,
            device=_device(context, readiness),
            loaded_models=_loaded(context),
            supported_models=_names(context.catalog.known()),
        )

    def health() -> Health:
        model = readiness.model()
        loaded = _loaded(context)
        load = context.service.load()
        return Health(
            status="healthy",
            model=model.model if model else model_setting(context),
            model_loaded=model is not None and model.model in loaded,
            device=_device(context, readiness),
            compute_type=model.compute_type if model else context.settings.compute_type,
            loaded_models=loaded,
            running=load.running,
            waiting=load.waiting,
            version=version,
            warnings=[_warning(w) for w in model.warnings] if model else [],
        )

    async def ready() -> Response:
        """Whether to send requests here: 503 while nothing can be done, and while stopping."""
        if (obstacle := await readiness.obstacle()) is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse(
            {"status": "not ready", "reason": obstacle},
            HTTPStatus.SERVICE_UNAVAILABLE,
            headers=retry_headers(UnavailableError(obstacle)),
        )

    async def expose() -> Response:
        """Counters and gauges in Prometheus' text format."""
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)

    root_parts = [dialect.root for dialect in dialects if dialect.root]
    health_parts = [dialect.health for dialect in dialects if dialect.health]
    _add_union(router, "/", StatusPart(Root, root), root_parts, "What this server is.")
    _add_union(
        router,
        "/health",
        StatusPart(Health, health),
        health_parts,
        "Alive: answered at once, also while the server is busy, loading or stopping.",
    )
    not_ready = {"description": "Not now.", "model": NotReady}
    described: dict[str, Any] = {
        "response_model": Ready,
        "responses": {HTTPStatus.SERVICE_UNAVAILABLE: not_ready},
    }
    router.add_api_route("/ready", ready, methods=["GET"], **described)
    router.add_api_route("/ready", ready, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(
        "/metrics",
        expose,
        methods=["GET"],
        response_class=Response,
        responses={HTTPStatus.OK: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    return router


def _add_union(
    router: APIRouter, path: str, own: StatusPart, others: Sequence[StatusPart], summary: str
) -> None:
    """Answer with the fields of all parts; of one that several have, the value is ours."""
    parts = (*others, own)
    union = create_model(own.model.__name__, __base__=tuple(part.model for part in parts))

    async def status() -> Response:
        told: dict[str, Any] = {}
        for part in parts:
            told |= part.read().model_dump()
        # Checked here, so FastAPI need not do it again.
        text = union(**told).model_dump_json(exclude_none=True)
        return Response(text, media_type=JSON_TYPE)

    described: dict[str, Any] = {
        "response_model": union,
        "response_model_exclude_none": True,
        "description": summary,
    }
    router.add_api_route(path, status, methods=["GET"], **described)
    router.add_api_route(path, status, methods=["HEAD"], include_in_schema=False, **described)


def _device(context: Context, readiness: Readiness) -> str:
    model = readiness.model()
    return model.device if model else context.settings.device


def _loaded(context: Context) -> list[str]:
    return [model.model for model in context.service.loaded_models()]


def _names(models: Iterable[KnownModel]) -> list[str]:
    """Every short name that clients may ask for: "large" beside "large-v3"."""
    return [name for model in models for name in (model.name, *model.aliases) if "/" not in name]


def _warning(warning: TranscriptWarning) -> HealthWarning:
    return HealthWarning(code=warning.code.value, message=warning.message)
