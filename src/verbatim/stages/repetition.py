"""Loops: text that a model repeats although nobody said it again.

The compression gate finds long loops in a window; what passes it, or outlives every temperature, is
collapsed here. People do repeat themselves, so short repeats stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_UNIT: Final = 24
"""Units (words, or characters without spaces) in the longest loop body looked for."""
_ALLOWED_REPEATS: Final = ((1, 7), (2, 5), (4, 4))
"""Up to how often a body of at least so many units may stand in a row."""
LONG_BODY_REPEATS: Final = 3
_LONG_BODY: Final = 8


@dataclass(frozen=True, slots=True)
class Loop:
    """`repeats` copies of units[start : start + length] in a row."""

    start: int
    length: int
    repeats: int

    @property
    def end(self) -> int:
        """The place after the last copy."""
        return self.start + self.length * self.repeats


def allowed_repeats(length: int) -> int:
    """How often in a row a body of `length` units is believed."""
    if length >= _LONG_BODY:
        return LONG_BODY_REPEATS
    return min(repeats for shortest, repeats in _ALLOWED_REPEATS if length >= shortest)


def find_loops(
    units: Sequence[str],
    allowed: Callable[[int], int] = allowed_repeats,
    longest: int = LONGEST_UNIT,
) -> list[Loop]:
    """Loops in order, not overlapping; of several readings the shortest body wins.

    Args:
        units: words or characters, normalised as the caller wants them compared.
        allowed: how often in a row a body of so many units is believed.
        longest: units in the longest body looked for.
    """
    loops: list[Loop] = []
    at = 0
    while at < len(units):
        loop = _loop_at(units, at, allowed, longest)
        if loop:
            loops.append(loop)
            at = loop.end
        else:
            at += 1
    return loops


def _loop_at(
    units: Sequence[str], start: int, allowed: Callable[[int], int], longest: int
) -> Loop | None:
    rest = len(units) - start
    for length in range(1, min(longest, rest // 2) + 1):
        # Most places are ruled out by one comparison.
        if units[start] != units[start + length]:
            continue
        repeats = 1
        while (
            start + (repeats + 1) * length <= len(units)
            and units[start : start + length]
            == units[start + repeats * length : start + (repeats + 1) * length]
        ):
            repeats += 1
        if repeats > allowed(length):
            return Loop(start, length, repeats)
    return None


def without_loops(units: Sequence[str]) -> list[int]:
    """Places of the units that stay: of each loop the first copy."""
    gone: set[int] = set()
    for loop in find_loops(units):
        gone.update(range(loop.start + loop.length, loop.end))
    return [place for place in range(len(units)) if place not in gone]
