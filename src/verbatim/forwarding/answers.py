"""What back ends say, in our terms: events, transcripts and errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from verbatim.domain import errors
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelNotFoundError,
    OverloadedError,
    SlowUploadError,
    StorageFullError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaError,
    VerbatimError,
)
from verbatim.domain.events import Finished, Progress, SegmentReady, Started, TranscriptionEvent
from verbatim.domain.request import Task, TranscriptionRequest
from verbatim.domain.transcript import (
    Segment,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from verbatim.render.full_json import (
    SEGMENT_JSON,
    TRANSCRIPT_JSON,
    SegmentJson,
    TranscriptJson,
    WarningJson,
)

BACK_END_FAILED: Final = "back_end_failed"
OLDER_LANGUAGE: Final = "zh"
"""What the older zh-TW service is for; it does not say which language it heard."""

_BY_STATUS: Final[Mapping[int, type[VerbatimError]]] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: BadRequestError,
        HTTPStatus.NOT_FOUND: ModelNotFoundError,
        HTTPStatus.REQUEST_TIMEOUT: SlowUploadError,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLargeError,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaError,
        HTTPStatus.UNPROCESSABLE_ENTITY: BadRequestError,
        HTTPStatus.TOO_MANY_REQUESTS: OverloadedError,
        HTTPStatus.SERVICE_UNAVAILABLE: UnavailableError,
        HTTPStatus.INSUFFICIENT_STORAGE: StorageFullError,
    }
)
_BY_TYPE: Final[Mapping[str, type[VerbatimError]]] = MappingProxyType(
    {"rate_limit_error": OverloadedError, "invalid_request_error": BadRequestError}
)
_BY_CODE: Final[Mapping[str, type[VerbatimError]]] = MappingProxyType(
    {
        kind.default_code: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, VerbatimError) and kind.default_code
    }
)
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class NotUnderstoodError(Exception):
    """A back end said something else than it should."""


class _Error(BaseModel):
    message: str
    param: str | None = None
    code: str | None = None
    type: str = ""


class _OlderSegment(BaseModel):
    start: float
    end: float
    text: str


class _OlderAnswer(BaseModel):
    text: str
    segments: list[_OlderSegment] = Field([])


def event_of(line: str) -> TranscriptionEvent | None:
    """An event of `/v1/transcripts`; None for one that says nothing to others, such as `queued`.

    Raises:
        VerbatimError: the event is an error.
        NotUnderstoodError: it is no such event.
    """
    try:
        told = json.loads(line)
        read = _READERS.get(told["type"])
        return None if read is None else read(told)
    except (ValueError, KeyError, TypeError) as error:
        raise NotUnderstoodError from error


def error_of(status: int, body: bytes, retry_after: str | None) -> VerbatimError:
    """What an answer that is no success says, in whichever shape."""
    if status in _REFUSED:
        return UnavailableError(
            "The back end refuses this server's key. Whoever runs this server can set "
            "backend_api_key to one that the back end knows.",
        )
    told = _error_in(body)
    retry_after_s = float(retry_after) if retry_after and retry_after.isdigit() else None
    kind = _BY_CODE.get(told.code or "") or _BY_STATUS.get(status)
    if kind is None:
        return InternalError(
            f"A back end failed with status {status}; its log may tell more.", code=BACK_END_FAILED
        )
    return kind(told.message, param=told.param, code=told.code, retry_after_s=retry_after_s)


def older_transcript(body: bytes, request: TranscriptionRequest, model: str) -> Transcript:
    """What the older zh-TW service answers; it tells little, and what it does not is 0.

    Raises:
        NotUnderstoodError: it is no such answer.
    """
    try:
        told = _OlderAnswer.model_validate_json(body)
    except ValidationError as error:
        raise NotUnderstoodError from error
    said = told.segments or [_OlderSegment(start=0, end=0, text=told.text)]
    return Transcript(
        segments=tuple(_older_segment(i, segment) for i, segment in enumerate(said)),
        language=request.decode.language or OLDER_LANGUAGE,
        language_probability=0.0,
        duration_s=max(segment.end for segment in said),
        speech_duration_s=sum(segment.end - segment.start for segment in said),
        model=model,
        task=Task.TRANSCRIBE,
    )


def _older_segment(number: int, said: _OlderSegment) -> Segment:
    return Segment(
        id=number,
        seek=0,
        start=said.start,
        end=said.end,
        text=said.text,
        tokens=(),
        temperature=0.0,
        avg_logprob=0.0,
        compression_ratio=0.0,
        no_speech_prob=0.0,
    )


def _error_in(body: bytes) -> _Error:
    """OpenAI's shape, or that of the zh-TW service, or FastAPI's."""
    try:
        told = json.loads(body)
        if isinstance(told.get("error"), dict):
            return _Error.model_validate(told["error"])
        message = told.get("error") or told.get("detail")
    except (ValueError, AttributeError):
        message = None
    shown = message if isinstance(message, str) else "The back end refused this without a word."
    return _Error(message=shown)


def _failed(told: dict[str, Any]) -> TranscriptionEvent:
    error = _Error.model_validate(told["error"])
    kind = _BY_CODE.get(error.code or "") or _BY_TYPE.get(error.type, InternalError)
    raise kind(error.message, param=error.param, code=error.code or BACK_END_FAILED)


def _finished(told: dict[str, Any]) -> Finished:
    return Finished(_transcript(TRANSCRIPT_JSON.validate_python(told["transcript"])))


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], TranscriptionEvent]]] = MappingProxyType(
    {
        "started": lambda told: Started(told["model"], told["duration_s"]),
        "progress": lambda told: Progress(told["done_s"], told["total_s"]),
        "segment": lambda told: SegmentReady(
            _segment(SEGMENT_JSON.validate_python(told["segment"]))
        ),
        "done": _finished,
        "error": _failed,
    }
)


def _transcript(told: TranscriptJson) -> Transcript:
    known = frozenset(WarningCode)
    return Transcript(
        segments=tuple(map(_segment, told.segments)),
        language=told.language,
        language_probability=told.language_probability,
        duration_s=told.duration_s,
        speech_duration_s=told.speech_duration_s,
        model=told.model,
        task=Task(told.task),
        warnings=tuple(_warning(warning) for warning in told.warnings if warning.code in known),
    )


def _segment(told: SegmentJson) -> Segment:
    words = told.words
    return Segment(
        id=told.id,
        seek=told.seek,
        start=told.start,
        end=told.end,
        text=told.text,
        tokens=tuple(told.tokens),
        temperature=told.temperature,
        avg_logprob=told.avg_logprob,
        compression_ratio=told.compression_ratio,
        no_speech_prob=told.no_speech_prob,
        words=None
        if words is None
        else tuple(Word(word.word, word.start, word.end, word.probability) for word in words),
        language=told.language,
    )


def _warning(told: WarningJson) -> TranscriptWarning:
    return TranscriptWarning(WarningCode(told.code), told.message, told.start, told.end)
