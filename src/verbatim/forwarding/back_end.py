"""One back end: a recording goes there, and what is said of it comes back."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from verbatim.domain.errors import VerbatimError
from verbatim.domain.events import Finished, Started, TranscriptionEvent
from verbatim.domain.request import Task, TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.engine.known_models import means_default
from verbatim.forwarding.answers import (
    NotUnderstoodError,
    error_of,
    event_of,
    older_transcript,
)
from verbatim.forwarding.fields import fields_of
from verbatim.stages.script import convert

OUR_PATH: Final = "/v1/transcripts"
OLDER_PATH: Final = "/transcribe/file"
HEALTH_PATH: Final = "/health"
CHECK_S: Final = 5.0
FILE_NAME: Final = "recording"
"""What it is called here is nobody's business."""
EVENT_STREAM: Final = "text/event-stream"
DATA: Final = "data: "
OLDER_MODEL: Final = "unknown"
OLDER_MARK: Final = b'"success"'
"""In every answer of the zh-TW service, errors too."""
_NO_SUCH_ADDRESS: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class UnreachableError(Exception):
    """Nobody answers, or what answers is no back end; the text says why."""


class BackEnd:
    """A Verbatim, or an older zh-TW service; which, it is asked before it gets anything.

    Args:
        url: where it is; told to users in errors, so without a password.
        client: with the timeouts and the key.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url: Final = url.rstrip("/")
        self.in_use = 0
        """Recordings that it has from here."""
        self._client = client
        self._is_ours: bool | None = None

    async def check(self) -> bool:
        """Find out whether it is there, and whether it is one of ours.

        Raises:
            UnreachableError: it is not there.
        """
        known = self._is_ours
        # Where it is known, by the address that does not fill its log.
        path = OUR_PATH if known is None else HEALTH_PATH
        try:
            with _as_unreachable():
                answer = await self._client.get(self.url + path, timeout=CHECK_S)
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise UnreachableError(f"it answers with status {answer.status_code}")
        except UnreachableError:
            self._is_ours = None
            raise
        if known is None:
            # The address is there, if not for reading it.
            known = self._is_ours = answer.status_code != HTTPStatus.NOT_FOUND
        return known

    async def transcribe(
        self, source: Path | bytes, request: TranscriptionRequest
    ) -> AsyncGenerator[TranscriptionEvent]:
        """Have a recording transcribed there, telling what it tells; ends with `Finished`.

        Raises:
            UnreachableError: it is not there, or is lost on the way.
            VerbatimError: it refuses, or fails.
        """
        fields = fields_of(request)
        self.in_use += 1
        try:
            is_ours = await self.check() if self._is_ours is None else self._is_ours
            with _as_unreachable(), _opened(source) as file:
                if is_ours:
                    async for event in self._ours(file, {**fields, "stream": ["true"]}):
                        yield event
                else:
                    transcript = await self._older(file, request)
                    yield Started(transcript.model, transcript.duration_s)
                    yield Finished(transcript)
        except UnreachableError:
            # What comes in its place may be something else.
            self._is_ours = None
            raise
        finally:
            self.in_use -= 1

    async def _ours(
        self, file: BinaryIO, fields: dict[str, list[str]]
    ) -> AsyncGenerator[TranscriptionEvent]:
        async with self._client.stream(
            "POST",
            self.url + OUR_PATH,
            data=fields,
            files={"file": (FILE_NAME, file)},
            headers={"accept": EVENT_STREAM},
        ) as answer:
            if answer.status_code != HTTPStatus.OK:
                raise await _error_of(answer)
            async for line in answer.aiter_lines():
                if not line.startswith(DATA):
                    continue
                event = event_of(line.removeprefix(DATA))
                if event is not None:
                    yield event
                if isinstance(event, Finished):
                    return
        raise UnreachableError("it ended its answer too early")

    async def _older(self, file: BinaryIO, request: TranscriptionRequest) -> Transcript:
        if request.decode.task is Task.TRANSLATE:
            raise UnreachableError("it does not translate")
        named = {} if means_default(request.model) else {"model": request.model}
        async with self._client.stream(
            "POST",
            self.url + OLDER_PATH,
            data={"timestamps": "true", **named},
            files={"file": (FILE_NAME, file)},
        ) as answer:
            body = await answer.aread()
            if answer.status_code in _NO_SUCH_ADDRESS and OLDER_MARK not in body:
                raise UnreachableError("it is neither a Verbatim nor a zh-TW service")
            if answer.status_code != HTTPStatus.OK:
                raise await _error_of(answer)
        transcript = older_transcript(body, request, named.get("model", OLDER_MODEL))
        return convert(transcript, request.script)


async def _error_of(answer: httpx.Response) -> VerbatimError:
    body = await answer.aread()
    return error_of(answer.status_code, body, answer.headers.get("retry-after"))


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO]:
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


@contextmanager
def _as_unreachable() -> Iterator[None]:
    """Tell all that can go wrong on the way in one error."""
    try:
        yield
    except NotUnderstoodError as error:
        raise UnreachableError("it answers in a way that is not understood here") from error
    except httpx.TransportError as error:
        raise UnreachableError(_why(error)) from error


def _why(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            # Errors of looking up names have numbers of their own.
            known = cause.strerror if isinstance(cause, socket.gaierror) else None
            return (known or os.strerror(cause.errno)).lower()
        nested = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        cause = nested[0] if nested else (cause.__cause__ or cause.__context__)
    return str(error).rstrip(".") or type(error).__name__
