"""Which of the waiting windows the device is given next: a pure function of the line and the clock.

Live comes first, then interactive, then jobs; within a priority owners take turns (see `Line`).
Who has waited longer than the patience of its priority is late, and every few batches the latest
goes before everybody else. So whoever waits is served in the end, and yet a thousand late jobs
take no more than their share from live speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from verbatim.domain.request import Priority
from verbatim.scheduling.line import Line, Waiting

PATIENCE_S: Final[Mapping[Priority, float]] = MappingProxyType(
    {Priority.LIVE: 1.0, Priority.INTERACTIVE: 10.0, Priority.JOB: 60.0}
)
"""How long a window waits in good order."""
_RANK: Final[Mapping[Priority, int]] = MappingProxyType(
    {priority: rank for rank, priority in enumerate(Priority)}
)
"""Priority is declared from the most urgent to the least."""
BATCHES_TO_LATE: Final = 4
"""One batch of so many is for who is late."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may be.

    Attributes:
        rows: most windows in it.
        mixed: whether room that is left is given to other priorities. Good where a row more costs
            little, as on a GPU; on a CPU it would keep the urgent waiting for the others' rows.
    """

    rows: int
    mixed: bool


def next_batch(line: Line, now_s: float, turn: int, limits: Limits) -> tuple[Waiting, ...]:
    """Choose who is decoded next; changes nothing.

    Args:
        line: who waits.
        now_s: seconds on the clock that the line was filled by.
        turn: number of the batch, counting up from any start.
        limits: what the batch may be.

    Returns:
        At most `limits.rows` windows of one key, the most urgent first; none from an empty line.
    """
    leader = _latest(line, now_s) if turn % BATCHES_TO_LATE == 0 else None
    leader = leader or _first(line)
    if leader is None:
        return ()
    chosen = [leader]
    for priority in Priority if limits.mixed else (leader.priority,):
        for waiting in line.alike(priority, leader.key):
            if len(chosen) == limits.rows:
                return tuple(chosen)
            if waiting is not leader:
                chosen.append(waiting)
    return tuple(chosen)


def makes_way(leader: Waiting, line: Line, now_s: float, turn: int) -> bool:
    """Whether a batch that was chosen, and is not begun, would not be the first choice any more.

    It makes way for who is more urgent, but not where its turn is one for the late and it is late:
    so whoever was given a turn for being late is decoded in it.

    Args:
        leader: the first window of the batch.
        line: who waits, the batch's own windows not among them.
        now_s: as for `next_batch`.
        turn: the batch's number.
    """
    if turn % BATCHES_TO_LATE == 0 and _due_s(leader) <= now_s:
        return False
    first = _first(line)
    return first is not None and _RANK[first.priority] < _RANK[leader.priority]


def _first(line: Line) -> Waiting | None:
    return next(filter(None, map(line.first, Priority)), None)


def _latest(line: Line, now_s: float) -> Waiting | None:
    """Who is over its patience by most, if anybody is."""
    late = [
        waiting
        for waiting in map(line.oldest, Priority)
        if waiting is not None and _due_s(waiting) <= now_s
    ]
    return min(late, key=_due_s, default=None)


def _due_s(waiting: Waiting) -> float:
    return waiting.since_s + PATIENCE_S[waiting.priority]
