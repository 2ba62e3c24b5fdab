"""Transcripts as bytes, to be kept, and back: exact, small, and quickly read.

Rows instead of objects, because reading ten minutes' words one validated object at a time takes
as long as the rest of an answer.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

from verbatim.domain.request import Task
from verbatim.domain.transcript import (
    Segment,
    TokenLogprob,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)

FORMAT: Final = "1"
"""To be changed with what is written here, and with the classes of `domain.transcript`."""
FAST_COMPRESSION: Final = 1


class DamagedError(ValueError):
    """The bytes are not what was packed."""


def pack(transcript: Transcript) -> bytes:
    """A transcript as bytes."""
    whole = [
        [_segment_row(segment) for segment in transcript.segments],
        transcript.language,
        transcript.language_probability,
        transcript.duration_s,
        transcript.speech_duration_s,
        transcript.model,
        transcript.task.value,
        [[w.code.value, w.message, w.start, w.end] for w in transcript.warnings],
    ]
    written = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(written.encode(errors="surrogatepass"), FAST_COMPRESSION)


def unpack(content: bytes) -> Transcript:
    """The transcript that was packed.

    Raises:
        DamagedError: it was none.
    """
    try:
        whole = json.loads(zlib.decompress(content).decode(errors="surrogatepass"))
        segments, language, probability, duration_s, speech_s, model, task, warnings = whole
        return Transcript(
            segments=tuple(map(_segment, segments)),
            language=language,
            language_probability=probability,
            duration_s=duration_s,
            speech_duration_s=speech_s,
            model=model,
            task=Task(task),
            warnings=tuple(TranscriptWarning(WarningCode(code), *told) for code, *told in warnings),
        )
    except (zlib.error, ValueError, TypeError) as error:
        raise DamagedError("this is no transcript") from error


def _segment_row(segment: Segment) -> list[Any]:
    words, logprobs = segment.words, segment.logprobs
    return [
        segment.id,
        segment.seek,
        segment.start,
        segment.end,
        segment.text,
        segment.tokens,
        segment.temperature,
        segment.avg_logprob,
        segment.compression_ratio,
        segment.no_speech_prob,
        words and [[w.text, w.start, w.end, w.probability] for w in words],
        logprobs and [[t.token, t.logprob, b64encode(t.data).decode()] for t in logprobs],
        segment.language,
    ]


def _segment(row: Sequence[Any]) -> Segment:
    number, seek, start, end, text, tokens, *gates, words, logprobs, language = row
    temperature, avg_logprob, compression_ratio, no_speech_prob = gates
    return Segment(
        id=number,
        seek=seek,
        start=start,
        end=end,
        text=text,
        tokens=tuple(tokens),
        temperature=temperature,
        avg_logprob=avg_logprob,
        compression_ratio=compression_ratio,
        no_speech_prob=no_speech_prob,
        words=None if words is None else tuple(Word(*word) for word in words),
        logprobs=None
        if logprobs is None
        else tuple(TokenLogprob(text, value, b64decode(data)) for text, value, data in logprobs),
        language=language,
    )
