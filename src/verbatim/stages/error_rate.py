"""How far two texts are apart: word error rate, or character error rate where spaces part no words.

Edits are counted by G. Myers' bit-parallel algorithm (J. ACM 46, 1999) in the form of H. Hyyrö
(2003) for the Levenshtein distance: a column of the table is one integer, so that a text of ten
thousand words takes a fraction of a second.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from verbatim.stages.language_names import WRITTEN_WITHOUT_SPACES

COUNTED_IN_CHARACTERS: Final = WRITTEN_WITHOUT_SPACES | {"ko"}
"""Languages whose error rates are given in characters; Korean's spaces are a matter of taste."""
_APOSTROPHES: Final = "'’"
_PUNCTUATION_SPACES_CONTROLS: Final = "PSZC"
"""First letters of the Unicode categories that do not count."""


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edits that lead from one text to another, and the length of the first.

    Attributes:
        edits: words (or characters) that were replaced, left out or added.
        length: words (or characters) of the text that is taken for right.
    """

    edits: int
    length: int

    @property
    def rate(self) -> float:
        """Edits a word; 0 for two empty texts, infinite where only the first is empty."""
        if not self.edits:
            return 0.0
        return self.edits / self.length if self.length else float("inf")

    def __add__(self, other: ErrorRate) -> ErrorRate:
        return ErrorRate(self.edits + other.edits, self.length + other.length)


def error_rate(expected: str, found: str, language: str) -> ErrorRate:
    """Compare two texts of one language; case, punctuation and spacing do not count."""
    right, heard = error_units(expected, language), error_units(found, language)
    return ErrorRate(edit_distance(right, heard), len(right))


def error_units(text: str, language: str) -> list[str]:
    """What errors are counted in: the words of a text, or its characters."""
    plain = "".join(_counted(c) for c in unicodedata.normalize("NFKC", text).casefold())
    words = [word for word in (part.strip("'") for part in plain.split()) if word]
    return list("".join(words)) if language in COUNTED_IN_CHARACTERS else words


def _counted(character: str) -> str:
    if character in _APOSTROPHES:
        return "'"
    ignored = unicodedata.category(character)[0] in _PUNCTUATION_SPACES_CONTROLS
    return " " if ignored else character


def edit_distance(expected: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """The least number of replaced, added and left out units (Levenshtein)."""
    if not expected:
        return len(found)
    places: defaultdict[Hashable, int] = defaultdict(int)
    for place, unit in enumerate(expected):
        places[unit] |= 1 << place
    everywhere = (1 << len(expected)) - 1
    last = 1 << (len(expected) - 1)
    # Where the distance rises, and where it falls, from one place of a column to the next.
    rises, falls = everywhere, 0
    distance = len(expected)
    for unit in found:
        same = places.get(unit, 0)
        kept = ((((same & rises) + rises) ^ rises) | same | falls) & everywhere
        up = falls | (everywhere & ~(kept | rises))
        down = rises & kept
        distance += bool(up & last) - bool(down & last)
        up, down = ((up << 1) | 1) & everywhere, (down << 1) & everywhere
        rises, falls = down | (everywhere & ~(kept | up)), up & kept
    return distance
