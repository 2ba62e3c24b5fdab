"""Word times and token probabilities of decoded windows, by one alignment pass for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.audio import Window
from verbatim.domain.transcript import Segment, TokenLogprob, WindowResult, Word
from verbatim.domain.units import HOP_SAMPLES
from verbatim.engine.model import Alignment, Storage, WhisperModel
from verbatim.engine.tokenizer import WhisperTokenizer
from verbatim.stages.language_names import WRITTEN_WITHOUT_SPACES
from verbatim.stages.word_timing import (
    group_words,
    merge_punctuation,
    time_words,
    token_starts,
    trim_pauses,
)

_SMALLEST_PROBABILITY: Final = 1e-10


class Aligner:
    """Runs the model's alignment over the text of windows that were decoded."""

    def __init__(self, model: WhisperModel, tokenizer: WhisperTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def align(
        self,
        encoded: Storage,
        results: Sequence[WindowResult],
        windows: Sequence[Window],
        start: tuple[int, ...],
    ) -> list[WindowResult]:
        """Results with words, token log probabilities, or both, as each window asks.

        Args:
            encoded: the encoder's output of these windows, (B, T, D).
            results: what was decoded, one for each row.
            windows: what it was decoded from.
            start: the start sequence that all of them were decoded with.
        """
        end = self._tokenizer.special.end
        texts = [
            [token for segment in _all(result) for token in segment.tokens if token < end]
            for result in results
        ]
        alignments = self._model.align(
            encoded,
            list(start),
            texts,
            [max(1, len(window.samples) // HOP_SAMPLES) for window in windows],
        )
        return [
            self._one(result, window, alignment)
            for result, window, alignment in zip(results, windows, alignments, strict=True)
        ]

    def _one(self, result: WindowResult, window: Window, alignment: Alignment) -> WindowResult:
        if not alignment.alignments:
            return result
        starts = token_starts(np.array(alignment.alignments))
        segments: list[Segment] = []
        at = 0
        for segment in _all(result):
            tokens = tuple(t for t in segment.tokens if t < self._tokenizer.special.end)
            probabilities = alignment.text_token_probs[at : at + len(tokens)]
            timed = starts[at : at + len(tokens) + 1]
            at += len(tokens)
            if not tokens or len(timed) < 2:
                segments.append(segment)
                continue
            changed = segment
            if window.options.word_timestamps:
                words = self._words(result.language, tokens, timed, probabilities)
                changed = _fit(changed, words)
            if window.options.token_logprobs:
                changed = replace(changed, logprobs=self._logprobs(tokens, probabilities))
            segments.append(changed)
        closed = len(result.segments)
        tail = segments[closed] if result.tail else None
        advance = result.advance_s
        if window.options.word_timestamps and not result.heard_out and result.segments:
            last = segments[closed - 1]
            # Where words are known, the next window begins after the last of them.
            advance = last.words[-1].end if last.words and last.words[-1].end > 0 else advance
        return replace(result, segments=tuple(segments[:closed]), tail=tail, advance_s=advance)

    def _words(
        self,
        language: str,
        tokens: tuple[int, ...],
        starts: NDArray[np.float64],
        probabilities: Sequence[float],
    ) -> list[Word]:
        spellings = group_words(
            self._tokenizer.characters(tokens), spaced=language not in WRITTEN_WITHOUT_SPACES
        )
        return trim_pauses(merge_punctuation(time_words(spellings, starts, probabilities)))

    def _logprobs(
        self, tokens: tuple[int, ...], probabilities: Sequence[float]
    ) -> tuple[TokenLogprob, ...]:
        logprobs: list[TokenLogprob] = []
        for token, probability in zip(tokens, probabilities, strict=False):
            data = self._tokenizer.token_bytes([token])
            logprob = math.log(max(probability, _SMALLEST_PROBABILITY))
            logprobs.append(TokenLogprob(data.decode("utf-8", errors="replace"), logprob, data))
        return tuple(logprobs)


def _all(result: WindowResult) -> tuple[Segment, ...]:
    return result.segments if result.tail is None else (*result.segments, result.tail)


def _fit(segment: Segment, words: list[Word]) -> Segment:
    """The segment with its words, beginning and ending with them."""
    spoken = tuple(word for word in words if word.text)
    if not spoken:
        return replace(segment, words=())
    return replace(
        segment, words=spoken, start=spoken[0].start, end=max(spoken[-1].end, spoken[0].start)
    )
