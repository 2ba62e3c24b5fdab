"""`/transcribe`, which is VoxScribe's as well, and `/transcribe/base64`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import math
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from verbatim.dialects.fastwhisper import texts
from verbatim.dialects.fastwhisper.activity import Activity
from verbatim.dialects.fastwhisper.errors import BASE64_FILE_BYTES, BASE64_TOO_LARGE
from verbatim.dialects.fastwhisper.results import Result, result_of, wanted
from verbatim.domain.errors import (
    BadRequestError,
    EmptyAudioError,
    TooLargeError,
    UnsupportedMediaError,
)
from verbatim.domain.request import TranscriptionRequest
from verbatim.wire.body import body_chunks
from verbatim.wire.context import Context
from verbatim.wire.json_body import JSON_TYPE, MAX_BODY_BYTES, parse_json
from verbatim.wire.notes import notes_of
from verbatim.wire.spool import Upload
from verbatim.wire.task_form import TaskForm
from verbatim.wire.transcripts import transcript_of
from verbatim.wire.uploads import receive_form, required_file

BASE64_GROWTH: Final = 4 / 3
WHITE_SPACE: Final = str.maketrans("", "", " \t\r\n")
DATA_URL: Final = "data:"


class Base64Body(BaseModel):
    """A file within JSON."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    audio: str = Field(min_length=1, description="The file, in Base64; a data URL is fine.")
    language: str | None = Field(None, description="As at /transcribe.")


class TranscribeRoutes:
    """The endpoints.

    Args:
        context: of the application.
        activity: counts.
    """

    def __init__(self, context: Context, activity: Activity) -> None:
        self._context = context
        self._activity = activity
        self._unpacking = asyncio.Lock()

    async def form(self, request: Request) -> Result:
        """Write down what is said in a file."""
        form = await receive_form(request, self._context)
        try:
            upload = required_file(form)
            if not upload.size_bytes:
                raise EmptyAudioError(texts.EMPTY_FILE)
            asked = TaskForm.read(form.fields).request()
        except BaseException:
            form.discard()
            raise
        return await self._answer(request, upload, asked)

    async def base64(self, request: Request) -> Result:
        """Write down what is said in a file that is in Base64 within JSON."""
        body = await self._receive_json(request)
        try:
            # One at a time: what came over the network slowly is in memory for a moment only.
            async with self._unpacking:
                language, audio = await asyncio.to_thread(unpack, body.path)
                asked = wanted(language)
                upload = await self._keep(audio)
        finally:
            body.release()
        notes_of(request.scope).upload_bytes = upload.size_bytes
        return await self._answer(request, upload, asked)

    async def _answer(
        self, request: Request, upload: Upload, asked: TranscriptionRequest
    ) -> Result:
        transcript = await transcript_of(request, self._context, upload, asked)
        self._activity.count()
        return result_of(transcript)

    async def _receive_json(self, request: Request) -> Upload:
        """Keep the body on disk, since it may be long and come slowly.

        Raises:
            UnsupportedMediaError: its type is not JSON.
            TooLargeError: it is over the limit; raised as soon as it is passed.
        """
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != JSON_TYPE:
            raise UnsupportedMediaError(
                f"Send a JSON object with the header Content-Type: {JSON_TYPE}.", code="not_json"
            )
        file_bytes = min(self._context.settings.max_upload_bytes, BASE64_FILE_BYTES)
        limit = math.ceil(file_bytes * BASE64_GROWTH) + MAX_BODY_BYTES
        writer = self._context.spool.open()
        try:
            async with contextlib.aclosing(body_chunks(request, self._context.pace)) as chunks:
                async for chunk in chunks:
                    await writer.write(chunk)
                    if writer.size_bytes > limit:
                        raise TooLargeError(texts.too_large(file_bytes), code=BASE64_TOO_LARGE)
            return await writer.finish()
        except BaseException:
            writer.discard()
            raise

    async def _keep(self, audio: bytes) -> Upload:
        writer = self._context.spool.open()
        try:
            await writer.write(audio)
            return await writer.finish()
        except BaseException:
            writer.discard()
            raise


def unpack(path: Path) -> tuple[str | None, bytes]:
    """The language and the file in a JSON body.

    Raises:
        BadRequestError: it is no such body.
        EmptyAudioError: the file is empty.
    """
    try:
        body = parse_json(path.read_bytes(), Base64Body)
    except BadRequestError as error:
        if error.param == "audio":
            raise BadRequestError(texts.AUDIO_MISSING, param="audio") from error
        raise
    coded = body.audio
    if coded.startswith(DATA_URL):
        coded = coded.partition(",")[2]
    try:
        audio = base64.b64decode(coded.translate(WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(texts.BAD_BASE64, param="audio") from error
    if not audio:
        raise EmptyAudioError(texts.EMPTY_FILE)
    return body.language, audio
