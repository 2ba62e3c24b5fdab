"""When each word was said, from the alignment of tokens with encoder positions.

The alignment is dynamic time warping over the median-filtered cross-attention of the model's
alignment heads (openai-whisper, `timing.py`; the engine runs it). Here it becomes words: tokens are
grouped, punctuation joins its neighbour without taking its time, and words that a pause has
stretched are cut back.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.transcript import Word
from verbatim.domain.units import POSITIONS_PER_SECOND

CharacterGroup = tuple[str, tuple[int, ...]]
"""Text of whole characters and the tokens that spell it."""

OPENING_PUNCTUATION: Final = "\"'“¿([{-"
CLOSING_PUNCTUATION: Final = "\"'.。,，!！?？:：”)]}、"
SENTENCE_ENDS: Final = ".。!！?？"
TYPICAL_WORD_LIMIT_S: Final = 0.7
"""No typical word is longer than this; the median of a window is cut off here."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """A word's text and how many tokens spell it."""

    text: str
    tokens: int


def group_words(characters: Sequence[CharacterGroup], *, spaced: bool) -> list[Spelling]:
    """Tokens to words: at spaces and punctuation, or, without spaces, one for each group.

    Args:
        characters: the segment's text tokens grouped to whole characters, in order.
        spaced: whether the language separates words by spaces.
    """
    words: list[Spelling] = []
    for text, tokens in characters:
        alone = not spaced or text.startswith(" ") or text.strip() in string.punctuation
        # A space that is a token of its own belongs to the word it stands before.
        before_is_space = bool(words) and words[-1].text.isspace()
        if not words or (alone and not before_is_space):
            words.append(Spelling(text, len(tokens)))
        else:
            words[-1] = Spelling(words[-1].text + text, words[-1].tokens + len(tokens))
    return words


def token_starts(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """When each token begins, seconds: (path, 2) pairs (token, position) -> (tokens,)."""
    first = np.ones(len(pairs), bool)
    first[1:] = np.diff(pairs[:, 0]) > 0
    starts: NDArray[np.float64] = pairs[first, 1] / POSITIONS_PER_SECOND
    return starts


def time_words(
    spellings: Sequence[Spelling],
    starts: NDArray[np.float64],
    probabilities: Sequence[float],
) -> list[Word]:
    """Words with the times of their tokens.

    Args:
        spellings: the words in order.
        starts: (tokens + 1,) seconds; the last one is where the end token begins.
        probabilities: (tokens,) of each text token.
    """
    words: list[Word] = []
    at = 0
    for spelling in spellings:
        end = min(at + spelling.tokens, len(starts) - 1)
        probability = float(np.mean(probabilities[at:end])) if end > at else 0.0
        words.append(Word(spelling.text, float(starts[at]), float(starts[end]), probability))
        at = end
    return words


def merge_punctuation(words: Sequence[Word]) -> list[Word]:
    """Opening marks join the word after them, closing marks the one before; its times stay."""
    opened: list[Word] = []
    prefix = ""
    for word in words:
        if (
            word.text.startswith(" ")
            and word.text.strip() in OPENING_PUNCTUATION
            and word.text.strip()
        ):
            prefix += word.text
            continue
        opened.append(replace(word, text=prefix + word.text) if prefix else word)
        prefix = ""
    if prefix and words:
        opened.append(replace(words[-1], text=prefix))

    merged: list[Word] = []
    for word in opened:
        if merged and word.text in CLOSING_PUNCTUATION and not merged[-1].text.endswith(" "):
            merged[-1] = replace(merged[-1], text=merged[-1].text + word.text)
        else:
            merged.append(word)
    return merged


def trim_pauses(words: Sequence[Word]) -> list[Word]:
    """Cut back words that reach over a pause: no word is over twice the typical length there.

    Attention rests on the neighbour of a pause, so the first word after one begins too early and
    the last word before it ends too late.
    """
    durations = np.array([word.end - word.start for word in words])
    spoken = durations[durations > 0]
    if not len(spoken):
        return list(words)
    longest = 2 * min(TYPICAL_WORD_LIMIT_S, float(np.median(spoken)))
    trimmed: list[Word] = []
    for place, word in enumerate(words):
        too_long = word.end - word.start > longest
        follows_pause = place == 0 or _ends_sentence(words[place - 1])
        precedes_pause = place == len(words) - 1 or _ends_sentence(word)
        if too_long and follows_pause:
            trimmed.append(replace(word, start=word.end - longest))
        elif too_long and precedes_pause:
            trimmed.append(replace(word, end=word.start + longest))
        else:
            trimmed.append(word)
    return trimmed


def _ends_sentence(word: Word) -> bool:
    return word.text.rstrip()[-1:] in tuple(SENTENCE_ENDS)
