"""A transcript as its clients read it, over HTTP and over the WebSocket."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.stages.language_names import language_code

TIME_DIGITS: Final = 2
PROBABILITY_DIGITS: Final = 3
DETECT: Final = "auto"


class ResultSegment(BaseModel):
    """A stretch of speech."""

    start: float
    end: float
    text: str
    confidence: float = Field(description="Mean log probability of its tokens.")


class ResultWarning(BaseModel):
    """What the reader should know."""

    code: str
    message: str


class Result(BaseModel):
    """The answer to a file; VoxScribe's clients find theirs in it."""

    success: Literal[True] = True
    text: str
    language: str
    language_probability: float
    duration: float
    segments: list[ResultSegment]
    warnings: list[ResultWarning] | None = Field(None, description="Left out where there are none.")


def result_of(transcript: Transcript) -> Result:
    """What is answered."""
    return Result(
        text=transcript.text,
        language=transcript.language,
        language_probability=round(transcript.language_probability, PROBABILITY_DIGITS),
        duration=round(transcript.duration_s, TIME_DIGITS),
        segments=[
            ResultSegment(
                start=round(segment.start, TIME_DIGITS),
                end=round(segment.end, TIME_DIGITS),
                text=segment.text.strip(),
                confidence=round(segment.avg_logprob, PROBABILITY_DIGITS),
            )
            for segment in transcript.segments
        ],
        warnings=[
            ResultWarning(code=warning.code.value, message=warning.message)
            for warning in transcript.warnings
        ]
        or None,
    )


def file_message(transcript: Transcript) -> dict[str, Any]:
    """The same as a message on the WebSocket."""
    fields = {"text", "language", "duration", "segments"}
    return {"type": "file_result", **result_of(transcript).model_dump(include=fields)}


def wanted_language(said: str | None) -> str | None:
    """The language that a client named; None has it detected.

    Raises:
        BadRequestError: Whisper does not know it.
    """
    name = (said or "").strip()
    return None if name.lower() in {"", DETECT} else language_code(name)


def wanted(language: str | None) -> TranscriptionRequest:
    """What is asked of the service. Raises as `wanted_language`."""
    return TranscriptionRequest(decode=DecodeOptions(language=wanted_language(language)))
