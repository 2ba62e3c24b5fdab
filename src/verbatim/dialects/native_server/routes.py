"""The routes: look, or have something done, and tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request

from verbatim.dialects.native_server.bodies import (
    DeletedBody,
    ForgottenBody,
    LoadBody,
    LoadedBody,
    ModelListBody,
    PullBegunBody,
    PullEndedBody,
    StatusBody,
    UnloadedBody,
)
from verbatim.dialects.native_server.facts import Facts, default_name, model_bodies, pull_body
from verbatim.domain.errors import ForbiddenError
from verbatim.domain.keys import Scope
from verbatim.engine.hardware import measure_hardware
from verbatim.engine.known_models import means_default
from verbatim.engine.pulls import Pulls, shown_name
from verbatim.engine.residency import ResidentModel, Unloading
from verbatim.engine.usage import server_bytes
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect
from verbatim.wire.disconnect import while_connected
from verbatim.wire.forms import inlined_schema
from verbatim.wire.guard import Guard
from verbatim.wire.json_body import JSON_TYPE, read_json
from verbatim.wire.v1_errors import ERROR_RESPONSES, render_error

NAME: Final = "native_server"
PREFIX: Final = "/v1/server"
STATUS: Final = "/v1/server/status"
MODELS: Final = "/v1/server/models"
RESULTS: Final = "/v1/server/results"
ONE: Final = "/v1/server/models/{model:path}"
TIME_DIGITS: Final = 3
NO_BODY: Final = "0"


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    router = APIRouter(tags=["server"])
    routes = _ServerRoutes(context)
    anyone = [Depends(Guard(context, None))]
    administrator = [Depends(Guard(context, Scope.ADMIN))]

    def add(
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        guards: list[Any],
        status: int = HTTPStatus.OK,
        body: dict[str, Any] | None = None,
    ) -> None:
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            dependencies=guards,
            status_code=status,
            responses=ERROR_RESPONSES,
            openapi_extra=body,
        )

    loading = {"content": {JSON_TYPE: {"schema": inlined_schema(LoadBody)}}, "required": False}
    add("GET", STATUS, routes.status, anyone)
    add("GET", MODELS, routes.models, anyone)
    add("POST", f"{ONE}/load", routes.load, administrator, body={"requestBody": loading})
    add("POST", f"{ONE}/unload", routes.unload, administrator)
    add("POST", f"{ONE}/pull", routes.pull, administrator, HTTPStatus.ACCEPTED)
    add("DELETE", f"{ONE}/pull", routes.cancel_pull, administrator)
    add("DELETE", ONE, routes.delete, administrator)
    add("DELETE", RESULTS, routes.forget, administrator)
    return Dialect(NAME, (PREFIX,), router, render_error)


class _ServerRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._pulls = Pulls(context.catalog)
        self._facts: Facts | None = None

    async def status(self) -> StatusBody:
        """How the server is: what it runs on, what it does, and what it takes."""
        if self._facts is None:
            self._facts = Facts(self._context, await asyncio.to_thread(measure_hardware))
        residents = self._context.service.resident_models()
        obstacle = await self._context.server.obstacle()
        return await asyncio.to_thread(self._facts.status, residents, obstacle)

    async def models(self) -> ModelListBody:
        """The models on this machine, loaded or not, and those that can be fetched by name."""
        return await asyncio.to_thread(
            self._list,
            self._context.service.resident_models(),
            self._context.service.loading_models(),
        )

    async def load(self, model: str, request: Request) -> LoadedBody:
        """Load a model before anybody asks for it, or keep it for longer."""
        context = self._context
        asked = LoadBody()
        if _has_body(request):
            asked = await read_json(request, context.pace, LoadBody)
        began_s = context.clock()
        resident, known = await while_connected(
            request.receive, context.service.load_model(model, keep_s=asked.keep_alive)
        )
        return LoadedBody(
            id=resident.name,
            already_loaded=known,
            took_s=round(context.clock() - began_s, TIME_DIGITS),
            memory_bytes=resident.memory_bytes,
            device=resident.description.device,
            compute_type=resident.description.compute_type,
            encoder=resident.description.encoder,
        )

    async def unload(self, model: str) -> UnloadedBody:
        """Free a model that nobody uses."""
        name = (await asyncio.to_thread(self._context.catalog.resolve, model)).name
        before_bytes = await asyncio.to_thread(server_bytes)
        outcome = await self._context.service.unload_model(model)
        if outcome is not Unloading.UNLOADED:
            return UnloadedBody(id=name, unloaded=False, freed_bytes=0, reason=outcome)
        after_bytes = await asyncio.to_thread(server_bytes)
        freed_bytes = max(0, before_bytes - after_bytes)
        return UnloadedBody(id=name, unloaded=True, freed_bytes=freed_bytes, reason=None)

    async def pull(self, model: str) -> PullBegunBody:
        """Fetch a model, or verify and mend it; how far it is shows in the list of models."""
        pull = self._pulls.begin(model)
        return PullBegunBody(id=pull.name, pull=pull_body(pull))

    async def cancel_pull(self, model: str) -> PullEndedBody:
        """Stop fetching a model; what has arrived stays, and the next time goes on from there."""
        return PullEndedBody(id=shown_name(model), cancelled=self._pulls.cancel(model))

    async def delete(self, model: str) -> DeletedBody:
        """Remove a model from the disk, and from memory where nobody uses it."""
        if means_default(model):
            raise ForbiddenError(
                f"{model} stands for whichever model is the default. Name the model itself.",
                param="model",
            )
        catalog = self._context.catalog
        files = await asyncio.to_thread(catalog.resolve, model)
        if files.source != "bundled":
            await self._context.service.unload_model(files.name)
        freed_bytes = await asyncio.to_thread(catalog.remove, files.name)
        return DeletedBody(id=files.name, freed_bytes=freed_bytes)

    async def forget(self) -> ForgottenBody:
        """Forget all results that are kept, of everybody."""
        return ForgottenBody(deleted=await self._context.service.forget_results())

    def _list(self, residents: Sequence[ResidentModel], loading: Sequence[str]) -> ModelListBody:
        default = default_name(self._context)
        models = model_bodies(self._context, default, residents, loading, self._pulls)
        return ModelListBody(default=default, models=models)


def _has_body(request: Request) -> bool:
    chunked = "transfer-encoding" in request.headers
    return chunked or request.headers.get("content-length", NO_BODY) != NO_BODY
