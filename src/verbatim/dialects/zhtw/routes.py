"""The routes: parse, ask the service, tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from verbatim.dialects.zhtw.bodies import Answer, Failure, TranscriptionForm, answer
from verbatim.domain.errors import UnsupportedMediaError, VerbatimError
from verbatim.domain.keys import Scope
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect, retry_headers
from verbatim.wire.forms import form_schema
from verbatim.wire.guard import Guard
from verbatim.wire.model_list import MODELS_PATH, ModelList, describe_models
from verbatim.wire.spool import Upload
from verbatim.wire.transcripts import transcript_of
from verbatim.wire.uploads import receive_body, receive_form, required_file

NAME: Final = "zhtw"
FILE_PATH: Final = "/transcribe/file"
BINARY_PATH: Final = "/transcribe/binary"
FORM_TYPE: Final = "multipart/"
FILE_HELP: Final = "The recording: mp3, wav, ogg, flac, m4a, mp4, or any other that is read."
EXT_HELP: Final = (
    "What the file is called elsewhere, such as wav. What it is is told by its bytes, so this may "
    "be left out or wrong."
)
FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "An error of the request.", "model": Failure},
    "5XX": {"description": "An error of the server.", "model": Failure},
}


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    router = APIRouter(tags=["zhtw"], responses=FAILURES)
    guarded = [Depends(Guard(context, Scope.TRANSCRIBE))]
    routes = _Routes(context)

    def add(path: str, endpoint: Callable[..., Any], described: dict[str, Any]) -> None:
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            dependencies=guarded,
            response_model=Answer,
            response_model_exclude_none=True,
            openapi_extra=described,
        )

    form = {"multipart/form-data": {"schema": form_schema(TranscriptionForm, FILE_HELP)}}
    add(FILE_PATH, routes.file, {"requestBody": {"required": True, "content": form}})
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    add(
        BINARY_PATH,
        routes.binary,
        {
            "parameters": _parameters(),
            "requestBody": {"required": True, "content": binary},
        },
    )
    router.add_api_route(
        MODELS_PATH,
        describe_models(context),
        methods=["GET"],
        dependencies=guarded,
        response_model=ModelList,
    )
    return Dialect(NAME, (FILE_PATH, BINARY_PATH, MODELS_PATH), router, render_error)


def render_error(error: VerbatimError, status: int) -> Response:
    """`{"success": false, "error": text}`."""
    told = Failure(success=False, error=error.message)
    return JSONResponse(told.model_dump(), status, headers=retry_headers(error))


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def file(self, request: Request) -> Answer:
        """Write down what is said in a recording that comes in a form."""
        form = await receive_form(request, self._context)
        try:
            upload = required_file(form)
            asked = TranscriptionForm.read(form.fields)
        except BaseException:
            form.discard()
            raise
        return await self._answer(request, upload, asked)

    async def binary(self, request: Request) -> Answer:
        """Write down what is said in a recording that is the body itself."""
        if request.headers.get("content-type", "").lower().startswith(FORM_TYPE):
            raise UnsupportedMediaError(
                f"The body is a form. Send it to {FILE_PATH}, or here the bytes of the file alone "
                "(with curl: --data-binary @FILE).",
                code="unsupported_content_type",
            )
        asked = TranscriptionForm.read(request.query_params.multi_items())
        asked.request()  # what makes no sense is refused before the upload
        return await self._answer(request, await receive_body(request, self._context), asked)

    async def _answer(self, request: Request, upload: Upload, asked: TranscriptionForm) -> Answer:
        started_s = self._context.clock()
        try:
            wanted = asked.request()
        except BaseException:
            upload.release()
            raise
        transcript = await transcript_of(request, self._context, upload, wanted)
        took_s = self._context.clock() - started_s
        return answer(transcript, took_s, timestamps=asked.timestamps)


def _parameters() -> list[dict[str, Any]]:
    """The form's fields as parameters of an address."""
    fields = form_schema(TranscriptionForm)["properties"]
    ext = {"type": "string", "description": EXT_HELP}
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in {**fields, "ext": ext}.items()
    ]
