"""`GET /models`, what VoxScribe adds to `/` and `/health`, and how it refuses a token."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from verbatim.domain.errors import MissingKeyError, UnauthorizedError, VerbatimError
from verbatim.domain.keys import Scope
from verbatim.wire.context import Context
from verbatim.wire.detail_errors import DETAIL_RESPONSES, detail, render_detail
from verbatim.wire.dialect import Dialect, StatusPart
from verbatim.wire.guard import Guard
from verbatim.wire.model_list import MODELS_PATH, ModelList, describe_models

NAME: Final = "voxscribe"
MISSING_TOKEN: Final = "缺少认证令牌"  # noqa: S105 - a message, no secret
WRONG_TOKEN: Final = "认证令牌无效"  # noqa: S105 - a message, no secret


class RootPart(BaseModel):
    """What its clients look for in `GET /`."""

    max_workers: int = Field(description="Transcriptions that run at the same time.")


class HealthPart(BaseModel):
    """What its clients look for in `GET /health`."""

    worker_threads: int = Field(description="Transcriptions that run at the same time.")


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    workers = context.settings.max_running
    router = APIRouter(tags=["voxscribe"])
    router.add_api_route(
        MODELS_PATH,
        describe_models(context),
        methods=["GET"],
        dependencies=[Depends(Guard(context, Scope.TRANSCRIBE))],
        response_model=ModelList,
        responses=DETAIL_RESPONSES,
    )
    return Dialect(
        NAME,
        (MODELS_PATH,),
        router,
        render_error,
        root=StatusPart(RootPart, lambda: RootPart(max_workers=workers)),
        health=StatusPart(HealthPart, lambda: HealthPart(worker_threads=workers)),
    )


def render_error(error: VerbatimError, status: int) -> Response:
    """`{"detail": text}`; a refused token in VoxScribe's own words."""
    if isinstance(error, MissingKeyError):
        return detail(MISSING_TOKEN, error, status)
    if isinstance(error, UnauthorizedError):
        return detail(WRONG_TOKEN, error, status)
    return render_detail(error, status)
