"""What machines ask: is it alive, does it take work, how is it doing."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import UnavailableError
from verbatim.domain.transcript import TranscriptWarning
from verbatim.engine.protocol import EngineDescription
from verbatim.server.drain import Drain
from verbatim.server.metrics import Metrics
from verbatim.server.version import installed_version
from verbatim.wire.context import Context
from verbatim.wire.dialect import retry_headers

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

    def obstacle(self) -> str | None:
        """What keeps requests away; None where nothing does."""
        if self._drain.draining:
            return "The server is stopping."
        if self._context.settings.preload and self.default is None:
            return "The model is being loaded."
        return None

    def model(self) -> EngineDescription | None:
        """The default model, or whichever is loaded, or none."""
        return self.default or next(iter(self._context.service.loaded_models()), None)


def operation_routes(context: Context, readiness: Readiness, metrics: Metrics) -> APIRouter:
    """`/`, `/health`, `/ready` and `/metrics`; none of them ever waits for a transcription."""
    router = APIRouter(tags=[TAG], default_response_class=JSONResponse)
    version = installed_version()

    async def root() -> Mapping[str, Any]:
        """What this server is, and which models it knows."""
        return {
            "message": "Verbatim, a speech-to-text server. The API is described at /docs.",
            "version": version,
            "device": _device(context, readiness),
            "loaded_models": _loaded(context),
            "supported_models": [model.name for model in context.catalog.known()],
        }

    async def health() -> Mapping[str, Any]:
        """Alive: answered at once, also while the server is busy, loading or stopping."""
        model = readiness.model()
        loaded = _loaded(context)
        load = context.service.load()
        return {
            "status": "healthy",
            "model": model.model if model else context.settings.model,
            "model_loaded": model is not None and model.model in loaded,
            "device": _device(context, readiness),
            "compute_type": model.compute_type if model else context.settings.compute_type,
            "loaded_models": loaded,
            "running": load.running,
            "waiting": load.waiting,
            "version": version,
            "warnings": [_warning(w) for w in model.warnings] if model else [],
        }

    async def ready() -> Response:
        """Whether to send requests here: 503 while the model is loaded, and while stopping."""
        if (obstacle := readiness.obstacle()) is None:
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

    for path, endpoint in {"/": root, "/health": health, "/ready": ready}.items():
        router.add_api_route(path, endpoint, methods=["GET"])
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    router.add_api_route("/metrics", expose, methods=["GET"])
    return router


def _device(context: Context, readiness: Readiness) -> str:
    model = readiness.model()
    return model.device if model else context.settings.device


def _loaded(context: Context) -> list[str]:
    return [model.model for model in context.service.loaded_models()]


def _warning(warning: TranscriptWarning) -> dict[str, str]:
    return {"code": warning.code.value, "message": warning.message}
