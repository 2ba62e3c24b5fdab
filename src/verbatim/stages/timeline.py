"""Where decoded audio lies in time: timestamps against a count of samples."""

from __future__ import annotations

from typing import Final

START_TOLERANCE_S: Final = 0.005
"""Audio that starts later than this gets silence before it."""
GAP_TOLERANCE_S: Final = 0.1
"""Containers round timestamps and clocks drift; less than this is no gap."""
DAMAGE_TOLERANCE_S: Final = 0.005
"""After a piece that could not be decoded, the timestamps know better."""


class Timeline:
    """Turns timestamps into gaps, and forgives what is no gap.

    A timestamp ahead of the samples so far is a gap that players leave silent: a track that begins
    late, a pause, a lost piece. One that jumps back, or ahead by more than `max_gap_s`, is a new
    beginning (chained streams, a counter that wrapped): what follows is joined on.

    Args:
        origin_s: the timestamp at which the presentation starts; None takes the first one seen.
        max_gap_s: the longest gap that is believed.
    """

    def __init__(self, origin_s: float | None, max_gap_s: float) -> None:
        self._origin_s = origin_s
        self._max_gap_s = max_gap_s
        self._started = False

    def gap_s(self, stamp_s: float | None, position_s: float, *, damaged: bool = False) -> float:
        """Seconds of silence that belong before a frame; mostly 0.

        Args:
            stamp_s: the frame's timestamp, None where it has none.
            position_s: how much has come before it, silence included.
            damaged: pieces were lost just before it.
        """
        if stamp_s is None:
            return 0.0
        if self._origin_s is None:
            self._origin_s = stamp_s - position_s
        tolerance_s = DAMAGE_TOLERANCE_S if damaged else GAP_TOLERANCE_S
        if not self._started:
            tolerance_s = START_TOLERANCE_S
        self._started = True
        ahead_s = stamp_s - self._origin_s - position_s
        if abs(ahead_s) <= tolerance_s:
            return 0.0
        if 0 < ahead_s <= self._max_gap_s:
            return ahead_s
        self._origin_s += ahead_s
        return 0.0
