"""Where a long utterance is cut, so that its audio fits a window and its text a prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from verbatim.domain.transcript import Word
from verbatim.domain.units import MAX_CONTEXT_TOKENS
from verbatim.stages.word_timing import CLOSING_PUNCTUATION, SENTENCE_ENDS

MAX_WINDOW_S: Final = 28.0
"""Longest audio decoded at once; the model's own limit is 30 s."""
TRIM_AFTER_S: Final = 15.0
"""Longer audio is cut as soon as there is a place for it; shorter is cheaper to decode."""
SHORT_ENOUGH_S: Final = 10.0
"""A cut at a sentence's end is taken where it leaves no more than this."""
KEPT_S: Final = 2.0
"""Committed speech that stays before what is not committed, so that the model has a run-up."""
MAX_NEW_TOKENS: Final = 111
MAX_PREFIX_TOKENS: Final = MAX_CONTEXT_TOKENS - MAX_NEW_TOKENS
"""Prefix and new tokens together stay within half of the decoder's length."""
BYTES_A_TOKEN: Final = 2.5
"""Of UTF-8, in text of East Asian languages; English has four and more."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Words that go, from the first, and the time at which their audio ends."""

    words: int
    time: float


def prefix_tokens(words: Sequence[Word]) -> int:
    """How many tokens the words take, roughly; only the model's tokenizer knows."""
    return math.ceil(sum(len(word.text.encode()) for word in words) / BYTES_A_TOKEN)


def find_cut(words: Sequence[Word], start: float, edge: float) -> Cut | None:
    """Where to cut, at the end of a sentence if one is near, else between two words.

    Args:
        words: that are committed and still in the audio, with their times.
        start: where the audio begins.
        edge: where it ends.

    Returns:
        None where it is short enough, or there is no place.
    """
    full = prefix_tokens(words) > MAX_PREFIX_TOKENS
    if edge - start <= TRIM_AFTER_S and not full:
        return None
    latest = 0
    for place in range(1, len(words)):
        if words[-1].end - _between(words, place) >= KEPT_S:
            latest = place
    while latest + 1 < len(words) and prefix_tokens(words[latest:]) > MAX_PREFIX_TOKENS:
        latest += 1
    if not latest:
        return None
    sentence = max(
        (place for place in range(1, latest + 1) if ends_sentence(words[place - 1])), default=0
    )
    if (
        sentence
        and edge - _between(words, sentence) <= SHORT_ENOUGH_S
        and prefix_tokens(words[sentence:]) <= MAX_PREFIX_TOKENS
    ):
        return Cut(sentence, _between(words, sentence))
    return Cut(latest, _between(words, latest))


def ends_sentence(word: Word) -> bool:
    """Whether a sentence ends with this word, quotation marks and brackets aside."""
    closers = set(CLOSING_PUNCTUATION) - set(SENTENCE_ENDS)
    bare = word.text.rstrip("".join(closers) + " ")
    return bare.endswith(tuple(SENTENCE_ENDS))


def _between(words: Sequence[Word], place: int) -> float:
    """The time between a word and the one before it."""
    return (words[place - 1].end + words[place].start) / 2
