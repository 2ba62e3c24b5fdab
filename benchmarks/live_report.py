"""The benchmark of live speech as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Final

from benchmarks.live_figures import LiveFigures, percentile
from benchmarks.live_results import LiveResults, LiveRow
from benchmarks.report import MB, machine_text, table

MILLI: Final = 1_000.0
MOST_LAG_S: Final = 1.0
"""A machine carries streams as long as 95 % of the words stand so long after their end."""
MINUTE_S: Final = 60.0
LONG_S: Final = 5 * MINUTE_S
_TIMES: Final = (
    "program",
    "first text, ms",
    "word stands, ms",
    "word committed, ms",
    "final after speech, ms",
    "after endpoint, ms",
    "after commit, ms",
)
_LOAD: Final = (
    "program",
    "seconds",
    "streams",
    "cores used",
    "word stands, p95 ms",
    "word committed, p95 ms",
    "after endpoint, p95 ms",
    "memory, MB",
)
_TEXTS: Final = (
    "program",
    "language",
    "committed changed",
    "shown changed",
    "errors",
    "as a recording",
)


def live_report(results: LiveResults) -> str:
    """Everything that was found, for the page."""
    parts = [machine_text(results.machine, {})]
    for model in dict.fromkeys(row.model for row in results.rows):
        rows = [row for row in results.rows if row.model == model]
        parts += [f"**{_named(model)}**", *_model(rows)]
    return "\n\n".join(parts) + "\n"


def _named(model: str) -> str:
    return "The demo model" if model == "demo" else f"The demo model in the shape of {model}"


def _model(rows: Sequence[LiveRow]) -> list[str]:
    parts = []
    measured = [row for row in rows if row.figures is not None]
    alone = [row for row in measured if row.streams == 1]
    if alone:
        parts.append(table(_TIMES, [_times(row) for row in alone]))
        parts.append(table(_TEXTS, [_texts(row) for row in alone]))
    if measured:
        parts.append(table(_LOAD, [_load(row) for row in measured]))
    if len(measured) > len(alone):
        parts.append(_carried(measured))
    absent = [row for row in rows if row.absent is not None]
    if absent:
        parts.append(
            "\n".join(
                f"- Not measured: {row.program}, {_streams(row)}: {row.absent.rstrip('.')}."
                for row in absent
                if row.absent is not None
            )
        )
    return parts


def _times(row: LiveRow) -> list[str]:
    found = _figures(row)
    return [
        _name(row),
        _spread(found.first_partials_s),
        _spread(found.shown_lags_s, 95),
        _spread(found.commit_lags_s, 95),
        _spread(found.finals_s, 95),
        _spread(found.endpoint_delays_s),
        _spread(found.commit_delays_s),
    ]


def _texts(row: LiveRow) -> list[str]:
    found = _figures(row)
    tail = found.shown_changed / max(found.words, 1)
    offline = "" if row.offline is None else f"{row.offline[0] / row.offline[1]:.1%}"
    return [
        _program(row),
        row.language,
        str(found.committed_changed),
        f"{tail:.1%}",
        f"{found.errors / max(found.spoken, 1):.1%}",
        offline,
    ]


def _load(row: LiveRow) -> list[str]:
    found = _figures(row)
    before, after = row.memory_bytes
    return [
        _name(row),
        f"{row.asked_s:.0f}",
        str(row.streams),
        f"{row.processor_s / row.seconds:.2f}",
        _milliseconds(percentile(found.shown_lags_s, 95)),
        _milliseconds(percentile(found.commit_lags_s, 95)),
        _milliseconds(percentile(found.endpoint_delays_s, 95)),
        f"{before / MB:.0f} to {after / MB:.0f}",
    ]


def _carried(rows: Sequence[LiveRow]) -> str:
    """How many streams each program carried, of those that were tried."""
    lines = []
    for program in dict.fromkeys(row.program for row in rows):
        own = sorted((row for row in rows if row.program == program), key=attrgetter("streams"))
        # One that keeps up with three by chance, and not with two, does not carry three.
        carried = [row.streams for row in takewhile(_keeps_up, own)]
        lines.append(
            f"- {program}: {max(carried, default=0)} streams at once with 95 % of the words "
            f"standing {MOST_LAG_S:g} s after their end."
        )
    return "\n".join(lines)


def _keeps_up(row: LiveRow) -> bool:
    lag_s = percentile(_figures(row).shown_lags_s, 95)
    return lag_s is not None and lag_s <= MOST_LAG_S


def _spread(values: Sequence[float], high: float = 99) -> str:
    """Median, and a high percentile in brackets."""
    if not values:
        return ""
    middle = _milliseconds(percentile(values, 50))
    return f"{middle} (p{high:g} {_milliseconds(percentile(values, high))})"


def _milliseconds(value_s: float | None) -> str:
    return "" if value_s is None else f"{MILLI * value_s:.0f}"


def _figures(row: LiveRow) -> LiveFigures:
    if row.figures is None:
        raise ValueError("a row without figures")
    return row.figures


def _name(row: LiveRow) -> str:
    return f"{_program(row)}, {row.language}"


def _program(row: LiveRow) -> str:
    """With the length of a run that is longer than the others, so that it can be told apart."""
    long = row.asked_s >= LONG_S
    return f"{row.program}, {row.asked_s / MINUTE_S:.0f} minutes" if long else row.program


def _streams(row: LiveRow) -> str:
    return f"{row.streams} streams" if row.streams > 1 else f"one stream, {row.language}"
