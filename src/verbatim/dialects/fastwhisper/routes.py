"""The routes, with who may use them and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Depends

from verbatim.dialects.fastwhisper.activity import Activity
from verbatim.dialects.fastwhisper.admin import AdminRoutes
from verbatim.dialects.fastwhisper.errors import error_renderer
from verbatim.dialects.fastwhisper.guards import AdminGuard, ClientGuard
from verbatim.dialects.fastwhisper.socket import SocketRoute
from verbatim.dialects.fastwhisper.status import HealthPart, RootPart, Status
from verbatim.dialects.fastwhisper.transcribe import Base64Body, TranscribeRoutes
from verbatim.wire.context import Context
from verbatim.wire.detail_errors import DETAIL_RESPONSES
from verbatim.wire.dialect import Dialect, StatusPart
from verbatim.wire.forms import form_schema, inlined_schema
from verbatim.wire.guard import Guard
from verbatim.wire.json_body import JSON_TYPE
from verbatim.wire.task_form import TaskForm

NAME: Final = "fastwhisper"
SOCKET_PATH: Final = "/ws/transcribe"
STATS_PATH: Final = "/stats"
TRANSCRIBE_PATH: Final = "/transcribe"
KEYS_PATH: Final = "/admin/keys"
FORM_TYPE: Final = "multipart/form-data"
FILE_HELP: Final = "The recording, in any common audio or video format."


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    activity = Activity(context)
    status = Status(context, activity)
    transcribe = TranscribeRoutes(context, activity)
    admin = AdminRoutes(context.access.keys)
    router = APIRouter(tags=[NAME])
    clients, administrators = ClientGuard(context), AdminGuard(context)
    _add(router, "GET", STATS_PATH, status.stats, clients)
    form = {FORM_TYPE: {"schema": form_schema(TaskForm, FILE_HELP)}}
    _add(router, "POST", TRANSCRIBE_PATH, transcribe.form, clients, form)
    body = {JSON_TYPE: {"schema": inlined_schema(Base64Body)}}
    _add(router, "POST", f"{TRANSCRIBE_PATH}/base64", transcribe.base64, clients, body)
    _add(router, "POST", f"{KEYS_PATH}/generate", admin.generate, administrators)
    _add(router, "GET", KEYS_PATH, admin.list, administrators)
    _add(router, "DELETE", f"{KEYS_PATH}/{{key}}", admin.remove, administrators)
    router.add_api_websocket_route(SOCKET_PATH, SocketRoute(context, activity).serve)
    return Dialect(
        NAME,
        (SOCKET_PATH, STATS_PATH, TRANSCRIBE_PATH, KEYS_PATH),
        router,
        error_renderer(context.settings.max_upload_bytes),
        root=StatusPart(RootPart, status.root),
        health=StatusPart(HealthPart, status.health),
        drain=activity.drain,
    )


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    guard: Guard,
    body: dict[str, Any] | None = None,
) -> None:
    described = {"requestBody": {"required": True, "content": body}} if body else None
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        dependencies=[Depends(guard)],
        responses=DETAIL_RESPONSES,
        # Elsewhere null says something: a key that was never used.
        response_model_exclude_none=path.startswith(TRANSCRIBE_PATH),
        openapi_extra=described,
    )
