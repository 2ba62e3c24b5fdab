"""The format `json`: the text, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from verbatim.domain.request import Task
from verbatim.domain.transcript import TokenLogprob, Transcript, TranscriptWarning
from verbatim.render.options import JsonObject, RenderOptions, number, seconds


def render_json(transcript: Transcript, options: RenderOptions) -> JsonObject:
    """`{text, usage, logprobs?, warnings?}`; a translation has no usage, as OpenAI's has none.

    `logprobs` are there if they were asked for and every segment has them.
    """
    body: JsonObject = {"text": transcript.text}
    if options.include_logprobs and all(s.logprobs is not None for s in transcript.segments):
        body["logprobs"] = [
            entry for segment in transcript.segments for entry in logprobs(segment.logprobs or ())
        ]
    if transcript.task is Task.TRANSCRIBE:
        body["usage"] = usage(transcript)
    return body | warnings(transcript.warnings)


def usage(transcript: Transcript) -> JsonObject:
    """`{type: "duration", seconds}`: whole seconds of audio, begun ones counted."""
    return {"type": "duration", "seconds": ceil(seconds(transcript.duration_s))}


def logprobs(tokens: Sequence[TokenLogprob]) -> list[JsonObject]:
    """Tokens as `{token, logprob, bytes}`."""
    return [
        {"token": token.token, "logprob": number(token.logprob), "bytes": list(token.data)}
        for token in tokens
    ]


def warnings(told: Sequence[TranscriptWarning]) -> JsonObject:
    """`{warnings: [{code, message, start?, end?}]}`; empty where there are none."""
    if not told:
        return {}
    return {"warnings": [_warning(warning) for warning in told]}


def _warning(warning: TranscriptWarning) -> JsonObject:
    body: JsonObject = {"code": warning.code.value, "message": warning.message}
    if warning.start is not None:
        body["start"] = seconds(warning.start)
    if warning.end is not None:
        body["end"] = seconds(warning.end)
    return body
