"""What is made of measured times, and the check that equal work was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")


class UnequalWorkError(Exception):
    """A contender did not do the work that it was given."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and the least and the most."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Expected:
    """The work of a job.

    Attributes:
        tokens: that each window is decoded to.
        windows: how many there are; None where each contender cuts by its defaults.
    """

    tokens: int
    windows: int | None


def spread(values: Sequence[float]) -> Spread:
    """Of one value for each round.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("there is nothing to take the median of")
    return Spread(median(values), min(values), max(values))


def speeds(walls_s: Sequence[float], audio_s: float) -> list[float]:
    """Each round in multiples of real time."""
    return [audio_s / wall_s for wall_s in walls_s]


def ratios(walls_s: Sequence[float], reference_s: Sequence[float]) -> list[float]:
    """How many times as fast as the reference, round by round.

    Rounds are compared with their neighbours, so that a machine that becomes slower in the course
    of a run does not change the result. Rounds that only one of both has are left out.
    """
    return [theirs / ours for ours, theirs in zip(walls_s, reference_s, strict=False)]


def interleaved(rounds: Mapping[T, int]) -> Iterator[T]:
    """Whose turn it is: everybody in the first round, then whoever has a second one, and so on.

    Args:
        rounds: how many each contender has, in the order of their turns.
    """
    for number in range(max(rounds.values(), default=0)):
        yield from (contender for contender, own in rounds.items() if number < own)


def check_equal_work(tokens: Sequence[int], expected: Expected) -> None:
    """See that a job was done as it was asked for.

    Args:
        tokens: of each window.
        expected: the work.

    Raises:
        UnequalWorkError: another number of windows, or of tokens in any of them.
    """
    if expected.windows is not None and len(tokens) != expected.windows:
        raise UnequalWorkError(
            f"it did other work: {len(tokens)} windows instead of {expected.windows}"
        )
    if not tokens:
        raise UnequalWorkError("it did other work: no window at all")
    other = Counter(count for count in tokens if count != expected.tokens)
    if other:
        found = ", ".join(f"{times} of {count}" for count, times in sorted(other.items()))
        raise UnequalWorkError(
            f"it did other work: not {expected.tokens} tokens in each window, but {found}"
        )
