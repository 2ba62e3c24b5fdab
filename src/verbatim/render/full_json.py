"""A transcript as Verbatim's own routes tell it: everything that is known, times in seconds.

The classes are the JSON objects; pydantic writes them and describes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from verbatim.domain.transcript import Segment, Transcript, TranscriptWarning, Word
from verbatim.render.options import number, seconds

PROBABILITY_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class WordJson:
    """A word with the space before it: a segment's words joined are its text."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class SegmentJson:
    """A stretch of text, and the figures by which it was believed."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    language: str | None
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    tokens: Sequence[int]
    words: Sequence[WordJson] | None


@dataclass(frozen=True, slots=True)
class WarningJson:
    """Something a reader should know; with a span where it concerns a part only."""

    code: str
    message: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class TranscriptJson:
    """A whole recording's text."""

    object: Literal["transcript"]
    text: str
    task: Literal["transcribe", "translate"]
    language: str
    language_probability: float
    duration_s: float
    speech_duration_s: float
    model: str
    processing_s: float
    segments: Sequence[SegmentJson]
    warnings: Sequence[WarningJson]


TRANSCRIPT_JSON: Final = TypeAdapter(TranscriptJson)
SEGMENT_JSON: Final = TypeAdapter(SegmentJson)


def transcript_json(transcript: Transcript, processing_s: float) -> TranscriptJson:
    """A transcript, with the time that it took, waiting included."""
    return TranscriptJson(
        object="transcript",
        text=transcript.text,
        task=transcript.task.value,
        language=transcript.language,
        language_probability=_probability(transcript.language_probability),
        duration_s=seconds(transcript.duration_s),
        speech_duration_s=seconds(transcript.speech_duration_s),
        model=transcript.model,
        processing_s=seconds(processing_s),
        segments=[segment_json(segment) for segment in transcript.segments],
        warnings=[_warning_json(warning) for warning in transcript.warnings],
    )


def segment_json(segment: Segment) -> SegmentJson:
    """A segment; its end is never before its start."""
    start = seconds(segment.start)
    return SegmentJson(
        id=segment.id,
        seek=segment.seek,
        start=start,
        end=max(start, seconds(segment.end)),
        text=segment.text,
        language=segment.language,
        temperature=number(segment.temperature),
        avg_logprob=number(segment.avg_logprob),
        compression_ratio=number(segment.compression_ratio),
        no_speech_prob=number(segment.no_speech_prob),
        tokens=segment.tokens,
        words=None if segment.words is None else [_word_json(word) for word in segment.words],
    )


def _word_json(word: Word) -> WordJson:
    start = seconds(word.start)
    return WordJson(word.text, start, max(start, seconds(word.end)), _probability(word.probability))


def _warning_json(warning: TranscriptWarning) -> WarningJson:
    start, end = warning.start, warning.end
    return WarningJson(
        warning.code.value,
        warning.message,
        None if start is None else seconds(start),
        None if end is None else seconds(end),
    )


def _probability(value: float) -> float:
    return round(number(value), PROBABILITY_DIGITS)
