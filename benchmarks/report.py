"""Results as Markdown tables, and their place in a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import median
from typing import Final

from benchmarks.figures import Spread, ratios, speeds, spread
from benchmarks.machine import Machine
from benchmarks.results import Result, Row, Run
from benchmarks.scenarios import GPU_BOUNDS_MS, SCENARIOS, Kind, Scenario

MB: Final = 1e6
GIB: Final = 1 << 30


def report(run: Run) -> str:
    """Everything that a run found, as Markdown: the machine, then a section for each scenario."""
    sections = [machine_text(run.machine, _versions(run))]
    measured = {result.scenario for result in run.results}
    for name in (name for name in SCENARIOS if name in measured):
        scenario = SCENARIOS[name]
        found = [result for result in run.results if result.scenario == name]
        lengths = ", ".join(dict.fromkeys(_length(result, scenario) for result in found))
        title = f"### {scenario.title}" + (f" ({lengths})" if lengths else "")
        sections += [title, scenario.text, *(_section(result, scenario) for result in found)]
    return "\n\n".join(sections) + "\n"


def placed(page: str, name: str, text: str) -> str:
    """A page with a text between the marks of a name, instead of what was there.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(between.findall(page)) != 1:
        raise ValueError(f"the page does not have {begin} and {end} once")
    return between.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _section(result: Result, scenario: Scenario) -> str:
    rows = [row for row in result.rows if row.outcomes and row.absent is None]
    lines = [f"**{result.model}**"]
    if rows:
        lines.append(_TABLES[scenario.kind](result, scenario, rows))
    absent = [row for row in result.rows if row.absent is not None]
    if absent:
        lines.append("\n".join(f"- Not measured: {row.contender}: {row.absent}." for row in absent))
    return "\n\n".join(lines)


def _files(result: Result, scenario: Scenario, rows: Sequence[Row]) -> str:
    bound_ms = GPU_BOUNDS_MS.get(result.model) if scenario.name == "gpu" else None
    header = [
        "program",
        "x real time",
        f"x {scenario.reference}",
        "windows",
        "ms a window",
        "first text, s",
        *_COST_HEADER,
    ]
    cells = []
    for row in rows:
        windows = len(row.outcomes[0].tokens)
        window_ms = 1_000 * median(_walls_s(row)) / windows
        bound = f" ({window_ms / bound_ms:.1f} x the bound)" if bound_ms else ""
        cells.append(
            [
                _name(row),
                _spread(spread(speeds(_walls_s(row), result.audio_s)), 1),
                _ratio(result, scenario, row),
                str(windows),
                f"{window_ms:.1f}{bound}",
                f"{median(outcome.first_s for outcome in row.outcomes):.2f}",
                *_cost(row),
            ]
        )
    return table(header, cells)


def _bursts(result: Result, scenario: Scenario, rows: Sequence[Row]) -> str:
    header = [
        "program",
        "all done, s",
        f"x {scenario.reference}",
        "median answer, s",
        "first answer, s",
        *_COST_HEADER,
    ]
    cells = [
        [
            _name(row),
            _spread(spread(_walls_s(row)), 2),
            _ratio(result, scenario, row),
            f"{median(chain.from_iterable(o.latencies_s for o in row.outcomes)):.2f}",
            f"{median(outcome.first_s for outcome in row.outcomes):.2f}",
            *_cost(row),
        ]
        for row in rows
    ]
    return table(header, cells)


def _starts(result: Result, scenario: Scenario, rows: Sequence[Row]) -> str:
    header = ["program", "ready after, s", f"x {scenario.reference}"]
    return table(
        header,
        [
            [_name(row), _spread(spread(_walls_s(row)), 2), _ratio(result, scenario, row)]
            for row in rows
        ],
    )


_TABLES: Final = {Kind.FILE: _files, Kind.BURST: _bursts, Kind.START: _starts}
_COST_HEADER: Final = ("core s", "loaded, MB", "above it, MB")


def _cost(row: Row) -> tuple[str, ...]:
    processor_s = median(outcome.processor_s for outcome in row.outcomes)
    return f"{processor_s:.2f}", f"{row.loaded_bytes / MB:.0f}", f"{row.added_bytes / MB:.0f}"


def _ratio(result: Result, scenario: Scenario, row: Row) -> str:
    reference = result.row(scenario.reference)
    if reference is None:
        return "?"
    return _spread(spread(ratios(_walls_s(row), _walls_s(reference))), 2)


def _walls_s(row: Row) -> list[float]:
    return [outcome.wall_s for outcome in row.outcomes]


def _name(row: Row) -> str:
    return f"{row.contender} ({row.remark})" if row.remark else row.contender


def _spread(found: Spread, digits: int) -> str:
    middle = f"{found.median:.{digits}f}"
    if found.least == found.most:
        return middle
    return f"{middle} ({found.least:.{digits}f} to {found.most:.{digits}f})"


def _length(result: Result, scenario: Scenario) -> str:
    if scenario.kind is Kind.START:
        return ""
    if scenario.kind is Kind.BURST:
        return f"{scenario.count} of {result.audio_s / scenario.count:g} s"
    return f"{result.audio_s / 60:g} minutes"


def machine_text(machine: Machine, versions: Mapping[str, str]) -> str:
    """A sentence on the machine, and one on the versions of what was measured, if there are any."""
    features = ", ".join(machine.features) or "not known"
    lines = [
        f"Measured on {machine.date}: {machine.processor}, {machine.cores} cores ({features}), "
        f"{machine.memory_bytes / GIB:.0f} GiB"
        + (f", {', '.join(machine.gpus)}" if machine.gpus else "")
        + f"; {machine.system}.",
        "Versions: "
        + ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
        + ".",
    ]
    return " ".join(lines if versions else lines[:1])


def _versions(run: Run) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in chain.from_iterable(result.rows for result in run.results):
        found |= row.versions or {}
    return found
