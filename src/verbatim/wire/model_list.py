"""The models on this machine, as the older servers list them."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Any, Final

from pydantic import BaseModel, Field

from verbatim.domain.errors import ModelNotFoundError, ModelUnavailableError
from verbatim.engine.hub_cache import is_repository_name
from verbatim.engine.known_models import AUTO
from verbatim.wire.context import Context

MODELS_PATH: Final = "/models"


class ListedModel(BaseModel):
    """One of them."""

    name: str
    loaded: bool = Field(description="Whether it is in memory.")
    device: str = Field(description="Where it runs, or what the setting says where it would.")


async def listed_models(context: Context) -> list[ListedModel]:
    """Every installed model, and what is loaded besides.

    Raises:
        ModelUnavailableError: they may not be read.
    """
    entries = await asyncio.to_thread(context.catalog.installed)
    names = [entry.name for entry in entries]
    devices = {model.model: model.device for model in context.service.loaded_models()}
    return [
        ListedModel(
            name=name, loaded=name in devices, device=devices.get(name, context.settings.device)
        )
        for name in dict.fromkeys((*names, *devices))
    ]


async def default_model(context: Context) -> str:
    """The model that is used where a request names none; the setting where there is none yet."""
    try:
        return (await asyncio.to_thread(context.catalog.resolve, AUTO)).name
    except (ModelNotFoundError, ModelUnavailableError):
        return model_setting(context)


def model_setting(context: Context) -> str:
    """The setting `model`; of a folder only its name, for callers need not know where it lies."""
    name = context.settings.model
    return name if is_repository_name(name) else PurePath(name).name or name


class ModelList(BaseModel):
    """The answer of `GET /models`, which two of the older servers have."""

    models: list[ListedModel]
    default: str = Field(description="The model that is used where a request names none.")


def describe_models(context: Context) -> Any:
    """An endpoint for `GET /models`."""

    async def models() -> ModelList:
        """The models on this machine."""
        return ModelList(models=await listed_models(context), default=await default_model(context))

    return models
