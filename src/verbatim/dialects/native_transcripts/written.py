"""What is sent to `/v1/transcripts/render`: a transcript, perhaps edited, and a format."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from verbatim.domain.request import Task
from verbatim.domain.transcript import Segment, Transcript, TranscriptWarning, WarningCode, Word
from verbatim.render.formats import Granularity, RenderOptions, ResponseFormat
from verbatim.stages.retiming import retimed
from verbatim.wire.caption_fields import CaptionFields

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_SEGMENTS: Final = 100_000
MAX_WORDS: Final = 2_000
"""Of a segment."""
MAX_SEGMENT_CHARS: Final = 20_000
MAX_TIME_S: Final = 1_000_000.0
SHORT_NAMES: Final = {"txt": ResponseFormat.TEXT.value}

Seconds = Annotated[float, Field(ge=0, le=MAX_TIME_S)]
Text = Annotated[str, Field(max_length=MAX_SEGMENT_CHARS)]
Name = Annotated[str, Field(max_length=256)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, strict=True)


class WrittenWord(_Written):
    """A word with the space before it."""

    word: Text
    start: Seconds
    end: Seconds
    probability: float = Field(1.0, ge=0, le=1)


class WrittenSegment(_Written):
    """A segment; only the times and the text are needed."""

    start: Seconds
    end: Seconds
    text: Text
    language: Name | None = None
    seek: int = Field(0, ge=0)
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 1.0
    no_speech_prob: float = 0.0
    tokens: list[int] = Field([], max_length=MAX_WORDS)
    words: list[WrittenWord] | None = Field(None, max_length=MAX_WORDS)

    @model_validator(mode="after")
    def _in_order(self) -> WrittenSegment:
        if self.end < self.start:
            raise ValueError("it ends before it starts")
        return self

    def segment(self, number: int) -> Segment:
        """The same in our terms, with words for the text as it is now."""
        heard = [
            Word(w.word, w.start, max(w.start, w.end), w.probability) for w in self.words or ()
        ]
        return Segment(
            id=number,
            seek=self.seek,
            start=self.start,
            end=self.end,
            text=self.text,
            tokens=tuple(self.tokens),
            temperature=self.temperature,
            avg_logprob=self.avg_logprob,
            compression_ratio=self.compression_ratio,
            no_speech_prob=self.no_speech_prob,
            words=retimed(self.text, heard, self.start, self.end) if heard else None,
            language=self.language,
        )


def _warning_code(name: object) -> object:
    return WarningCode(name) if isinstance(name, str) and name in tuple(WarningCode) else name


class WrittenWarning(_Written):
    """As a transcript has them."""

    code: Annotated[WarningCode, BeforeValidator(_warning_code)]
    message: Text
    start: Seconds | None = None
    end: Seconds | None = None


class WrittenTranscript(_Written):
    """A transcript as `POST /v1/transcripts` gives it; only its segments are needed."""

    segments: list[WrittenSegment] = Field(max_length=MAX_SEGMENTS)
    language: Name = "en"
    language_probability: float = Field(1.0, ge=0, le=1)
    duration_s: Seconds | None = None
    speech_duration_s: Seconds | None = None
    model: Name = ""
    task: Literal["transcribe", "translate"] = "transcribe"
    warnings: list[WrittenWarning] = Field([], max_length=MAX_SEGMENTS)

    @model_validator(mode="after")
    def _in_order(self) -> WrittenTranscript:
        starts = [segment.start for segment in self.segments]
        if starts != sorted(starts):
            raise ValueError("the segments are not in order of their times")
        return self

    def transcript(self) -> Transcript:
        """The same in our terms."""
        last_s = max((segment.end for segment in self.segments), default=0.0)
        duration_s = last_s if self.duration_s is None else self.duration_s
        speech_s = duration_s if self.speech_duration_s is None else self.speech_duration_s
        return Transcript(
            segments=tuple(s.segment(number) for number, s in enumerate(self.segments)),
            language=self.language,
            language_probability=self.language_probability,
            duration_s=duration_s,
            speech_duration_s=speech_s,
            model=self.model,
            task=Task(self.task),
            warnings=tuple(
                TranscriptWarning(w.code, w.message, w.start, w.end) for w in self.warnings
            ),
        )


class WrittenOptions(_Written, CaptionFields):
    """How it shall be laid out."""

    words: bool = Field(False, description="verbose_json lists words as well.")

    def options(self) -> RenderOptions:
        """The same in our terms.

        Raises:
            BadRequestError: a limit makes no sense.
        """
        listed = {Granularity.SEGMENT, *([Granularity.WORD] if self.words else [])}
        return RenderOptions(captions=self.caption_limits(), granularities=frozenset(listed))


def _format(name: object) -> object:
    full = SHORT_NAMES.get(name, name) if isinstance(name, str) else ""
    if full not in tuple(ResponseFormat):
        raise ValueError(f"choose one of {', '.join(ResponseFormat)}")
    return ResponseFormat(full)


class RenderRequest(_Written):
    """A transcript to be written."""

    format: Annotated[ResponseFormat, BeforeValidator(_format)]
    transcript: WrittenTranscript
    options: WrittenOptions = WrittenOptions(
        max_line_chars=None, max_lines=None, max_cue_s=None, max_chars_per_s=None, words=False
    )
