"""What captions are made of: clean text, its width, and the units that a line break keeps whole.

Width is counted in columns: a full-width character (East Asian Width W or F: Chinese characters,
kana, Hangul, full-width punctuation, emoji) takes two, a mark that combines with the character
before it none, everything else one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from importlib import resources
from itertools import accumulate, chain, pairwise
from math import ceil
from typing import Final

import budoux

from verbatim.stages.script import to_simplified

ZERO_WIDTH_SPACE: Final = "\u200b"
"""Invisible; Khmer and Burmese text marks words with it."""
WIDE_COLUMNS: Final = 2

_TO_SPACE: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
"""Control characters, and the separators that some readers take for an end of line."""
_DROPPED: Final = (0xAD, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Soft hyphen, word joiner, byte-order mark; directional overrides, which leak into other lines."""
_CLEANING: Final = dict(chain(((c, " ") for c in _TO_SPACE), ((c, None) for c in _DROPPED)))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MERGED: Final = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff\U0001f3fb-\U0001f3ff]")
"""Vowels and finals of Hangul in pieces, and skin tones: drawn into the character before."""

_KANA: Final = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_HAN: Final = re.compile("[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_THAI: Final = re.compile("[\u0e01-\u0e5b]")
_HANGUL: Final = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_UNSPACED: Final = re.compile(f"{_KANA.pattern}|{_HAN.pattern}|{_THAI.pattern}")
"""Scripts that put no space between words, of which we know where words end."""

CLOSING: Final = frozenset(
    ",.!?:;%…‥)]}»›”’\"'"
    + "、。，．！？：；・％）］｝〉》」』】〕〗〙〟｠｡｣､･°′″℃"
    + "ー々ヽヾゝゞ〻〜～"
    "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ" + "؟،؛۔।॥။၊།፣።ๆฯ"
)
"""What no line begins with (JIS X 4051's kinsoku, and the same for other scripts)."""
OPENING: Final = frozenset("([{«‹“‘" + "（［｛〈《「『【〔〖〘〝｟｢" + "¿¡$£€¥＄￥#＃№")
"""What no line ends with."""
SENTENCE_ENDS: Final = frozenset(".!?…。．！？｡؟۔।॥።။។։")
_STOPS: Final = frozenset("、。，．！？；：｡､")
"""Full-width marks after which a line may always end."""
_DASHES: Final = frozenset("-–—―−")
_AFTER_DASH: Final = re.compile(r"(?<=\w—)(?=\w)|(?<=\w--)(?=\w)")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Mn", "Mc", "Me", "Zl", "Zp", "Zs"})
_ZERO_WIDTH_JOINER: Final = "\u200d"


class Writing(Enum):
    """How a character is written, as far as line breaks care."""

    HAN = "han"
    KANA = "kana"
    HANGUL = "hangul"
    THAI = "thai"
    OTHER = "other"


_WRITINGS: Final = (
    (_HAN, Writing.HAN),
    (_KANA, Writing.KANA),
    (_HANGUL, Writing.HANGUL),
    (_THAI, Writing.THAI),
)


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that stays on one line: a word, or a phrase of a script without spaces.

    Attributes:
        text: never empty, no space at either end.
        columns: its width.
        spaced: whether a space parts it from the unit before.
        torn: it goes on a word that was too long for a line, so a break before it is a last resort.
    """

    text: str
    columns: int
    spaced: bool
    torn: bool = False


def one_line(text: str) -> str:
    """The text without anything that could start a new line or leak out of its own.

    Control characters and line separators become spaces, runs of white space one space; invisible
    characters without meaning are dropped. What the eye sees stays.
    """
    cleaned = _SURROGATE.sub("\ufffd", text).translate(_CLEANING)
    return " ".join(cleaned.split())


def visible(text: str) -> bool:
    """Whether there is anything to see in it besides marks on nothing."""
    return any(unicodedata.category(char) not in _UNSEEN for char in text)


def compact(text: str) -> str:
    """The text without its spaces: what of it may never be lost."""
    return "".join(text.replace(ZERO_WIDTH_SPACE, "").split())


@lru_cache(maxsize=8192)
def _char_columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"} or _MERGED.match(char):
        return 0
    return WIDE_COLUMNS if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def columns(text: str) -> int:
    """Width of the text in columns."""
    width = sum(map(_char_columns, text))
    if _ZERO_WIDTH_JOINER in text:  # joined emoji are drawn as one
        joined = (right for left, right in pairwise(text) if left == _ZERO_WIDTH_JOINER)
        width -= sum(_char_columns(char) for char in joined if _char_columns(char) > 1)
    return width


def mostly_wide(text: str) -> bool:
    """Whether full-width characters take at least half of the text's width.

    Such text is laid out by the limits for Chinese, Japanese and Korean.
    """
    widths = [_char_columns(char) for char in text if not char.isspace()]
    return 2 * sum(width for width in widths if width == WIDE_COLUMNS) >= max(1, sum(widths))


def writing_of(char: str) -> Writing:
    """What a character belongs to."""
    return next((writing for found, writing in _WRITINGS if found.match(char)), Writing.OTHER)


def spoken_language(text: str, language: str | None) -> str | None:
    """The language given, unless the text has kana: then Japanese."""
    return "ja" if _KANA.search(text) else language


def space_between(before: str, after: str) -> bool:
    """Whether a space goes between two texts that were not one: not after full-width punctuation.

    Between two Chinese or Japanese texts without punctuation, it stands for that.
    """
    last, first = before[-1], after[0]
    return first not in _STOPS and (last.isalnum() or _char_columns(last) != WIDE_COLUMNS)


def split_units(text: str, line_columns: int, word_ends: frozenset[int] | None) -> list[Unit]:
    """Cut clean text into units; one wider than `line_columns` is torn into pieces that fit.

    Args:
        text: as `one_line` gives it.
        line_columns: what fits on a line, at least `WIDE_COLUMNS`.
        word_ends: where the recogniser's words end, in characters of `compact(text)`; units of
            scripts without spaces end only there. None where that is not known.
    """
    units: list[Unit] = []
    for phrase, spaced, bound in _phrases(text, word_ends):
        width = columns(phrase)
        if units and not width:
            units[-1] = _extended(units[-1], phrase)
        elif units and bound and units[-1].columns + spaced + width <= line_columns:
            units[-1] = _extended(units[-1], f" {phrase}" if spaced else phrase)
        elif width <= line_columns:
            units.append(Unit(phrase, width, spaced))
        else:
            pieces = _torn(phrase, line_columns)
            units.append(Unit(pieces[0], columns(pieces[0]), spaced))
            units.extend(Unit(piece, columns(piece), False, torn=True) for piece in pieces[1:])
    return units


def _extended(unit: Unit, text: str) -> Unit:
    return replace(unit, text=unit.text + text, columns=unit.columns + columns(text))


def _phrases(text: str, word_ends: frozenset[int] | None) -> Iterator[tuple[str, bool, bool]]:
    """Words and phrases: the text, whether a space comes before, whether it is bound to the last.

    Bound are stray punctuation, what follows a stray opening mark, and what the recogniser heard
    as one word with it.
    """
    japanese = bool(_KANA.search(text))
    done = 0
    last_char = ""
    opened = False
    for chunk, spaced in _chunks(text):
        for index, phrase in enumerate(_semantic(chunk, japanese=japanese)):
            closes = _closes(phrase, last_char)
            if index == 0:
                bound = opened or closes
            else:
                bound = word_ends is not None and done not in word_ends
            yield phrase, spaced and index == 0, bound
            done += len(phrase)
            last_char = phrase[-1]
            opened = not closes and _opens(phrase)


def _chunks(text: str) -> Iterator[tuple[str, bool]]:
    """What spaces part, and whether it was a visible one that parts it from the chunk before.

    What cannot be seen goes with what follows it.
    """
    spaced = False
    unseen = ""
    for part in text.split(" "):
        for piece in filter(None, part.split(ZERO_WIDTH_SPACE)):
            chunk = unseen + piece
            if visible(chunk):
                yield chunk, spaced
                spaced, unseen = False, ""
            else:
                unseen = chunk
        spaced = True
    if unseen:
        yield unseen, False


def _stray(phrase: str) -> bool:
    return not any(char.isalnum() for char in phrase)


def _opens(phrase: str) -> bool:
    """Whether it is a mark alone that goes with what follows."""
    return _stray(phrase) and (phrase[-1] in OPENING or phrase[-1] in _DASHES)


def _closes(phrase: str, last_char: str) -> bool:
    """Whether it is a mark alone that goes with what came before: a dash not after a sentence."""
    if not _stray(phrase):
        return False
    if phrase[0] in _DASHES:
        return bool(last_char) and last_char not in SENTENCE_ENDS
    return phrase[0] in CLOSING


def _semantic(chunk: str, *, japanese: bool) -> Iterator[str]:
    """A chunk without spaces, cut where a line may end."""
    if _HANGUL.search(chunk) or not _UNSPACED.search(chunk):
        yield from _AFTER_DASH.split(chunk)
        return
    if _THAI.search(chunk):
        phrases = _parser("th").parse(chunk)
    elif japanese:
        phrases = _parser("ja").parse(chunk)
    else:  # the model for simplified characters is the better one
        phrases = _parser("zh-hans").parse(to_simplified(chunk))
    ends = set(accumulate(map(len, phrases)))
    start = 0
    for end in range(1, len(chunk)):
        left, right = chunk[end - 1], chunk[end]
        wanted = end in ends or left in _STOPS
        if wanted and _breakable(left, right) and visible(chunk[start:end]):
            yield chunk[start:end]
            start = end
    yield chunk[start:]


@lru_cache(maxsize=3)
def _parser(name: str) -> budoux.Parser:
    model = resources.files(budoux) / "models" / f"{name}.json"
    return budoux.Parser(json.loads(model.read_text(encoding="utf-8")))


def _breakable(left: str, right: str) -> bool:
    """Whether a line may end between two characters of a script without spaces."""
    if right in CLOSING or left in OPENING or _joins(left, right):
        return False
    return _without_spaces(left) or _without_spaces(right)


def _without_spaces(char: str) -> bool:
    return bool(_UNSPACED.match(char)) or _char_columns(char) == WIDE_COLUMNS


def _joins(left: str, right: str) -> bool:
    """Whether the eye sees one character in the two."""
    drawn_into = _char_columns(right) == 0 or unicodedata.category(right) == "Mc"
    return drawn_into or left == _ZERO_WIDTH_JOINER


def _torn(phrase: str, line_columns: int) -> list[str]:
    """Pieces of at most `line_columns`, of about the same width; no character comes apart."""
    clusters = [phrase[0]]
    for left, right in pairwise(phrase):
        if _joins(left, right) and columns(clusters[-1] + right) <= line_columns:
            clusters[-1] += right
        else:
            clusters.append(right)
    width = columns(phrase)
    target = ceil(width / ceil(width / line_columns))
    pieces = [""]
    for cluster in clusters:
        if pieces[-1] and columns(pieces[-1] + cluster) > min(line_columns, target + 1):
            pieces.append("")
        pieces[-1] += cluster
    return pieces
