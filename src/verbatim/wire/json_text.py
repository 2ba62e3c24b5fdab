"""JSON from outside, as values that can be written down again."""

from __future__ import annotations

import json


def load_json(text: str | bytes) -> object:
    r"""Read JSON; bytes are UTF-8.

    What it says can be sent back: half of a surrogate pair, which JSON can spell as `\ud800` and
    UTF-8 cannot, is refused here.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    value: object = json.loads(text)
    if "\\u" in text:
        # Raises UnicodeEncodeError, which is a ValueError.
        json.dumps(value, ensure_ascii=False).encode()
    return value
