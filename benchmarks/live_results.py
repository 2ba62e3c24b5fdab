"""What the benchmark of live speech found, as it is kept in a JSON file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.live_figures import LiveFigures
from benchmarks.machine import Machine


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One program with one model, so many streams at the same time.

    Attributes:
        asked_s: seconds of speech that each stream was to have.
        seconds: that the longest had, silence after it included.
        figures: None where there are none.
        offline: edits and units of the same speech as a whole recording, by Verbatim; None where it
            was not read.
        processor_s: of the server.
        memory_bytes: of the server, before and after.
        absent: why there are no figures.
    """

    program: str
    model: str
    language: str
    streams: int
    asked_s: float
    seconds: float = 0.0
    figures: LiveFigures | None = None
    offline: tuple[int, int] | None = None
    processor_s: float = 0.0
    memory_bytes: tuple[int, int] = (0, 0)
    absent: str | None = None

    @property
    def kind(self) -> tuple[str, str, str, int, float]:
        """What was measured."""
        return self.program, self.model, self.language, self.streams, self.asked_s


@dataclass(frozen=True, slots=True)
class LiveResults:
    """Everything of one run on one machine."""

    machine: Machine
    rows: tuple[LiveRow, ...] = ()

    def extended(self, row: LiveRow) -> LiveResults:
        """The same with one more row, in place of an older one of the same kind."""
        others = [other for other in self.rows if other.kind != row.kind]
        return replace(self, rows=(*others, row))

    def save(self, path: Path) -> None:
        """Write the file; a run that is broken off leaves the last one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(_RESULTS.dump_json(self, indent=1))
        unfinished.rename(path)

    @staticmethod
    def load(path: Path) -> LiveResults:
        """Read the file."""
        return _RESULTS.validate_json(path.read_bytes())


_RESULTS = TypeAdapter(LiveResults)
