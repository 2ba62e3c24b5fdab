"""A Whisper network that says what it is told to, and keeps account of what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np

import verbatim
from verbatim.domain.units import FRAMES_PER_SECOND, TIME_STEP_S
from verbatim.engine.model import Alignment, Array, Generation, SearchOptions, Storage
from verbatim.engine.tokenizer import WhisperTokenizer

TOKENIZER = WhisperTokenizer.load(Path(verbatim.__file__).parent / "assets" / "demo-model")


@dataclass(frozen=True)
class Said:
    """What comes of one window; `tokens` as the model writes them."""

    tokens: tuple[int, ...]
    logprob: float = -0.2
    no_speech: float = 0.0


def said(
    text: str, start: float, end: float, logprob: float = -0.2, no_speech: float = 0.0
) -> Said:
    """One segment with its times."""
    written = TOKENIZER.encode(f" {text}")
    return Said((at(start), *written, at(end)), logprob, no_speech)


def at(time_s: float) -> int:
    """The token of a time."""
    return TOKENIZER.special.first_timestamp + round(time_s / TIME_STEP_S)


@dataclass(frozen=True)
class Heard:
    """A window as the network gets it.

    Attributes:
        duration_s: of its audio, by which a script knows it.
        length_s: that was encoded.
    """

    duration_s: float
    length_s: float


@dataclass(frozen=True)
class Encoded:
    """The encoder's output: only whose it is."""

    rows: tuple[Heard, ...]
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


@dataclass(frozen=True)
class WarpingPath:
    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


Script = Callable[[Heard, float], Said]
"""What is said in a window at a temperature."""


@dataclass
class ScriptedModel:
    """A `WhisperModel` that follows a script.

    Attributes:
        languages: a window's languages with their probabilities, best first.
        encoded: rows of each `encode` call.
        generated: rows of each `generate` call, with the temperature.
        aligned: rows of each `align` call, with their frames.
    """

    script: Script
    languages: Callable[[Heard], list[tuple[str, float]]] = lambda _: [("en", 0.9), ("ko", 0.1)]
    encoded: list[tuple[Heard, ...]] = field(default_factory=list)
    generated: list[tuple[tuple[Heard, ...], float]] = field(default_factory=list)
    aligned: list[tuple[tuple[Heard, ...], tuple[int, ...]]] = field(default_factory=list)

    def encode(self, mel: Array) -> Storage:
        length_s = mel.shape[2] / FRAMES_PER_SECOND
        filled = [int(np.count_nonzero(row.any(axis=0))) for row in mel]
        rows = tuple(Heard(frames / FRAMES_PER_SECOND, length_s) for frames in filled)
        self.encoded.append(rows)
        return Encoded(rows)

    def select(self, encoded: Storage, rows: Sequence[int]) -> Storage:
        chosen = _rows(encoded)
        return Encoded(tuple(chosen[row] for row in rows))

    def detect_language(self, encoded: Storage) -> Sequence[Sequence[tuple[str, float]]]:
        return [self.languages(row) for row in _rows(encoded)]

    def generate(
        self, encoded: Storage, prompts: Sequence[Sequence[int]], **options: Unpack[SearchOptions]
    ) -> Sequence[Generation]:
        greedy = options["sampling_topk"] == 1
        temperature = 0.0 if greedy else options["sampling_temperature"]
        rows = _rows(encoded)
        assert len(rows) == len(prompts)
        self.generated.append((rows, temperature))
        return [_row(self.script(row, temperature)) for row in rows]

    def align(
        self,
        encoded: Storage,
        start_sequence: Sequence[int],
        text_tokens: Sequence[Sequence[int]],
        num_frames: Sequence[int],
    ) -> Sequence[Alignment]:
        rows = _rows(encoded)
        self.aligned.append((rows, tuple(num_frames)))
        return [
            WarpingPath([(token, 5 * token) for token in range(len(each) + 1)], [0.9] * len(each))
            for each in text_tokens
        ]


def _rows(encoded: Storage) -> tuple[Heard, ...]:
    assert isinstance(encoded, Encoded)
    return encoded.rows


def _row(spoken: Said) -> Row:
    tokens = len(spoken.tokens)
    score = spoken.logprob * (tokens + 1) / tokens
    return Row([list(spoken.tokens)], [score], spoken.no_speech)
