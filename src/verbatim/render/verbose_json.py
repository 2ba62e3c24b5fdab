"""The format `verbose_json`: text, language, and times of segments and words."""

from __future__ import annotations

from typing import Final

from verbatim.domain.request import Task
from verbatim.domain.transcript import Segment, Transcript, Word
from verbatim.render.options import Granularity, JsonObject, RenderOptions, number, seconds
from verbatim.render.plain_json import usage, warnings
from verbatim.stages.language_names import language_name

TRANSLATED_INTO: Final = "en"


def render_verbose_json(transcript: Transcript, options: RenderOptions) -> JsonObject:
    """OpenAI's object; `segments` and `words` as the granularities ask, and our `warnings`.

    The language is that of the text: a translation is in English, whatever was spoken.
    """
    translated = transcript.task is Task.TRANSLATE
    body: JsonObject = {
        "task": transcript.task.value,
        "language": language_name(TRANSLATED_INTO if translated else transcript.language),
        "duration": seconds(transcript.duration_s),
        "text": transcript.text,
    }
    if Granularity.SEGMENT in options.granularities:
        body["segments"] = [segment_fields(segment) for segment in transcript.segments]
    if Granularity.WORD in options.granularities:
        body["words"] = [word_fields(word) for word in transcript.words if word.text.strip()]
    if not translated:
        body["usage"] = usage(transcript)
    return body | warnings(transcript.warnings)


def segment_fields(segment: Segment) -> JsonObject:
    """A segment's ten fields; the text keeps Whisper's leading space."""
    start = seconds(segment.start)
    return {
        "id": segment.id,
        "seek": segment.seek,
        "start": start,
        "end": max(start, seconds(segment.end)),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": number(segment.temperature),
        "avg_logprob": number(segment.avg_logprob),
        "compression_ratio": number(segment.compression_ratio),
        "no_speech_prob": number(segment.no_speech_prob),
    }


def word_fields(word: Word) -> JsonObject:
    """A word without the space around it, and its times."""
    start = seconds(word.start)
    return {"word": word.text.strip(), "start": start, "end": max(start, seconds(word.end))}
