"""Words as Deepgram tells them: bare or punctuated, in sentences, paragraphs and utterances."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

from verbatim.domain.transcript import Word
from verbatim.stages.caption_text import CLOSING, SENTENCE_ENDS

TIME_DIGITS: Final = 3
CONFIDENCE_DIGITS: Final = 4
PUNCTUATION: Final = "P"
WIDE: Final = frozenset("WF")
PARAGRAPH_PAUSE_S: Final = 1.5
"""A pause after a sentence that begins a paragraph."""
MOST_SENTENCES: Final = 5
"""Of a paragraph."""

JsonObject: TypeAlias = dict[str, Any]


def unpunctuated(text: str) -> str:
    """Text in small letters without punctuation.

    A mark between two letters or digits is part of the word, as in don't and 3.5; scripts that
    are written without spaces have no such words.
    """
    kept = "".join(
        char
        for place, char in enumerate(text)
        if not unicodedata.category(char).startswith(PUNCTUATION) or _inside(text, place)
    )
    return " ".join(kept.lower().split())


def _inside(text: str, place: int) -> bool:
    around = text[max(place - 1, 0) : place + 2]
    neighbours = (around[0], around[-1])
    return (
        len(around) == 3
        and all(char.isalnum() for char in neighbours)
        and not any(unicodedata.east_asian_width(char) in WIDE for char in around)
    )


def told_text(text: str, *, punctuated: bool) -> str:
    """Text as it was asked for."""
    return text.strip() if punctuated else unpunctuated(text)


def word_object(word: Word, *, punctuated: bool, language: str | None = None) -> JsonObject:
    """A word; `language` is told where it may change."""
    written = word.text.strip()
    told: JsonObject = {
        "word": unpunctuated(written) or written,
        "start": time(word.start),
        "end": time(word.end),
        "confidence": round(word.probability, CONFIDENCE_DIGITS),
    }
    if language is not None:
        told["language"] = language
    if punctuated:
        told["punctuated_word"] = written
    return told


def alternative(
    text: str, words: Sequence[Word], *, punctuated: bool, language: str | None = None
) -> JsonObject:
    """What is understood: the only alternative there is.

    Args:
        text: all of it; may hold more than the words.
        words: with their times.
        punctuated: keep punctuation and capitals.
        language: told where it may change.
    """
    told: JsonObject = {
        "transcript": told_text(text, punctuated=punctuated),
        "confidence": confidence(words),
    }
    if language is not None:
        told["languages"] = [language]
    told["words"] = [word_object(w, punctuated=punctuated, language=language) for w in words]
    return told


def confidence(words: Sequence[Word]) -> float:
    """The words' mean probability; 0 of none."""
    if not words:
        return 0.0
    return round(sum(word.probability for word in words) / len(words), CONFIDENCE_DIGITS)


def time(seconds: float) -> float:
    """A time as it is told."""
    return round(seconds, TIME_DIGITS)


def joined(words: Sequence[Word]) -> str:
    """The words' text."""
    return "".join(word.text for word in words).strip()


def utterances(words: Sequence[Word], pause_s: float) -> list[tuple[Word, ...]]:
    """The words between pauses of at least this length."""
    return list(_split(words, lambda before, after: after.start - before.end >= pause_s))


def sentences(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """The words, sentence by sentence."""
    return list(_split(words, lambda before, _: _ends_sentence(before)))


def paragraphs(words: Sequence[Word]) -> list[list[tuple[Word, ...]]]:
    """Sentences, paragraph by paragraph: until a long pause, or a few of them."""
    told: list[list[tuple[Word, ...]]] = []
    for sentence in sentences(words):
        paused = told and sentence[0].start - told[-1][-1][-1].end >= PARAGRAPH_PAUSE_S
        if not told or paused or len(told[-1]) >= MOST_SENTENCES:
            told.append([])
        told[-1].append(sentence)
    return told


def _split(
    words: Sequence[Word], between: Callable[[Word, Word], bool]
) -> Iterator[tuple[Word, ...]]:
    if not words:
        return
    begin = 0
    for place, (before, after) in enumerate(pairwise(words), 1):
        if between(before, after):
            yield tuple(words[begin:place])
            begin = place
    yield tuple(words[begin:])


def _ends_sentence(word: Word) -> bool:
    # Behind the mark there may be quotation marks and brackets.
    marks = word.text.strip()[::-1]
    for char in marks:
        if char in SENTENCE_ENDS:
            return True
        if char not in CLOSING:
            return False
    return False
