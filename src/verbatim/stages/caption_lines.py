"""A caption's text cut into lines: few, at good places, of about the same width."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from verbatim.stages.caption_text import Unit

SHAPE_COST: Final = 300.0
"""Of a line a whole line's width away from the width it should have, on the scale of breaks."""
LEAN: Final = 0.06
"""By how much the first line should be shorter, and the last longer, than the average."""


class LineCutter:
    """Cuts stretches of a row of units into lines.

    Args:
        units: none wider than a line.
        costs: (at least `len(units) - 1`) of ending a line after each.
        line_columns: what fits on a line.
    """

    def __init__(self, units: Sequence[Unit], costs: Sequence[float], line_columns: int) -> None:
        self._units = units
        self._costs = costs
        self._line_columns = line_columns
        self._edges = list(accumulate((unit.spaced + unit.columns for unit in units), initial=0))

    def columns(self, first: int, end: int) -> int:
        """Width of units `first` to `end` (exclusive) on one line."""
        return self._edges[end] - self._edges[first] - self._units[first].spaced

    def lines(self, first: int, end: int) -> tuple[str, ...]:
        """The text of these units, cut as `cut` says."""
        _, cuts = self.cut(first, end)
        return tuple(self._text(start, stop) for start, stop in pairwise(cuts))

    def cut(self, first: int, end: int) -> tuple[float, tuple[int, ...]]:
        """The best way to cut these units into the fewest lines that hold them.

        Returns:
            What it costs, and where each line begins and the last ends.
        """
        if self.columns(first, end) <= self._line_columns:
            return 0.0, (first, end)
        count = self._fewest(first, end)
        average = self.columns(first, end) / count
        best: dict[int, tuple[float, tuple[int, ...]]] = {first: (0.0, (first,))}
        for line in range(count):
            target = average * (1 + LEAN * (2 * line / (count - 1) - 1))
            found: dict[int, tuple[float, tuple[int, ...]]] = {}
            for start, (spent, cuts) in best.items():
                for stop in self._stops(start, end, lines_after=count - 1 - line):
                    misfit = (self.columns(start, stop) - target) / self._line_columns
                    cost = spent + SHAPE_COST * misfit * misfit
                    cost += self._costs[stop - 1] if stop < end else 0.0
                    if stop not in found or cost < found[stop][0]:
                        found[stop] = cost, (*cuts, stop)
            best = found
        return best[end]

    def _fewest(self, first: int, end: int) -> int:
        count, start = 1, first
        for stop in range(first + 1, end):
            if self.columns(start, stop + 1) > self._line_columns:
                count, start = count + 1, stop
        return count

    def _stops(self, start: int, end: int, lines_after: int) -> range:
        """Where a line may end (exclusive) so that what follows may still fit."""
        edges = self._edges
        fits = edges[start] + self._units[start].spaced + self._line_columns
        last = min(end - lines_after, bisect_right(edges, fits, start) - 1)
        # Each line break may swallow a space.
        must_hold = edges[end] - lines_after * (self._line_columns + 1)
        return range(max(start + 1, bisect_left(edges, must_hold, start, end)), last + 1)

    def _text(self, first: int, end: int) -> str:
        units = self._units[first:end]
        text = "".join(f" {unit.text}" if unit.spaced else unit.text for unit in units)
        return text.removeprefix(" ")
