"""The routes: the WebSocket for live audio, and POST for recordings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from verbatim.dialects.deepgram.connection import NOT_AUDIO, Connection
from verbatim.dialects.deepgram.errors import (
    ERROR_SCHEMA,
    REQUEST_ID_HEADER,
    error_message,
    render_error,
)
from verbatim.dialects.deepgram.models import model_info, model_uuid
from verbatim.dialects.deepgram.query import LiveQuery, RecordedQuery, not_done
from verbatim.dialects.deepgram.recorded import NO_KEY, RecordedAnswer, iso, recorded_answer
from verbatim.domain.errors import BadRequestError, UnsupportedMediaError, VerbatimError
from verbatim.domain.keys import Scope
from verbatim.domain.live import SessionEnd
from verbatim.pipeline.live import LiveSession
from verbatim.settings import MIB
from verbatim.wire.context import Context
from verbatim.wire.credentials import spoken_subprotocol
from verbatim.wire.dialect import Dialect
from verbatim.wire.forms import form_schema
from verbatim.wire.guard import Guard, caller_of
from verbatim.wire.json_body import JSON_TYPE
from verbatim.wire.live_audio import open_live_audio
from verbatim.wire.live_talk import telling_errors
from verbatim.wire.notes import notes_of
from verbatim.wire.transcripts import transcript_of
from verbatim.wire.uploads import receive_body
from verbatim.wire.websocket import (
    CLOSE_CODE_OF_END,
    CloseCode,
    LiveSocket,
    check_origin,
    converse,
)

NAME: Final = "deepgram"
PATH: Final = "/v1/listen"
MAX_MESSAGE_BYTES: Final = 16 * MIB
FORM_TYPE: Final = "multipart/"
BINARY_TYPE: Final = "application/octet-stream"
WHY_CLOSED: Final = {SessionEnd.IDLE: "NET-0001: No audio came for too long."}
"""Reasons that Deepgram's clients look for."""
ERROR_CONTENT: Final = {JSON_TYPE: {"schema": ERROR_SCHEMA}}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def dialect(context: Context, now: Callable[[], datetime] = _utc_now) -> Dialect:
    """The dialect, ready to be mounted."""
    listen = _Listen(context, now)
    router = APIRouter(tags=["deepgram"])
    router.add_api_websocket_route(
        PATH, listen.serve, dependencies=[Depends(Guard(context, Scope.LIVE))]
    )
    binary = {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    router.add_api_route(
        PATH,
        listen.recorded,
        methods=["POST"],
        dependencies=[Depends(Guard(context, Scope.TRANSCRIBE))],
        response_model=RecordedAnswer,
        responses={
            "4XX": {"description": "An error of the request.", "content": ERROR_CONTENT},
            "5XX": {"description": "An error of the server.", "content": ERROR_CONTENT},
        },
        openapi_extra={
            "parameters": _parameters(),
            "requestBody": {"required": True, "content": binary},
        },
    )
    return Dialect(NAME, (PATH,), router, render_error, render_numbered=render_error)


class _Listen:
    def __init__(self, context: Context, now: Callable[[], datetime]) -> None:
        self._context = context
        self._now = now

    async def recorded(self, request: Request) -> Response:
        """Write down what is said in a recording, which is the body itself."""
        created = self._now()
        query = RecordedQuery.read(request.query_params.multi_items())
        wanted = query.request()
        _check_type(request.headers.get("content-type", ""))
        upload = await receive_body(request, self._context)
        transcript = await transcript_of(request, self._context, upload, wanted)
        request_id = notes_of(request.scope).request_id

        def render() -> str:
            answer = recorded_answer(
                transcript,
                query,
                request_id=request_id,
                sha256=upload.digest,
                created=created,
                not_done=not_done(dict(request.query_params)),
            )
            return answer.model_dump_json(exclude_none=True)

        # The words of a long recording take a while to write, for which others would have to wait.
        text = await asyncio.to_thread(render)
        return Response(text, media_type=JSON_TYPE, headers={REQUEST_ID_HEADER: request_id})

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, which is one session. What is wrong with it is told before it begins."""
        created = self._now()
        check_origin(websocket, self._context.settings.cors_origins)
        query = LiveQuery.read(websocket.query_params.multi_items())
        options, form = query.options(), query.audio()
        owner = caller_of(websocket.scope).owner
        limits = replace(self._context.sockets, max_message_bytes=MAX_MESSAGE_BYTES)
        socket = LiveSocket(websocket, limits)
        notes = notes_of(websocket.scope)
        async with (
            open_live_audio(form) as audio,
            aclosing(await self._context.service.live.open(options, owner)) as session,
        ):
            try:
                async with telling_errors(socket, notes, _told):
                    subprotocol = spoken_subprotocol(websocket.headers)
                    await socket.accept(subprotocol, {REQUEST_ID_HEADER: notes.request_id})
                    talk = Connection(websocket, socket, session, audio, query, notes.request_id)
                    await converse(talk.hear(), talk.tell())
                    await socket.send_json(self._metadata(websocket, session, talk, created))
                    await self._close(socket, talk)
            finally:
                notes.model, notes.audio_s = session.describe().model, session.fed_s

    async def _close(self, socket: LiveSocket, talk: Connection) -> None:
        if talk.failure is not None:
            await socket.close(CloseCode.POLICY, f"{NOT_AUDIO}: {talk.failure.message}")
            return
        code = CloseCode.INTERNAL if talk.ended in WHY_CLOSED else CLOSE_CODE_OF_END[talk.ended]
        await socket.close(code, WHY_CLOSED.get(talk.ended, talk.ended.value))

    def _metadata(
        self, websocket: WebSocket, session: LiveSession, talk: Connection, created: datetime
    ) -> dict[str, Any]:
        model = session.describe()
        told: dict[str, Any] = {
            "type": "Metadata",
            "transaction_key": NO_KEY,
            "request_id": notes_of(websocket.scope).request_id,
            "sha256": talk.sha256,
            "created": iso(created),
            "duration": talk.audio_s,
            "channels": 1,
            "models": [model_uuid(model.model)],
            "model_info": {model_uuid(model.model): model_info(model.model, model.compute_type)},
        }
        known = [{"type": each.code.value, "message": each.message} for each in model.warnings]
        warnings = [*not_done(dict(websocket.query_params)), *known]
        return told | ({"warnings": warnings} if warnings else {})


def _told(error: VerbatimError) -> dict[str, Any]:
    return error_message(error.kind.value, error.message)


def _check_type(content_type: str) -> None:
    """Refuse bodies that are not the recording itself.

    Raises:
        BadRequestError: an address of one.
        UnsupportedMediaError: a form around one.
    """
    kind = content_type.strip().lower()
    if kind.startswith(JSON_TYPE):
        raise BadRequestError(
            "This server fetches no recordings from elsewhere. Send the recording's bytes as the "
            "body, with the Content-Type of the file.",
            param="url",
        )
    if kind.startswith(FORM_TYPE):
        raise UnsupportedMediaError(
            "The body is a form. Send the bytes of the recording alone (with curl: --data-binary "
            "@FILE).",
            code="unsupported_content_type",
        )


def _parameters() -> list[dict[str, Any]]:
    """The query's fields, for the description."""
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in form_schema(RecordedQuery)["properties"].items()
    ]
