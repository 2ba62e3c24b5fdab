"""When each character of a segment is spoken, from its words or else in proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from typing import Final

from verbatim.domain.transcript import Segment, Word
from verbatim.stages.caption_text import columns, compact, one_line

FASTEST_SPEECH_COLUMNS_PER_S: Final = 40.0
"""Nobody speaks faster; a segment whose times say so (Whisper gives some no length) is wrong."""


@dataclass(frozen=True, slots=True)
class CharTimes:
    """Spoken times of the characters of `compact(text)`, seconds, never going back.

    Attributes:
        starts: when each begins.
        ends: when each ends; not before it begins.
        word_ends: where words end, as a count of characters; None where words are not known.
    """

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    word_ends: frozenset[int] | None


def char_times(segment: Segment, text: str, not_before_s: float, next_start_s: float) -> CharTimes:
    """Time the characters of a segment.

    Words are used where they make the segment's text; if they do not, or their times are no
    numbers, the segment's own times are shared out by characters.

    Args:
        segment: with words or without.
        text: its text, clean.
        not_before_s: when the last character before it began.
        next_start_s: when the next segment begins, infinity after the last.
    """
    words = _matching_words(segment, text)
    if words is None:
        spans = [(*_span(segment, text, not_before_s, next_start_s), len(compact(text)))]
    else:
        spans = [(word.start, word.end, length) for word, length in words]
    starts: list[float] = []
    ends: list[float] = []
    clock = not_before_s
    for span_start, span_end, length in spans:
        step = max(0.0, span_end - span_start) / max(1, length)
        for index in range(length):
            clock = max(clock, span_start + index * step)
            starts.append(clock)
            ends.append(max(clock, span_start + (index + 1) * step))
    word_ends = None if words is None else frozenset(accumulate(length for _, length in words))
    return CharTimes(tuple(starts), tuple(ends), word_ends)


def _matching_words(segment: Segment, text: str) -> Sequence[tuple[Word, int]] | None:
    """The words with their lengths in characters, if they make the text and have times."""
    words = segment.words or ()
    texts = [compact(one_line(word.text)) for word in words]
    if "".join(texts) != compact(text):
        return None
    if not all(isfinite(word.start) and isfinite(word.end) for word in words):
        return None
    return [(word, len(cleaned)) for word, cleaned in zip(words, texts, strict=True) if cleaned]


def _span(
    segment: Segment, text: str, not_before_s: float, next_start_s: float
) -> tuple[float, float]:
    start = segment.start if isfinite(segment.start) else not_before_s
    end = segment.end if isfinite(segment.end) else start
    shortest = columns(text) / FASTEST_SPEECH_COLUMNS_PER_S
    return start, max(end, min(start + shortest, next_start_s))
