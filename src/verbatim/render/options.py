"""What a caller may choose about an answer, and what values it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Final, TypeAlias

from verbatim.stages.captions import CaptionLimits

JsonValue: TypeAlias = (
    str | int | float | bool | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
)
JsonObject: TypeAlias = dict[str, JsonValue]

FARTHEST: Final = 9999.0
"""JSON has no infinity; this is OpenAI's stand-in for the log probability of what cannot be."""
_TIME_DIGITS: Final = 3


class Granularity(StrEnum):
    """What verbose_json gives times of."""

    WORD = "word"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How an answer is written.

    Attributes:
        captions: limits of subtitles (srt, vtt, lrc).
        granularities: which lists verbose_json has.
        include_logprobs: give the log probability of each token in json, where the segments have
            them.
    """

    captions: CaptionLimits = field(default_factory=CaptionLimits)
    granularities: frozenset[Granularity] = frozenset({Granularity.SEGMENT})
    include_logprobs: bool = False


def seconds(value: float) -> float:
    """A time for JSON: milliseconds, not below zero, a number in any case."""
    return round(max(0.0, number(value)), _TIME_DIGITS)


def number(value: float) -> float:
    """A number that JSON can hold: `FARTHEST` for infinity, 0 for what is none."""
    if isfinite(value):
        return float(value)
    return FARTHEST if value > 0 else -FARTHEST if value < 0 else 0.0
