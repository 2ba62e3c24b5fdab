"""Whisper's multilingual tokens: the special ones by name, and those the corpus can produce."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

import corpus
import torch
from speech import split_words
from torch import Tensor
from whisper.tokenizer import get_tokenizer

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


@lru_cache(50_000)
def _encode(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER.encode(text))


def encode(text: str) -> list[int]:
    """A sentence's tokens, as they follow another sentence or a special token."""
    return list(_encode(" " + text))


def time_token(seconds: float) -> int:
    """The timestamp token for a time in the window."""
    return int(TIME0) + round(seconds / SECONDS_PER_TIMESTAMP)


def used_tokens(seed: int = 0) -> Tensor:
    """(U,) sorted ids of the tokens that have an output row of their own."""
    rng, clip_rng = random.Random(seed), random.Random(seed + 1)
    used = {SOT, EOT, PREV, NO_SPEECH, NO_TIMESTAMPS, *LANGUAGE.values()}
    used |= {TOKENIZER.transcribe, TOKENIZER.translate, *range(TIME0, VOCABULARY)}
    for _ in range(_DRAWS):
        for language, text in corpus.draw(rng).items():
            used.update(_encode(text))
            used.update(encode(text))
            words = split_words(text, language)
            first = clip_rng.randrange(len(words))
            used.update(encode(text[words[first][0] :]))
            used.update(encode(text[: words[first][0] + len(words[first][1])]))
    return torch.tensor(sorted(used))
