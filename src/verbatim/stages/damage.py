"""What went wrong while a file was decoded, said so that its owner understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verbatim.domain.transcript import TranscriptWarning, WarningCode

SHORTEST_TOLD_S: Final = 0.25
"""Silence that was filled in; less comes from clocks that drift apart over hours."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is missing in the middle of a recording, so far.

    Attributes:
        silent_s: seconds that the timestamps leave empty, played as silence.
        start_s: where the first hole or lost packet is; None where there is none.
        end_s: where the last one ends.
    """

    silent_s: float = 0.0
    start_s: float | None = None
    end_s: float = 0.0

    def with_hole(self, start_s: float, silent_s: float) -> Damage:
        """The same with one more, later than the others."""
        first_s = start_s if self.start_s is None else self.start_s
        return Damage(self.silent_s + silent_s, first_s, start_s + silent_s)

    def warning(self, lost_packets: int) -> TranscriptWarning | None:
        """What to say about it; None where nothing is missing.

        Args:
            lost_packets: how many could not be decoded, those at the end not counted.
        """
        facts = []
        if lost_packets:
            facts.append(f"{lost_packets} of its packets could not be decoded")
        if self.silent_s >= SHORTEST_TOLD_S:
            facts.append(f"{self.silent_s:.1f} s are missing and count as silence")
        if self.start_s is None or not facts:
            return None
        return TranscriptWarning(
            WarningCode.DAMAGED_AUDIO,
            f"The file has gaps or damage between {self.start_s:.1f} s and {self.end_s:.1f} s: "
            f"{', and '.join(facts)}.",
            start=self.start_s,
            end=self.end_s,
        )


def truncated_warning(end_s: float, counted_s: float | None) -> TranscriptWarning:
    """That a file breaks off after `end_s`; `counted_s` is what its header counted, if it did."""
    told = "" if counted_s is None else f" of {counted_s:.1f} s"
    return TranscriptWarning(
        WarningCode.TRUNCATED_AUDIO,
        f"The file is incomplete: only {end_s:.1f} s{told} could be read.",
        start=end_s,
    )
