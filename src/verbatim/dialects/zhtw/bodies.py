"""What the zh-TW service is asked, and what it answers."""

from __future__ import annotations

from pydantic import BaseModel, Field

from verbatim.domain.request import Script
from verbatim.domain.transcript import Segment, Transcript
from verbatim.render.options import seconds
from verbatim.wire.decode_form import DecodeForm


class TranscriptionForm(DecodeForm):
    """The fields of a request, in a form or behind the question mark of an address."""

    script: Script = Field(
        Script.S2TW, description="Chinese script of the answer; Taiwan's if nothing is said."
    )
    timestamps: bool = Field(False, description="List the segments with their times.")


class SaidSegment(BaseModel):
    """A stretch of text; times are seconds from the start of the recording."""

    start: float
    end: float
    text: str


class Warned(BaseModel):
    """What the reader should know."""

    code: str
    message: str


class Answer(BaseModel):
    """A transcription."""

    success: bool
    text: str
    process_time: float = Field(description="Seconds from the upload's arrival to the answer.")
    segments: list[SaidSegment] | None = Field(
        None, description="Where `timestamps` asked for them."
    )
    warnings: list[Warned] | None = Field(None, description="Left out where there are none.")


class Failure(BaseModel):
    """What went wrong."""

    success: bool
    error: str


def answer(transcript: Transcript, took_s: float, *, timestamps: bool) -> Answer:
    """A transcript as the service tells it."""
    warnings = [Warned(code=w.code.value, message=w.message) for w in transcript.warnings]
    return Answer(
        success=True,
        text=transcript.text,
        process_time=seconds(took_s),
        segments=[_segment(segment) for segment in transcript.segments] if timestamps else None,
        warnings=warnings or None,
    )


def _segment(segment: Segment) -> SaidSegment:
    start = seconds(segment.start)
    return SaidSegment(start=start, end=max(start, seconds(segment.end)), text=segment.text.strip())
