"""Whisper's multilingual tokens: the special ones by name, and which ones the corpus can produce."""

from __future__ import annotations

import random
from typing import Final

import torch
from torch import Tensor
from whisper.tokenizer import get_tokenizer

import corpus

TOKENIZER: Final = get_tokenizer(
    multilingual=True, num_languages=99, language="en", task="transcribe"
)
SOT: Final = TOKENIZER.sot
EOT: Final = TOKENIZER.eot
PREV: Final = TOKENIZER.sot_prev
NO_SPEECH: Final = TOKENIZER.no_speech
NO_TIMESTAMPS: Final = TOKENIZER.no_timestamps
TIME0: Final = TOKENIZER.timestamp_begin
LANGUAGE: Final = {code: TOKENIZER.to_language_token(code) for code in corpus.LANGUAGES}
VOCABULARY: Final = 51865
SECONDS_PER_TIMESTAMP: Final = 0.02
_DRAWS: Final = 60_000


def encode(text: str) -> list[int]:
    """A sentence's tokens, as they follow another sentence or a special token."""
    return TOKENIZER.encode(" " + text)


def time_token(seconds: float) -> int:
    """The timestamp token for a time in the window."""
    return TIME0 + round(seconds / SECONDS_PER_TIMESTAMP)


def used_tokens(seed: int = 0) -> Tensor:
    """(U,) sorted ids of the tokens that have an output row of their own."""
    rng = random.Random(seed)
    used = {SOT, EOT, PREV, NO_SPEECH, NO_TIMESTAMPS, *LANGUAGE.values()}
    used |= {TOKENIZER.transcribe, TOKENIZER.translate, *range(TIME0, VOCABULARY)}
    for _ in range(_DRAWS):
        for text in corpus.draw(rng).values():
            used.update(TOKENIZER.encode(text))
            used.update(encode(text))
    return torch.tensor(sorted(used))
