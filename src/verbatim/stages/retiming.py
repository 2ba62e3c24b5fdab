"""Words of a text that was edited, with the times of those that were heard.

Words at either end that the edit left as they were keep their times. What is between takes the
places of what was there where it is as many words, and otherwise shares out their time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Final

from verbatim.domain.transcript import Word

WRITTEN_PROBABILITY: Final = 1.0
"""Of a word that somebody wrote."""
_SPACED_WORD: Final = re.compile(r"\s*\S+")
_WIDE: Final = "⺀-鿿가-힣豈-﫿＀-￯"
_UNSPACED_WORD: Final = re.compile(rf"\s*(?:[{_WIDE}]|[^\s{_WIDE}]+)")
"""Where no word has a space before it, each full-width character is a word."""


def retimed(text: str, words: Sequence[Word], start_s: float, end_s: float) -> tuple[Word, ...]:
    """The words of a text, timed by the words of the text that it was before.

    Words that still make the text are given back as they are. Times never go back, if those of
    the words did not. It takes time in proportion to the text.

    Args:
        text: as it is now.
        words: of the text as it was, in order.
        start_s: when the text begins.
        end_s: when it ends.
    """
    if "".join(word.text for word in words).strip() == text.strip():
        return tuple(words)
    spaced = any(word.text[:1].isspace() for word in words[1:])
    pattern = _SPACED_WORD if spaced else _UNSPACED_WORD
    heard = [part for word in words for part in _parts(word, pattern)]
    written: list[str] = pattern.findall(text)
    same = min(len(heard), len(written))
    ahead = _alike(zip(heard[:same], written[:same], strict=True))
    rest = same - ahead
    behind = _alike(
        zip(
            reversed(heard[len(heard) - rest :]),
            reversed(written[len(written) - rest :]),
            strict=True,
        )
    )
    replaced = heard[ahead : len(heard) - behind]
    new = written[ahead : len(written) - behind]
    if len(new) == len(replaced):
        middle = [_rewritten(word, piece) for word, piece in zip(replaced, new, strict=True)]
    else:
        from_s = heard[ahead - 1].end if ahead else min(start_s, _first_start(heard, start_s))
        until_s = heard[len(heard) - behind].start if behind else max(end_s, from_s)
        middle = list(_spread(new, from_s, max(from_s, until_s)))
    kept_ahead = zip(heard[:ahead], written[:ahead], strict=True)
    kept_behind = zip(heard[len(heard) - behind :], written[len(written) - behind :], strict=True)
    return (
        *(_rewritten(word, piece) for word, piece in kept_ahead),
        *middle,
        *(_rewritten(word, piece) for word, piece in kept_behind),
    )


def _parts(word: Word, pattern: re.Pattern[str]) -> Iterator[Word]:
    """A word as the pattern cuts it, its time shared out by characters."""
    pieces = pattern.findall(word.text)
    for piece, part in zip(pieces, _spread(pieces, word.start, word.end), strict=True):
        yield Word(piece, part.start, part.end, word.probability)


def _spread(pieces: Sequence[str], start_s: float, end_s: float) -> Iterator[Word]:
    """Words that share out a time by their characters."""
    lengths = [len(piece.strip()) for piece in pieces]
    step_s = (end_s - start_s) / max(1, sum(lengths))
    for piece, length, done in zip(pieces, lengths, accumulate(lengths), strict=True):
        begin_s = start_s + (done - length) * step_s
        yield Word(piece, begin_s, start_s + done * step_s, WRITTEN_PROBABILITY)


def _alike(pairs: Iterable[tuple[Word, str]]) -> int:
    """How many pairs from the first on are the same word, letter case aside."""
    return sum(1 for _ in takewhile(lambda pair: _same(pair[0].text, pair[1]), pairs))


def _same(heard: str, written: str) -> bool:
    return heard.strip().casefold() == written.strip().casefold()


def _rewritten(word: Word, piece: str) -> Word:
    """A heard word's time for what is written there now."""
    probability = word.probability if _same(word.text, piece) else WRITTEN_PROBABILITY
    return Word(piece, word.start, word.end, probability)


def _first_start(heard: Sequence[Word], otherwise_s: float) -> float:
    return heard[0].start if heard else otherwise_s
