"""Text as the units that loops are looked for in: words, or characters where no spaces are."""

from __future__ import annotations

import re
from typing import Final

_UNIT: Final = re.compile(r"\s*(?:[぀-ヿ㐀-䶿一-鿿豈-﫿]|[^\s぀-ヿ㐀-䶿一-鿿豈-﫿]+)")
"""A word, or one character of a script without spaces, with the space before it."""


def split_units(text: str) -> list[str]:
    """Words and characters as they are written; joined, they are the text up to its last one."""
    return _UNIT.findall(text)


def normalise(text: str) -> str:
    """Text to compare: without punctuation, in small letters, with single spaces."""
    return re.sub(r"\W+", " ", text).strip().casefold()


def spoken_units(text: str) -> list[str]:
    """The units that are said, to compare; punctuation alone is none."""
    return [unit for unit in map(normalise, split_units(text)) if unit]
