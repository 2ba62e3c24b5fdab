"""JSON from outside, as values that can be written down again."""

from __future__ import annotations

import json
from typing import Final, TypeAlias

ESCAPE: Final = "\\u"
"""Only so JSON can spell half of a surrogate pair, which UTF-8 cannot."""

Place: TypeAlias = tuple[int | str, ...]


class TornTextError(ValueError):
    """Some of the text is no text; `place` leads to it."""

    def __init__(self, place: Place) -> None:
        super().__init__("half of a surrogate pair is no text")
        self.place = place


def load_json(text: str | bytes) -> object:
    r"""Read JSON; bytes are UTF-8.

    What it says can be sent back: half of a surrogate pair, such as `\ud800`, is refused here.

    Raises:
        TornTextError: for that.
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    value: object = json.loads(text)
    if ESCAPE in text and (place := _torn(value)) is not None:
        raise TornTextError(place)
    return value


def _torn(value: object) -> Place | None:
    """The first place of text that cannot be written down; a name counts as where it stands."""
    if isinstance(value, str):
        return () if _is_torn(value) else None
    if isinstance(value, dict):
        if any(map(_is_torn, value)):
            return ()
        parts = list(value.items())
    else:
        parts = list(enumerate(value)) if isinstance(value, list) else []
    for name, part in parts:
        place = _torn(part)
        if place is not None:
            return (name, *place)
    return None


def _is_torn(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
