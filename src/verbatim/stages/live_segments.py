"""The sentences of an utterance as segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from verbatim.domain.transcript import Segment, Word
from verbatim.domain.units import FRAMES_PER_SECOND
from verbatim.stages.fallback import compression_ratio
from verbatim.stages.trimming import ends_sentence

_SMALLEST_PROBABILITY: Final = 1e-10


def sentences(
    words: Sequence[Word], *, language: str, no_speech_prob: float
) -> tuple[Segment, ...]:
    """One segment for each sentence; its tokens are not known.

    Args:
        words: of one utterance, with their marks.
        language: that was spoken.
        no_speech_prob: of the audio they were decoded from.
    """
    segments: list[Segment] = []
    first = 0
    for place, word in enumerate(words):
        if ends_sentence(word) or place + 1 == len(words):
            segments.append(
                _segment(len(segments), words[first : place + 1], language, no_speech_prob)
            )
            first = place + 1
    return tuple(segments)


def _segment(number: int, words: Sequence[Word], language: str, no_speech_prob: float) -> Segment:
    text = "".join(word.text for word in words)
    logprobs = [math.log(max(word.probability, _SMALLEST_PROBABILITY)) for word in words]
    return Segment(
        id=number,
        seek=round(words[0].start * FRAMES_PER_SECOND),
        start=words[0].start,
        end=max(words[-1].end, words[0].start),
        text=text,
        tokens=(),
        temperature=0.0,
        avg_logprob=sum(logprobs) / len(logprobs),
        compression_ratio=compression_ratio(text.strip()),
        no_speech_prob=no_speech_prob,
        words=tuple(words),
        language=language,
    )
