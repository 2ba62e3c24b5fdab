"""The way of an upload, the same for every dialect: a file in a form, or a body that is one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from starlette.requests import Request

from verbatim.domain.errors import BadRequestError
from verbatim.scheduling.telemetry import Stage, StageDone
from verbatim.wire.body import body_chunks
from verbatim.wire.context import Context
from verbatim.wire.multipart import (
    Form,
    FormLimits,
    boundary_of,
    check_length,
    read_form,
    too_large,
)
from verbatim.wire.notes import notes_of
from verbatim.wire.spool import Upload


async def receive_form(
    request: Request, context: Context, on_part: Callable[[str], None] | None = None
) -> Form:
    """Read a request's form; the file lies in the spool until it is released.

    Args:
        request: whose body was not touched so far.
        context: the spool, the limits and the pace.
        on_part: told each part's name before its content is read; may raise.

    Raises:
        VerbatimError: as `read_form`, `boundary_of`, `check_length` and `body_chunks` say.
        ClientDisconnect: the client went away.
    """
    began_s = context.clock()
    limits = FormLimits(file_bytes=context.settings.max_upload_bytes)
    boundary = boundary_of(request.headers.get("content-type"))
    check_length(request.headers.get("content-length"), limits)
    async with contextlib.aclosing(body_chunks(request, context.pace)) as chunks:
        form = await read_form(boundary, chunks, context.spool, limits, on_part=on_part)
    if form.upload is not None:
        _note(request, context, form.upload, began_s)
    return form


async def receive_body(request: Request, context: Context) -> Upload:
    """Keep a request's body, which is the file itself, in the spool until it is released.

    Raises:
        TooLargeError: it is over the limit; raised as soon as it is passed.
        VerbatimError: as `body_chunks`, `Spool.open` and `SpoolWriter.write` say.
        ClientDisconnect: the client went away.
    """
    began_s = context.clock()
    limits = FormLimits(file_bytes=context.settings.max_upload_bytes, fields_bytes=0)
    check_length(request.headers.get("content-length"), limits)
    writer = context.spool.open()
    try:
        async with contextlib.aclosing(body_chunks(request, context.pace)) as chunks:
            async for chunk in chunks:
                await writer.write(chunk)
                if writer.size_bytes > limits.file_bytes:
                    raise too_large(limits)
        upload = await writer.finish()
    except BaseException:
        writer.discard()
        raise
    _note(request, context, upload, began_s)
    return upload


def _note(request: Request, context: Context, upload: Upload, began_s: float) -> None:
    notes_of(request.scope).upload_bytes = upload.size_bytes
    received = StageDone(Stage.RECEIVE, began_s, context.clock())
    context.service.telemetry.tell(received)


def required_file(form: Form, name: str = "file") -> Upload:
    """The form's file.

    Raises:
        BadRequestError: there is none.
    """
    if form.upload is not None:
        return form.upload
    if any(field == name for field, _ in form.fields):
        raise BadRequestError(
            f"The field {name} holds text instead of a file. With curl, write an @ before the "
            f"path: -F {name}=@recording.wav",
            param=name,
        )
    raise BadRequestError(f"The form holds no file; send the recording as {name}.", param=name)
