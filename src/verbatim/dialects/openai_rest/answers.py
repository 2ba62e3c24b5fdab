"""A transcript as `/v1/audio` answers it: OpenAI's formats, and more in the plainest of them.

The desktop applications of Whisper Local Server read five more fields in the json answer of a
transcription; OpenAI's own clients pass over what they do not know.
"""

from __future__ import annotations

from dataclasses import replace

from verbatim.dialects.openai_rest.forms import TranscriptionForm, TranslationForm
from verbatim.domain.transcript import Transcript
from verbatim.render.formats import Rendered, ResponseFormat, render
from verbatim.render.options import JsonObject, seconds
from verbatim.render.verbose_json import segment_fields


def render_answer(transcript: Transcript, asked: TranslationForm) -> Rendered:
    """The answer; subtitles of hours take seconds, so not in an event loop."""
    rendered = render(transcript, asked.response_format, asked.render_options())
    plain = asked.response_format is ResponseFormat.JSON
    if not (plain and isinstance(asked, TranscriptionForm) and isinstance(rendered.body, dict)):
        return rendered
    return replace(rendered, body={**rendered.body, **local_server_fields(transcript)})


def local_server_fields(transcript: Transcript) -> JsonObject:
    """`{language, duration, segments, model, task}`; the language is the code of what is spoken."""
    return {
        "language": transcript.language,
        "duration": seconds(transcript.duration_s),
        "segments": [segment_fields(segment) for segment in transcript.segments],
        "model": transcript.model,
        "task": transcript.task.value,
    }
