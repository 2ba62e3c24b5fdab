"""Subtitles laid out to be read: segments and words to captions of a few short lines.

The text becomes a row of units (words; phrases in scripts without spaces) with a cost of ending a
caption after each. Captions are the cheapest way through the row: a shortest path, as in Knuth and
Plass (1981), "Breaking paragraphs into lines". Then each caption is cut into lines and shown for
as long as it takes to read, where the next one leaves the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from math import inf, isfinite
from typing import Final

from verbatim.domain.transcript import Segment
from verbatim.stages.caption_breaks import PHRASE, SENTENCE, break_cost
from verbatim.stages.caption_limits import CaptionLimits, Layout, layout_for, parse_limits
from verbatim.stages.caption_lines import LineCutter
from verbatim.stages.caption_text import (
    Unit,
    compact,
    mostly_wide,
    one_line,
    space_between,
    split_units,
    spoken_language,
    visible,
)
from verbatim.stages.caption_times import char_times

__all__ = ["CaptionLimits", "Cue", "lay_out", "parse_limits"]

LONG_PAUSE_S: Final = 2.0
"""A caption never bridges a silence of this length."""
SHORT_PAUSE_S: Final = 0.3
"""Silences below this are part of speaking."""
LINGER_S: Final = 0.5
"""A caption stays until the next one when less than this is between them: no flicker."""

CUE_COST: Final = 20.0
"""Costs of a caption, on the scale of `caption_breaks`: of there being one more,"""
FILL_COST: Final = 50.0
"""of a full one, growing with the square, so that halves are equal,"""
DENSE_COST: Final = 300.0
"""of text for which there is no time at all to read,"""
SHORT_COST: Final = 75.0
"""of less than the least time on the screen,"""
FLASH_COST: Final = 425.0
"""with that of no time at all, falling with the square,"""
SENTENCE_INSIDE_COST: Final = 25.0
"""of a sentence that ends inside,"""
PAUSE_INSIDE_COST: Final = 60.0
"""and of each second of silence inside."""
LINE_WEIGHT: Final = 0.4
"""What the line breaks inside a caption count for, beside the breaks between captions."""

_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Cue:
    """A caption. Times are seconds in whole milliseconds, `end` after `start`.

    Attributes:
        lines: at least one, none empty, without control characters.
    """

    start: float
    end: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Timed:
    """A unit in time.

    Attributes:
        wide: laid out by the limits for Chinese, Japanese and Korean.
        opens_segment: it is the first of its segment.
    """

    unit: Unit
    start: float
    end: float
    wide: bool
    language: str | None
    opens_segment: bool


@dataclass(frozen=True, slots=True)
class _Draft:
    """A caption before it is known how long it can be shown; times are those of the speech."""

    start: float
    end: float
    columns: int
    lines: tuple[str, ...]
    layout: Layout


def lay_out(
    segments: Sequence[Segment],
    limits: CaptionLimits | None = None,
    *,
    language: str | None = None,
    duration_s: float | None = None,
) -> tuple[Cue, ...]:
    """Lay a transcript's segments out as captions.

    Every visible character of the text is in exactly one line, in order. Captions are in order,
    never overlap, and hold the limits on lines, characters a line and time shown. The reading
    speed, the shortest time and the gap are held as far as the speech leaves time for it.

    Args:
        segments: in order of time; with words the captions follow the speech more closely.
        limits: None for the defaults.
        language: Whisper's code for segments that do not say theirs.
        duration_s: of the recording; no caption is extended beyond it.
    """
    limits = limits or CaptionLimits()
    layouts = {wide: layout_for(limits, wide=wide) for wide in (False, True)}
    runs = list(_runs(_timed_units(segments, layouts, language)))
    last_s = inf if duration_s is None or not isfinite(duration_s) else duration_s
    drafts: list[_Draft] = []
    for run, following in zip_longest(runs, runs[1:]):
        next_start_s = following[0].start if following else max(last_s, run[-1].end)
        drafts.extend(_captions(run, layouts[run[0].wide], next_start_s))
    return tuple(_scheduled(drafts, last_s))


def _timed_units(
    segments: Sequence[Segment], layouts: Mapping[bool, Layout], language: str | None
) -> Iterator[_Timed]:
    texts = [(segment, one_line(segment.text)) for segment in segments]
    shown = [(segment, text) for segment, text in texts if visible(text)]
    clock = 0.0
    for index, (segment, text) in enumerate(shown):
        next_start_s = shown[index + 1][0].start if index + 1 < len(shown) else inf
        times = char_times(segment, text, clock, next_start_s)
        wide = mostly_wide(text)
        spoken = spoken_language(text, segment.language or language)
        done = 0
        for unit in split_units(text, layouts[wide].line_columns, times.word_ends):
            end = done + len(compact(unit.text))
            joint = done == 0 and index > 0 and space_between(shown[index - 1][1], text)
            yield _Timed(
                unit=replace(unit, spaced=True) if joint else unit,
                start=times.starts[done],
                end=times.ends[end - 1],
                wide=wide,
                language=spoken,
                opens_segment=done == 0,
            )
            done = end
        clock = times.starts[-1]


def _runs(units: Iterable[_Timed]) -> Iterator[list[_Timed]]:
    """Stretches that no caption crosses: between long pauses and changes of layout."""
    run: list[_Timed] = []
    for timed in units:
        if run and (timed.wide is not run[-1].wide or timed.start - run[-1].end >= LONG_PAUSE_S):
            yield run
            run = []
        run.append(timed)
    if run:
        yield run


def _captions(run: Sequence[_Timed], layout: Layout, next_start_s: float) -> Iterator[_Draft]:
    """The cheapest captions of a run, of which the next begins at `next_start_s`."""
    costs = [_end_cost(before, after) for before, after in pairwise(run)]
    costs.append(SENTENCE)
    starts = [timed.start for timed in run]
    starts.append(next_start_s)
    cutter = LineCutter([timed.unit for timed in run], costs, layout.line_columns)
    best = [0.0, *(inf for _ in run)]
    origins = [0] * len(best)
    for first in range(len(run)):
        for last, cost in _caption_costs(run, first, costs, starts, layout):
            end = last + 1
            if best[first] + cost >= best[end]:
                continue  # the lines can only make it worse
            total = best[first] + cost + LINE_WEIGHT * cutter.cut(first, end)[0]
            if total < best[end]:
                best[end], origins[end] = total, first
    cuts = [len(run)]
    while cuts[-1]:
        cuts.append(origins[cuts[-1]])
    for first, end in pairwise(reversed(cuts)):
        yield _Draft(
            start=run[first].start,
            end=run[end - 1].end,
            columns=cutter.columns(first, end),
            lines=cutter.lines(first, end),
            layout=layout,
        )


def _end_cost(before: _Timed, after: _Timed) -> float:
    """What it costs to end a caption between two units: less at a pause, or between segments."""
    cost = break_cost(before.unit, after.unit, before.language)
    if after.opens_segment:
        cost = min(cost, PHRASE)
    pause_s = max(0.0, after.start - before.end)
    return cost / (1.0 + 2.0 * pause_s)


def _caption_costs(
    run: Sequence[_Timed],
    first: int,
    costs: Sequence[float],
    starts: Sequence[float],
    layout: Layout,
) -> Iterator[tuple[int, float]]:
    """Every caption that may begin with unit `first`: its last unit, and what it costs."""
    start_s = starts[first]
    lines, width, total, inside = 1, 0, 0, CUE_COST
    for last in range(first, len(run)):
        timed = run[last]
        unit = timed.unit
        if last > first:
            if timed.end - start_s > layout.max_cue_s:
                return
            pause_s = timed.start - run[last - 1].end
            inside += PAUSE_INSIDE_COST * pause_s if pause_s > SHORT_PAUSE_S else 0.0
            inside += SENTENCE_INSIDE_COST if costs[last - 1] == SENTENCE else 0.0
            total += unit.spaced
            width += unit.spaced
        total += unit.columns
        width += unit.columns
        if width > layout.line_columns:
            lines, width = lines + 1, unit.columns
            if lines > layout.max_lines:
                return
        room_s = min(layout.max_cue_s, max(0.0, starts[last + 1] - layout.min_gap_s - start_s))
        unread = max(0.0, total - room_s * layout.columns_per_s)
        cost = inside + costs[last]
        cost += FILL_COST * (total / layout.capacity) ** 2
        cost += DENSE_COST * unread / layout.capacity
        if room_s < layout.min_cue_s:
            cost += SHORT_COST + FLASH_COST * (1.0 - room_s / layout.min_cue_s) ** 2
        yield last, cost


def _scheduled(drafts: Sequence[_Draft], last_s: float) -> Iterator[Cue]:
    """When captions are shown: as long as reading takes, as far as the next one leaves room."""
    free_ms = 0
    for draft, following in zip_longest(drafts, drafts[1:]):
        layout = draft.layout
        start_ms = max(free_ms, round(draft.start * _MS))
        read_s = max(layout.min_cue_s, draft.columns / layout.columns_per_s)
        wanted_ms = max(draft.end * _MS, start_ms + read_s * _MS)
        if following:
            until_ms = max(0.0, following.start * _MS - start_ms)
            room_ms = start_ms + until_ms - min(layout.min_gap_s * _MS, until_ms / 2)
            if following.start * _MS - wanted_ms < LINGER_S * _MS:
                wanted_ms = room_ms
        else:
            room_ms = max(last_s, draft.end) * _MS
        end_ms = int(min(wanted_ms, room_ms, start_ms + layout.max_cue_s * _MS))
        free_ms = max(start_ms + 1, end_ms)
        yield Cue(start_ms / _MS, free_ms / _MS, draft.lines)
