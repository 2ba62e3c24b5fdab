"""`/v1/models`: what is installed, under the names that clients ask for."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Depends

from verbatim.domain.errors import ForbiddenError, ModelNotFoundError, ModelUnavailableError
from verbatim.domain.keys import Scope
from verbatim.engine.catalog import Catalog
from verbatim.engine.known_models import AUTO, DEFAULT_ALIASES, means_default
from verbatim.engine.model_folder import WEIGHTS_FILE, ModelFiles
from verbatim.wire.context import Context
from verbatim.wire.guard import Guard
from verbatim.wire.v1_errors import ERROR_RESPONSES

OWNER: Final = "verbatim"


def add_model_routes(router: APIRouter, context: Context) -> None:
    """Add the three operations; a name may hold slashes."""
    routes = _ModelRoutes(context)
    anyone = [Depends(Guard(context, Scope.TRANSCRIBE))]
    administrator = [Depends(Guard(context, Scope.ADMIN))]
    one = "/v1/models/{model:path}"
    for method, path, endpoint, guards in (
        ("GET", "/v1/models", routes.list, anyone),
        ("GET", one, routes.retrieve, anyone),
        ("DELETE", one, routes.delete, administrator),
    ):
        router.add_api_route(
            path, endpoint, methods=[method], dependencies=guards, responses=ERROR_RESPONSES
        )


class _ModelRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(self) -> dict[str, Any]:
        """The models on this machine, and the names that mean the default one."""
        created = await asyncio.to_thread(_installed, self._context.catalog)
        loaded = {model.name: model for model in self._context.service.resident_models()}
        return {
            "object": "list",
            "data": [_model(name, when) for name, when in created.items()],
            "models": [
                {
                    "name": name,
                    "loaded": name in loaded,
                    "device": loaded[name].description.device if name in loaded else None,
                    "memory_bytes": loaded[name].memory_bytes if name in loaded else None,
                }
                for name in created
                if not means_default(name)
            ],
        }

    async def retrieve(self, model: str) -> dict[str, Any]:
        """One model, by its name or another that leads to it."""
        files = await asyncio.to_thread(_find, self._context.catalog, model)
        return _model(model, _created(files))

    async def delete(self, model: str) -> dict[str, Any]:
        """Remove a model from this machine's disk; where it is loaded it goes on to be used."""
        if means_default(model):
            raise ForbiddenError(
                f"{model} stands for whichever model is the default. Name the model itself.",
                param="model",
            )
        files = await asyncio.to_thread(_find, self._context.catalog, model)
        await asyncio.to_thread(self._context.catalog.remove, files.name)
        return {"id": model, "object": "model", "deleted": True}


def _installed(catalog: Catalog) -> dict[str, int]:
    """Names and when their models came here; the default's aliases last."""
    default = catalog.resolve(AUTO)
    return {
        **{entry.name: entry.created for entry in catalog.installed()},
        **dict.fromkeys((default.name, *DEFAULT_ALIASES), _created(default)),
    }


def _find(catalog: Catalog, name: str) -> ModelFiles:
    """The installed model of this name.

    Raises:
        ModelNotFoundError: it is not on this machine, or nothing has this name.
    """
    try:
        return catalog.resolve(name)
    except ModelUnavailableError as error:
        raise ModelNotFoundError(error.message, param="model") from error


def _created(files: ModelFiles) -> int:
    return int((files.folder / WEIGHTS_FILE).stat().st_mtime)


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": OWNER}
