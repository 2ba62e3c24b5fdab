"""Whisper's tokens for the random models: those of the bundled demo model are the real ones."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any, Final

from benchmarks.random_weights import END_OF_TEXT
from benchmarks.shapes import Shape
from verbatim.engine.tokenizer import WhisperTokenizer

NEWER_LANGUAGE: Final = "<|yue|>"
"""The language that large-v3 added, as the last one."""
AFTER_LANGUAGES: Final = "<|translate|>"
_V2_TOKENS: Final = 51865
_NO_TIMESTAMPS: Final = "<|notimestamps|>"
_WORD: Final = re.compile(" [a-z]{2,4}")


def bundled_tokenizer() -> WhisperTokenizer:
    """Whisper's tokenizer; text tokens are the same for all multilingual models."""
    return WhisperTokenizer.load(_folder())


def word_tokens() -> list[int]:
    """Tokens that are a short word with the space before it, in the vocabulary's order."""
    tokenizer = bundled_tokenizer()
    texts = ((token, tokenizer.decode([token])) for token in range(END_OF_TEXT))
    return [token for token, text in texts if _WORD.fullmatch(text)]


def tokenizer_json(shape: Shape) -> dict[str, Any]:
    """The contents of `tokenizer.json` for a shape's vocabulary."""
    source = _folder() / "tokenizer.json"
    contents: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    if shape.vocabulary == _V2_TOKENS:
        return contents
    added = contents["added_tokens"]
    first = next(token["id"] for token in added if token["content"] == AFTER_LANGUAGES)
    for token in added:
        token["id"] += token["id"] >= first
    added.append({**added[0], "id": first, "content": NEWER_LANGUAGE})
    added.sort(key=lambda token: token["id"])
    return contents


def tokens_in_order(contents: dict[str, Any], shape: Shape) -> list[str]:
    """Every token as it is written in `tokenizer.json`, by its id."""
    named: dict[int, str] = {i: token for token, i in contents["model"]["vocab"].items()}
    named |= {token["id"]: token["content"] for token in contents["added_tokens"]}
    return [named[i] for i in range(shape.vocabulary)]


def special_ids(contents: dict[str, Any]) -> dict[str, int]:
    """The ids of the special tokens that are no timestamps, by how they are written."""
    last = next(t["id"] for t in contents["added_tokens"] if t["content"] == _NO_TIMESTAMPS)
    return {
        token["content"]: token["id"]
        for token in contents["added_tokens"]
        if END_OF_TEXT <= token["id"] <= last
    }


def language_ids(contents: dict[str, Any]) -> list[int]:
    """The ids of the languages: they lie between the start and the task tokens."""
    special = special_ids(contents)
    return list(range(special["<|startoftranscript|>"] + 1, special[AFTER_LANGUAGES]))


def _folder() -> Path:
    return Path(str(resources.files("verbatim"))) / "assets" / "demo-model"
