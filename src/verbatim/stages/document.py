"""Segments of many windows become one text: in order, numbered, without loops, with warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from verbatim.domain.transcript import Segment, TranscriptWarning, WarningCode, Word
from verbatim.stages.repetition import allowed_repeats, without_loops
from verbatim.stages.text_units import normalise, split_units

DOUBTFUL_LOGPROB: Final = -1.0
"""Mean log probability a token under which a segment is a guess (the gate of Whisper's paper)."""
MOST_CHARACTERS_PER_SECOND: Final = 45.0
"""Nobody speaks faster; auctioneers reach about 30."""
_SHORTEST_JUDGED_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What was written so far, as far as the next segment needs it."""

    next_id: int = 0
    last_end: float = 0.0
    last_text: str = ""
    repeats: int = 0
    warnings: tuple[TranscriptWarning, ...] = ()


def append(
    state: DocumentState, segments: Iterable[Segment]
) -> tuple[DocumentState, tuple[Segment, ...]]:
    """Add a window's segments, times in the recording; what is returned is final.

    Loops inside a segment are collapsed to their first copy; a segment that says the same as those
    before it is dropped once it did so more often than people do. Either leaves a warning, as do
    segments that are little more than guesses. Times never go back and never overlap.
    """
    written: list[Segment] = []
    for raw in segments:
        segment, looped = _collapse(raw)
        normal = normalise(segment.text)
        if not normal and not segment.text.strip():
            continue
        repeats = state.repeats + 1 if normal == state.last_text else 1
        state = replace(state, last_text=normal, repeats=repeats)
        start, end = max(segment.start, state.last_end), max(segment.end, state.last_end)
        if looped or repeats > allowed_repeats(len(split_units(segment.text))):
            state = _warn(state, WarningCode.REPETITION, start, end)
        elif _is_guess(segment):
            state = _warn(state, WarningCode.LOW_CONFIDENCE, start, end)
        if repeats > allowed_repeats(len(split_units(segment.text))):
            continue
        placed = replace(
            segment,
            id=state.next_id,
            start=start,
            end=end,
            words=None if segment.words is None else _within(segment.words, start, end),
        )
        state = replace(state, next_id=state.next_id + 1, last_end=end)
        written.append(placed)
    return state, tuple(written)


def _collapse(segment: Segment) -> tuple[Segment, bool]:
    """The segment without its inner loops, and whether there were any."""
    units = split_units(segment.text)
    kept = without_loops([normalise(unit) or unit for unit in units])
    if len(kept) == len(units):
        return segment, False
    text = "".join(units[place] for place in kept)
    words = segment.words
    if words:
        places = without_loops([normalise(word.text) or word.text for word in words])
        words = tuple(words[place] for place in places)
        text = "".join(word.text for word in words)
    return replace(segment, text=text, words=words, logprobs=None), True


def _is_guess(segment: Segment) -> bool:
    if segment.avg_logprob < DOUBTFUL_LOGPROB:
        return True
    length = max(segment.end - segment.start, _SHORTEST_JUDGED_S)
    return len(segment.text.strip()) / length > MOST_CHARACTERS_PER_SECOND


def _within(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    return tuple(
        replace(word, start=min(max(word.start, start), end), end=min(max(word.end, start), end))
        for word in words
    )


_MESSAGES: Final = {
    WarningCode.REPETITION: "Text that repeated itself without end was taken out here.",
    WarningCode.LOW_CONFIDENCE: "The model was unsure here; check this part.",
}


def _warn(state: DocumentState, code: WarningCode, start: float, end: float) -> DocumentState:
    """Add a warning; one that follows on another of its kind makes that one longer."""
    if state.warnings:
        last = state.warnings[-1]
        if last.code is code and last.end is not None and start - last.end < _SHORTEST_JUDGED_S:
            return replace(state, warnings=(*state.warnings[:-1], replace(last, end=end)))
    added = TranscriptWarning(code, _MESSAGES[code], start, end)
    return replace(state, warnings=(*state.warnings, added))
