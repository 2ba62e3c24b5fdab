"""An engine without a model: it says what it is told to. For testing everything around an engine.

It keeps the protocol to the letter (see the contract tests), so what works against it fails
against a real engine for real reasons only.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError
from verbatim.domain.transcript import Segment, TokenLogprob, WindowResult, Word
from verbatim.domain.units import FRAMES_PER_SECOND
from verbatim.engine.lengths import length_for
from verbatim.engine.protocol import EngineDescription

FAKE_DESCRIPTION: Final = EngineDescription(
    model="fake",
    languages=("en", "zh", "ko"),
    device="cpu",
    device_indexes=(0,),
    compute_type="float32",
    batch_size=4,
)
NUMBERS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SAMPLES_A_WORD: Final = 16_000
SURE_LOGPROB: Final = -0.1

Script = Callable[[Window], str]
"""What is said in a window; empty for nothing."""
Interruption = Callable[[Sequence[Window]], Awaitable[None]]
"""Awaited before windows are decoded: waits, to be slow; raises, to fail."""


def count_seconds(window: Window) -> str:
    """One number word for each second that was begun.

    The first word depends on the samples, so that different audio says different things.
    """
    first = zlib.crc32(window.samples.tobytes()) % len(NUMBERS)
    words = -(-len(window.samples) // SAMPLES_A_WORD)
    return " ".join(NUMBERS[(first + i) % len(NUMBERS)] for i in range(words))


async def _go_on(windows: Sequence[Window]) -> None:
    del windows


class FakeEngine:
    """An `Engine` that speaks by a script.

    Args:
        script: what is said in a window.
        interruption: awaited before each call's windows are decoded.
        description: what it says it is.
    """

    def __init__(
        self,
        script: Script = count_seconds,
        interruption: Interruption = _go_on,
        description: EngineDescription = FAKE_DESCRIPTION,
    ) -> None:
        self._script = script
        self._interruption = interruption
        self._description = description
        self.windows: list[Window] = []
        """All windows it was given, in order."""
        self.running = 0
        """Calls that have not ended."""
        self.closed = False

    def describe(self) -> EngineDescription:
        """What it says it is."""
        return self._description

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Say what the script tells.

        Raises:
            BadRequestError: a language that the description does not name.
        """
        self.windows += windows
        self.running += 1
        try:
            await self._interruption(windows)
        finally:
            self.running -= 1
        return [self._result(window) for window in windows]

    def memory_bytes(self) -> int:
        """None that matters."""
        return 0

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _result(self, window: Window) -> WindowResult:
        options = window.options
        if options.language not in (None, *self._description.languages):
            raise BadRequestError(
                f"The model {self._description.model} does not know the language "
                f"{options.language!r}.",
                param="language",
            )
        segments = spoken_segments(self._script(window), window)
        best = options.language or self._description.languages[0]
        return WindowResult(
            segments=segments,
            tail=None,
            tokens=tuple(token for segment in segments for token in segment.tokens),
            language=best,
            language_probability=1.0,
            language_probabilities=() if options.language else ((best, 1.0),),
            no_speech_prob=0.0 if segments else 1.0,
            avg_logprob=SURE_LOGPROB,
            compression_ratio=1.0,
            temperature=options.temperatures[0],
            advance_s=window.duration_s,
            encoded_s=length_for(window.duration_s, self._description.lengths_s),
        )


def spoken_segments(text: str, window: Window) -> tuple[Segment, ...]:
    """The text as one segment over the whole window, its words spread evenly."""
    words = text.split()
    if not words:
        return ()
    each_s = window.duration_s / len(words)
    spread = tuple(
        Word(f" {word}", round(i * each_s, 2), round((i + 1) * each_s, 2), 1.0)
        for i, word in enumerate(words)
    )
    segment = Segment(
        id=0,
        seek=int(window.start_s * FRAMES_PER_SECOND),
        start=0.0,
        end=window.duration_s,
        text=f" {' '.join(words)}",
        tokens=tuple(range(len(words))),
        temperature=window.options.temperatures[0],
        avg_logprob=SURE_LOGPROB,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )
    if window.options.word_timestamps:
        segment = replace(segment, words=spread)
    if window.options.token_logprobs:
        logprobs = tuple(
            TokenLogprob(word.text, SURE_LOGPROB, word.text.encode()) for word in spread
        )
        segment = replace(segment, logprobs=logprobs)
    return (segment,)
