"""The routes, what VoxScribe adds to `/` and `/health`, and how it refuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from verbatim.dialects.voxscribe.transcribe import Answer, TranscribeRoute
from verbatim.domain.errors import (
    ErrorKind,
    MissingKeyError,
    UnauthorizedError,
    VerbatimError,
)
from verbatim.domain.keys import Scope
from verbatim.wire.context import Context
from verbatim.wire.detail_errors import DETAIL_RESPONSES, detail, render_detail
from verbatim.wire.dialect import Dialect, StatusPart
from verbatim.wire.forms import form_schema
from verbatim.wire.guard import Guard
from verbatim.wire.model_list import MODELS_PATH, ModelList, describe_models
from verbatim.wire.task_form import TaskForm

NAME: Final = "voxscribe"
TRANSCRIBE_PATH: Final = "/transcribe"
FILE_HELP: Final = "The recording, in any common audio or video format."
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
    router = APIRouter(tags=["voxscribe"], responses=DETAIL_RESPONSES)
    guarded = [Depends(Guard(context, Scope.TRANSCRIBE))]
    router.add_api_route(
        MODELS_PATH,
        describe_models(context),
        methods=["GET"],
        dependencies=guarded,
        response_model=ModelList,
    )
    form = {"multipart/form-data": {"schema": form_schema(TaskForm, FILE_HELP)}}
    router.add_api_route(
        TRANSCRIBE_PATH,
        TranscribeRoute(context).serve,
        methods=["POST"],
        dependencies=guarded,
        response_model=Answer,
        response_model_exclude_none=True,
        openapi_extra={"requestBody": {"required": True, "content": form}},
    )
    return Dialect(
        NAME,
        (MODELS_PATH, TRANSCRIBE_PATH),
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
    if error.kind is ErrorKind.UNSUPPORTED_MEDIA or error.code == "model_not_found":
        # Its clients know one status for whatever is wrong with a request.
        status = HTTPStatus.BAD_REQUEST
    return render_detail(error, status)
