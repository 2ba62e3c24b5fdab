"""What the microservice answers."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from verbatim.domain.transcript import Segment, Transcript, TranscriptWarning
from verbatim.render.options import number, seconds

PROBABILITY_DIGITS: Final = 4


class Warned(BaseModel):
    """What the reader should know."""

    code: str
    message: str


class SaidSegment(BaseModel):
    """A stretch of text; times are seconds from the start of the recording."""

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float


class Answer(BaseModel):
    """A transcription."""

    text: str
    language: str = Field(description="A code, such as en.")
    language_probability: float
    duration: float = Field(description="Of the recording, in seconds.")
    segments: list[SaidSegment]
    process_time: float = Field(description="Seconds from the upload's arrival to the answer.")
    warnings: list[Warned] = Field([], description="Left out where there are none.")


class Health(BaseModel):
    """Whether the service is alive, and on what it runs."""

    status: str
    model: str
    model_loaded: bool
    device: str
    compute_type: str
    fallback: str | None = Field(
        description="Why the model runs on the CPU though a GPU was asked for; null if it does not."
    )
    running: int = Field(description="Transcriptions that run.")
    waiting: int = Field(description="Transcriptions that wait.")


class Cleared(BaseModel):
    """What unloading idle models gave back."""

    status: str
    message: str
    unloaded: list[str] = Field(description="The models that were unloaded.")
    freed_bytes: int = Field(description="Main memory that they had, as measured.")
    freed_mb: float


def answer(transcript: Transcript, took_s: float) -> Answer:
    """A transcript as the service tells it."""
    return Answer(
        text=transcript.text,
        language=transcript.language,
        language_probability=round(number(transcript.language_probability), PROBABILITY_DIGITS),
        duration=seconds(transcript.duration_s),
        segments=[_segment(segment) for segment in transcript.segments],
        process_time=seconds(took_s),
        warnings=[warned(warning) for warning in transcript.warnings],
    )


def warned(warning: TranscriptWarning) -> Warned:
    """A warning without its place."""
    return Warned(code=warning.code.value, message=warning.message)


def _segment(segment: Segment) -> SaidSegment:
    start = seconds(segment.start)
    return SaidSegment(
        id=segment.id,
        start=start,
        end=max(start, seconds(segment.end)),
        text=segment.text.strip(),
        avg_logprob=number(segment.avg_logprob),
        no_speech_prob=number(segment.no_speech_prob),
    )
