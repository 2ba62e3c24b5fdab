"""What a run found, as it is kept in a JSON file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.machine import Machine
from benchmarks.messages import Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one scenario.

    Attributes:
        contender: its name.
        outcomes: of its rounds; empty where it is absent.
        load_s: from the start of its process until the model was loaded.
        loaded_bytes: what it held then.
        added_bytes: the most that it held afterwards, above that.
        versions: of its packages.
        remark: what it chose by itself.
        absent: why it has no figures; None where it has.
        failed: whether that is because it broke, or did other work than it was given.
    """

    contender: str
    outcomes: tuple[Outcome, ...] = ()
    load_s: float = 0.0
    loaded_bytes: int = 0
    added_bytes: int = 0
    versions: dict[str, str] | None = None
    remark: str = ""
    absent: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario with one model.

    Attributes:
        scenario: its name.
        model: the name of the shape.
        audio_s: seconds of audio in a job.
        tokens: that each window was decoded to.
        windows: in a job, where all contenders had the same ones; None elsewhere.
        rows: in the order of their turns.
    """

    scenario: str
    model: str
    audio_s: float
    tokens: int
    windows: int | None
    rows: tuple[Row, ...]

    def row(self, contender: str) -> Row | None:
        """A contender's row, if it has figures."""
        rows = (row for row in self.rows if row.contender == contender and row.outcomes)
        return next(rows, None)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured in one run on one machine."""

    machine: Machine
    results: tuple[Result, ...] = ()

    def extended(self, result: Result) -> Run:
        """The same with one more result; one of the same scenario and model gives way to it."""
        measured = (result.scenario, result.model)
        others = (kept for kept in self.results if (kept.scenario, kept.model) != measured)
        return replace(self, results=(*others, result))

    def save(self, path: Path) -> None:
        """Write the file; a run that is broken off leaves the last one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(_RUNS.dump_json(self, indent=1))
        unfinished.rename(path)

    @staticmethod
    def load(path: Path) -> Run:
        """Read the file."""
        return _RUNS.validate_json(path.read_bytes())


_RUNS = TypeAdapter(Run)
