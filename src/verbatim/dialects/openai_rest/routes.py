"""The routes: parse, ask the service, render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from verbatim.dialects.openai_rest.answers import render_answer
from verbatim.dialects.openai_rest.events import transcript_events
from verbatim.dialects.openai_rest.forms import (
    TranscriptionForm,
    TranslationForm,
    refuse_speakers,
)
from verbatim.dialects.openai_rest.models import add_model_routes
from verbatim.domain.keys import Scope
from verbatim.pipeline.service import Run
from verbatim.render.formats import FORMATS
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect
from verbatim.wire.disconnect import while_connected
from verbatim.wire.forms import form_schema
from verbatim.wire.guard import Guard
from verbatim.wire.notes import notes_of
from verbatim.wire.sse import EVENT_STREAM, EventStream
from verbatim.wire.transcripts import start_run
from verbatim.wire.uploads import receive_form, required_file
from verbatim.wire.v1_errors import ERROR_SCHEMA, render_error

NAME: Final = "openai_rest"
PREFIX: Final = "/v1"
FILE_HELP: Final = (
    "The recording: wav, mp3, flac, ogg, opus, m4a, aac, mp4, mov, mkv, webm, wma, amr, aiff."
)
ERROR_CONTENT: Final = {"application/json": {"schema": ERROR_SCHEMA}}

Form = TypeVar("Form", bound=TranslationForm)


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    router = APIRouter(tags=["openai"])
    audio = _AudioRoutes(context)
    guard = Guard(context, Scope.TRANSCRIBE)
    _add(router, "/v1/audio/transcriptions", audio.transcribe, TranscriptionForm, guard)
    _add(router, "/v1/audio/translations", audio.translate, TranslationForm, guard)
    add_model_routes(router, context)
    return Dialect(NAME, (PREFIX,), router, render_error)


def _add(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Any],
    form: type[TranslationForm],
    guard: Guard,
) -> None:
    body = {"multipart/form-data": {"schema": form_schema(form, FILE_HELP)}}
    answers: dict[str, Any] = {row.media_type.partition(";")[0]: {} for row in FORMATS.values()}
    if "stream" in form.model_fields:
        answers[EVENT_STREAM] = {}
    router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        dependencies=[Depends(guard)],
        response_class=Response,
        responses={
            200: {"description": "The text, in the format asked for.", "content": answers},
            "4XX": {"description": "An error of the request.", "content": ERROR_CONTENT},
            "5XX": {"description": "An error of the server.", "content": ERROR_CONTENT},
        },
        openapi_extra={"requestBody": {"required": True, "content": body}},
    )


class _AudioRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def transcribe(self, request: Request) -> Response:
        """Write down what is said, in the language it is said in."""
        asked, run = await self._start(request, TranscriptionForm)
        if asked.stream:
            return await self._stream(request, run)
        return await self._answer(request, asked, run)

    async def translate(self, request: Request) -> Response:
        """Write down in English what is said in another language."""
        asked, run = await self._start(request, TranslationForm)
        return await self._answer(request, asked, run)

    async def _start(self, request: Request, kind: type[Form]) -> tuple[Form, Run]:
        form = await receive_form(request, self._context, on_part=refuse_speakers)
        try:
            upload = required_file(form)
            asked = kind.read(form.fields)
            wanted = asked.request()
            asked.render_options()  # what cannot be rendered is refused before the work
        except BaseException:
            form.discard()
            raise
        return asked, await start_run(request, self._context, upload, wanted)

    async def _answer(self, request: Request, asked: TranslationForm, run: Run) -> Response:
        started_s = self._context.clock()
        try:
            transcript = await while_connected(request.receive, run.result())
        finally:
            run.leave()
        notes_of(request.scope).on_transcript(transcript, self._context.clock() - started_s)
        # A long recording's subtitles take seconds to lay out, for which others would have to wait.
        rendered = await asyncio.to_thread(render_answer, transcript, asked)
        return Response(rendered.text, media_type=rendered.media_type)

    async def _stream(self, request: Request, run: Run) -> Response:
        events = transcript_events(run, notes_of(request.scope), self._context)
        try:
            # What fails before the first event is told by the status, as without streaming.
            first = await while_connected(request.receive, anext(events))
        except BaseException:
            run.leave()
            raise
        return EventStream(first, events)
