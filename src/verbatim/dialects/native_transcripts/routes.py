"""The routes: parse, ask the service, tell."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from verbatim.dialects.native_transcripts.events import EVENT, RunEvents
from verbatim.dialects.native_transcripts.forms import FILE_HELP, TranscriptForm
from verbatim.dialects.native_transcripts.written import MAX_BYTES, RenderRequest
from verbatim.domain.keys import Scope
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.service import Run
from verbatim.render.formats import FORMATS, Rendered, render
from verbatim.render.full_json import TRANSCRIPT_JSON, transcript_json
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect
from verbatim.wire.disconnect import while_connected
from verbatim.wire.forms import form_schema, inlined, inlined_schema
from verbatim.wire.guard import Guard
from verbatim.wire.json_body import JSON_TYPE, read_json
from verbatim.wire.notes import notes_of
from verbatim.wire.sse import EVENT_STREAM, EventStream
from verbatim.wire.transcripts import start_run
from verbatim.wire.uploads import receive_form, required_file
from verbatim.wire.v1_errors import ERROR_RESPONSES, render_error

NAME: Final = "native_transcripts"
PATH: Final = "/v1/transcripts"
RENDER_PATH: Final = "/v1/transcripts/render"
FORM_TYPE: Final = "multipart/form-data"


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    guard = Guard(context, Scope.TRANSCRIBE)
    router = APIRouter(tags=["transcripts"], dependencies=[Depends(guard)])
    routes = _TranscriptRoutes(context)
    transcript = inlined(TRANSCRIPT_JSON.json_schema(mode="serialization"))
    event = inlined(EVENT.json_schema(mode="serialization"))
    form = {FORM_TYPE: {"schema": form_schema(TranscriptForm, FILE_HELP)}}
    router.add_api_route(
        PATH,
        routes.transcribe,
        methods=["POST"],
        response_class=Response,
        responses={
            200: {
                "description": "The transcript; or, as events are asked for, what happens until "
                "then, each event an object of this schema.",
                "content": {JSON_TYPE: {"schema": transcript}, EVENT_STREAM: {"schema": event}},
            },
            **ERROR_RESPONSES,
        },
        openapi_extra={"requestBody": {"required": True, "content": form}},
    )
    body = {JSON_TYPE: {"schema": inlined_schema(RenderRequest)}}
    files: dict[str, Any] = {row.media_type.partition(";")[0]: {} for row in FORMATS.values()}
    router.add_api_route(
        RENDER_PATH,
        routes.render,
        methods=["POST"],
        response_class=Response,
        responses={
            200: {"description": "The file, in the format asked for.", "content": files},
            **ERROR_RESPONSES,
        },
        openapi_extra={"requestBody": {"required": True, "content": body}},
    )
    return Dialect(NAME, (PATH,), router, render_error)


class _TranscriptRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def transcribe(self, request: Request) -> Response:
        """Transcribe a recording, with all that is known about its text."""
        context = self._context
        form = await receive_form(request, context)
        try:
            upload = required_file(form)
            asked = TranscriptForm.read(form.fields)
            wanted = asked.request()
        except BaseException:
            form.discard()
            raise
        run = await start_run(request, context, upload, wanted)
        if asked.streams(request.headers.get("accept", "")):
            return await self._stream(request, run)
        return await self._answer(request, run)

    async def _answer(self, request: Request, run: Run) -> Response:
        started_s = self._context.clock()
        try:
            transcript = await while_connected(request.receive, run.result())
        finally:
            run.leave()
        took_s = self._context.clock() - started_s
        notes_of(request.scope).on_transcript(transcript, took_s)
        # The words of hours take a moment, for which others would have to wait.
        body = await asyncio.to_thread(_written, transcript, took_s)
        return Response(body, media_type=JSON_TYPE)

    async def _stream(self, request: Request, run: Run) -> Response:
        events = RunEvents(run, notes_of(request.scope), self._context).told()
        try:
            # What fails before the first event is told by the status, as without streaming.
            first = await while_connected(request.receive, anext(events))
        except BaseException:
            run.leave()
            raise
        return EventStream(first, events)

    async def render(self, request: Request) -> Response:
        """Write a transcript in a format, after it was edited or as it was."""
        asked = await read_json(request, self._context.pace, RenderRequest, MAX_BYTES)
        rendered = await asyncio.to_thread(_rendered, asked)
        name = f"transcript.{rendered.extension}"
        return Response(
            rendered.text,
            media_type=rendered.media_type,
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )


def _written(transcript: Transcript, took_s: float) -> bytes:
    return TRANSCRIPT_JSON.dump_json(transcript_json(transcript, took_s))


def _rendered(asked: RenderRequest) -> Rendered:
    """Subtitles of hours take seconds: not in an event loop."""
    return render(asked.transcript.transcript(), asked.format, asked.options.options())
