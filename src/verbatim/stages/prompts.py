"""The token sequence that a window's decoding starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verbatim.domain.request import DecodeOptions, Task
from verbatim.domain.units import MAX_CONTEXT_TOKENS

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids of Whisper's control tokens in one vocabulary."""

    start: int
    end: int
    previous: int
    language_model: int
    transcribe: int
    translate: int
    no_speech: int
    no_timestamps: int

    @property
    def first_timestamp(self) -> int:
        """The token of 0.00 s; each one after it is 20 ms later."""
        return self.no_timestamps + 1

    @property
    def never_written(self) -> tuple[int, ...]:
        """Control tokens that no transcript contains."""
        return (
            self.transcribe,
            self.translate,
            self.start,
            self.previous,
            self.language_model,
            self.no_speech,
        )


def start_sequence(
    special: SpecialTokens, language_token: int | None, task: Task
) -> tuple[int, ...]:
    """Start, language and task; the start alone for an English-only model (no language token)."""
    if language_token is None:
        return (special.start,)
    task_token = special.translate if task is Task.TRANSLATE else special.transcribe
    return (special.start, language_token, task_token)


def build_prompt(
    special: SpecialTokens,
    encode: Encode,
    options: DecodeOptions,
    start: Sequence[int],
    context_tokens: Sequence[int] = (),
) -> tuple[int, ...]:
    """Hotwords and context, the start sequence, then the prefix.

    What is too long loses its oldest tokens (context) or its last (hotwords, prefix), each within
    half of the decoder's length, as in openai-whisper's `DecodingTask._get_initial_tokens` and
    faster-whisper's hotwords; a prefix takes the place of hotwords.
    """
    prompt: list[int] = []
    initial = encode(" " + options.initial_prompt.strip()) if options.initial_prompt else []
    context = [*initial, *context_tokens][-MAX_CONTEXT_TOKENS:]
    hotwords = options.hotwords.strip() if options.hotwords and not options.prefix else ""
    if context or hotwords:
        prompt.append(special.previous)
        if hotwords:
            prompt.extend(encode(" " + hotwords)[:MAX_CONTEXT_TOKENS])
        prompt.extend(context)
    prompt.extend(start)
    if not options.timestamps:
        prompt.append(special.no_timestamps)
    if options.prefix:
        if options.timestamps:
            prompt.append(special.first_timestamp)
        prompt.extend(encode(" " + options.prefix.strip())[:MAX_CONTEXT_TOKENS])
    return tuple(prompt)
