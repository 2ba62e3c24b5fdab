"""Which windows gain from being decoded together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions, Task
from verbatim.domain.units import MAX_CONTEXT_TOKENS
from verbatim.engine.lengths import length_for

REMEMBERED_OPTIONS: Final = 1024


@lru_cache(maxsize=REMEMBERED_OPTIONS)
def search_options(options: DecodeOptions) -> DecodeOptions:
    """What all rows of one `generate` call must share; the rest is in each row's own prompt.

    Remembered, because every window asks and most have equal options.
    """
    return replace(
        options,
        language=None,
        candidate_languages=(),
        task=Task.TRANSCRIBE,
        initial_prompt=None,
        hotwords=None,
        word_timestamps=False,
        token_logprobs=False,
        provisional=False,
    )


def batch_key(window: Window, lengths_s: Sequence[float]) -> Hashable:
    """Equal for windows that an engine decodes in one go, as far as can be told without a model.

    Engines take any mix of windows; those of different keys only gain nothing from each other.
    The length of a prompt is known to the tokenizer alone, so equal texts stand for equal lengths.

    Args:
        window: what is to be decoded.
        lengths_s: see `EngineDescription.lengths_s`.
    """
    options = window.options
    return (
        search_options(options),
        options.initial_prompt,
        options.hotwords,
        min(len(window.context_tokens), MAX_CONTEXT_TOKENS),
        length_for(window.duration_s, lengths_s),
    )
