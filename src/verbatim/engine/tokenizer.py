"""Whisper's tokenizer as the stages need it: ids, bytes and words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from verbatim.stages.prompts import SpecialTokens

_SYMBOLS: Final = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))",
    "[[", "]]", "{{", "}}", "♪♪", "♪♪♪",
)  # fmt: skip
"""What transcribers write around speech; never spoken (openai-whisper, `non_speech_tokens`)."""
_MUSIC: Final = "♩♪♫♬♭♮♯"
"""Several tokens each; their first is shared by their block only, so it alone is suppressed."""


def _byte_of_character() -> dict[str, int]:
    """The inverse of GPT-2's printable alphabet for bytes (Radford et al. 2019)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}


class WhisperTokenizer:
    """A model's `tokenizer.json`; immutable once loaded, safe from any thread."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = _byte_of_character()

    @classmethod
    def load(cls, folder: Path) -> WhisperTokenizer:
        """Read `tokenizer.json` from a model's folder."""
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")))

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the model's tokenizer has no token {token}")
        return int(found)

    @cached_property
    def special(self) -> SpecialTokens:
        """The ids of Whisper's control tokens in this vocabulary."""
        no_speech = self._tokenizer.token_to_id("<|nospeech|>")
        return SpecialTokens(
            start=self._id("<|startoftranscript|>"),
            end=self._id("<|endoftext|>"),
            previous=self._id("<|startofprev|>"),
            language_model=self._id("<|startoflm|>"),
            transcribe=self._id("<|transcribe|>"),
            translate=self._id("<|translate|>"),
            no_speech=no_speech if no_speech is not None else self._id("<|nocaptions|>"),
            no_timestamps=self._id("<|notimestamps|>"),
        )

    @cached_property
    def non_speech(self) -> tuple[int, ...]:
        """Tokens of speaker tags, brackets and notes, which Whisper is kept from writing."""
        # A hyphen or an apostrophe may stand inside a word, not at its start.
        found = {self.encode(" -")[0], self.encode(" '")[0]}
        for symbol in (*_SYMBOLS, *_MUSIC):
            for ids in (self.encode(symbol), self.encode(" " + symbol)):
                if len(ids) == 1 or symbol in _MUSIC:
                    found.add(ids[0])
        return tuple(sorted(found))

    def language_token(self, code: str) -> int | None:
        """The id of a language's token, None for an unknown language."""
        found = self._tokenizer.token_to_id(f"<|{code}|>")
        return None if found is None else int(found)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Codes of all languages that have a token, in the vocabulary's order.

        They lie between the start and the task tokens.
        """
        special = self.special
        first = min(special.translate, special.transcribe)
        written = (self._tokenizer.id_to_token(i) for i in range(special.start + 1, first))
        return tuple(token[2:-2] for token in written if token)

    def encode(self, text: str) -> list[int]:
        """Text without any special token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the text tokens; timestamps and control tokens are left out."""
        return self.token_bytes(t for t in tokens if t < self.special.end).decode(
            "utf-8", errors="replace"
        )

    def token_bytes(self, tokens: Iterable[int]) -> bytes:
        """The UTF-8 that text tokens stand for; one token may hold a part of a character."""
        data = bytearray()
        for token in tokens:
            written = self._tokenizer.id_to_token(token) or ""
            data.extend(self._bytes[character] for character in written)
        return bytes(data)

    def characters(self, tokens: Sequence[int]) -> list[tuple[str, tuple[int, ...]]]:
        """Text tokens grouped so that each group is whole characters: [(text, tokens), …]."""
        groups: list[tuple[str, tuple[int, ...]]] = []
        pending: list[int] = []
        for token in tokens:
            pending.append(token)
            try:
                text = self.token_bytes(pending).decode("utf-8")
            except UnicodeDecodeError:
                continue
            groups.append((text, tuple(pending)))
            pending = []
        if pending:
            text = self.token_bytes(pending).decode("utf-8", errors="replace")
            groups.append((text, tuple(pending)))
        return groups
