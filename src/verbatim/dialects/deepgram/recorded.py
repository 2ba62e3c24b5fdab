"""The answer about a recording."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from verbatim.dialects.deepgram.models import model_info, model_uuid
from verbatim.dialects.deepgram.query import RecordedQuery
from verbatim.dialects.deepgram.words import (
    CONFIDENCE_DIGITS,
    JsonObject,
    alternative,
    confidence,
    joined,
    paragraphs,
    time,
    told_text,
    utterances,
    word_object,
)
from verbatim.domain.transcript import Transcript, Word

NO_KEY = "deprecated"
"""What Deepgram's own answers say there."""
UNKNOWN_VERSION = "unknown"


class Metadata(BaseModel):
    """About the request."""

    transaction_key: str = NO_KEY
    request_id: str
    sha256: str = Field(description="Of the recording's bytes.")
    created: str = Field(description="ISO 8601, UTC.")
    duration: float = Field(description="Seconds.")
    channels: int = Field(1, description="Always 1: channels are mixed.")
    models: list[str]
    model_info: dict[str, dict[str, Any]]
    tags: list[str] | None = None
    warnings: list[dict[str, Any]] | None = Field(
        None, description="What was asked for and is not done; what to know about the text."
    )


class Channel(BaseModel):
    """What was said."""

    alternatives: list[dict[str, Any]] = Field(
        description="One: transcript, confidence, words; paragraphs if asked for."
    )
    detected_language: str | None = None
    language_confidence: float | None = None


class Results(BaseModel):
    """All that was understood."""

    channels: list[Channel]
    utterances: list[dict[str, Any]] | None = None


class RecordedAnswer(BaseModel):
    """The answer to `POST /v1/listen`."""

    metadata: Metadata
    results: Results


def recorded_answer(
    transcript: Transcript,
    query: RecordedQuery,
    *,
    request_id: str,
    sha256: str,
    created: datetime,
    not_done: Sequence[JsonObject],
) -> RecordedAnswer:
    """A transcript as Deepgram tells it.

    Args:
        transcript: with its words.
        query: what the client asked for.
        request_id: of the request.
        sha256: of the recording.
        created: when it came.
        not_done: warnings about the query.
    """
    told = [{"type": each.code.value, "message": each.message} for each in transcript.warnings]
    model = model_uuid(transcript.model)
    metadata = Metadata(
        request_id=request_id,
        sha256=sha256,
        created=iso(created),
        duration=time(transcript.duration_s),
        models=[model],
        model_info={model: model_info(transcript.model, UNKNOWN_VERSION)},
        tags=query.tag or None,
        warnings=[*not_done, *told] or None,
    )
    words, punctuated = transcript.words, query.punctuated
    language = transcript.language if query.many_languages else None
    only = alternative(transcript.text, words, punctuated=punctuated, language=language)
    if query.paragraphs or query.smart_format:
        only["paragraphs"] = _paragraphs(words)
    channel = Channel(alternatives=[only])
    if query.language_code() is None:
        channel.detected_language = transcript.language
        channel.language_confidence = round(transcript.language_probability, CONFIDENCE_DIGITS)
    results = Results(channels=[channel])
    if query.utterances:
        pieces = utterances(words, query.utt_split)
        results.utterances = [
            _utterance(piece, f"{request_id}-{number}", punctuated=punctuated)
            for number, piece in enumerate(pieces)
        ]
    return RecordedAnswer(metadata=metadata, results=results)


def iso(moment: datetime) -> str:
    """As Deepgram writes times."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _paragraphs(words: Sequence[Word]) -> JsonObject:
    parts = paragraphs(words)
    told = [
        {
            "sentences": [{"text": joined(each), **_span(each)} for each in paragraph],
            "num_words": sum(map(len, paragraph)),
            "start": time(paragraph[0][0].start),
            "end": time(paragraph[-1][-1].end),
        }
        for paragraph in parts
    ]
    texts = [joined([w for each in paragraph for w in each]) for paragraph in parts]
    return {"transcript": "\n\n".join(texts), "paragraphs": told}


def _utterance(words: Sequence[Word], name: str, *, punctuated: bool) -> JsonObject:
    return {
        **_span(words),
        "confidence": confidence(words),
        "channel": 0,
        "transcript": told_text(joined(words), punctuated=punctuated),
        "words": [word_object(word, punctuated=punctuated) for word in words],
        "id": name,
    }


def _span(words: Sequence[Word]) -> JsonObject:
    return {"start": time(words[0].start), "end": time(words[-1].end)}
