"""Whether a decoded window is believed, tried again at a higher temperature, or was silence.

The rules of openai-whisper's `decode_with_fallback` (Radford et al. 2022, section 4.5), and one of
ours against text invented in silence.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from verbatim.domain.request import Gates


@dataclass(frozen=True, slots=True)
class Attempt:
    """One temperature's best hypothesis for a window."""

    tokens: tuple[int, ...]
    text: str
    temperature: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


class Verdict(Enum):
    """What to do with an attempt."""

    ACCEPT = auto()
    RETRY = auto()
    SILENCE = auto()


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes after zlib; repetition makes it large, "" gives 0."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def average_logprob(score: float, tokens: int, length_penalty: float) -> float:
    """Mean log probability a token, the end token counted, from a length-penalised score."""
    total = score * math.pow(tokens, length_penalty)
    return total / (tokens + 1)


def judge(attempt: Attempt, gates: Gates) -> Verdict:
    """Accept, retry or take for silence.

    A window counts as silent where the model says so and also doubts what it wrote; doubt alone,
    or repetition, asks for another temperature.
    """
    doubtful = gates.avg_logprob is not None and attempt.avg_logprob < gates.avg_logprob
    if _is_silence(attempt, gates, doubtful=doubtful):
        return Verdict.SILENCE
    repetitive = (
        gates.compression_ratio is not None and attempt.compression_ratio > gates.compression_ratio
    )
    return Verdict.RETRY if doubtful or repetitive else Verdict.ACCEPT


def _is_silence(attempt: Attempt, gates: Gates, *, doubtful: bool) -> bool:
    if gates.no_speech is None or attempt.no_speech_prob <= gates.no_speech:
        return False
    if doubtful or gates.avg_logprob is None:
        return True
    sure = gates.sure_no_speech is not None and attempt.no_speech_prob > gates.sure_no_speech
    return sure and attempt.avg_logprob < gates.avg_logprob / 2


def best_failure(attempts: Sequence[Attempt], gates: Gates) -> Attempt:
    """Of attempts that all failed, the most probable one that does not repeat itself."""
    limit = gates.compression_ratio
    calm = [a for a in attempts if limit is None or a.compression_ratio <= limit]
    return max(calm or attempts, key=lambda attempt: attempt.avg_logprob)
