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
        seconds: of speech in each stream.
        figures: None where there are none.
        offline: edits and units of the same speech as a whole recording, by Verbatim; None where it
            was not read.
        processor_s: of the server.
        absent: why there are no figures.
    """

    program: str
    model: str
    language: str
    streams: int
    seconds: float
    figures: LiveFigures | None = None
    offline: tuple[int, int] | None = None
    processor_s: float = 0.0
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class LiveResults:
    """Everything of one run on one machine."""

    machine: Machine
    rows: tuple[LiveRow, ...] = ()

    def extended(self, row: LiveRow) -> LiveResults:
        """The same with one more row, in place of an older one of the same kind."""
        kind = (row.program, row.model, row.language, row.streams)
        others = [
            other
            for other in self.rows
            if (other.program, other.model, other.language, other.streams) != kind
        ]
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
