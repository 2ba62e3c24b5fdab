"""Windows that wait for the device, kept so that every question of the policy is quick to answer.

Within a priority the line is in fair order. Each window gets its place when it comes, by
self-clocked fair queueing (Golestani 1994): a tag one step after the request's last window, or
after what is served now, where a step is as long as its owner has requests in the line. So owners
take turns, an owner's requests share its turns, and a request's windows stay in order. A place
that was given never changes, so nothing has to be sorted again when time passes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias

from verbatim.domain.request import Priority

NEVER_S: Final = math.inf
Place: TypeAlias = tuple[float, int]
"""What an order goes by, then the window's number; unique in a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A window in the line.

    Attributes:
        number: counts all windows that ever came.
        request: what it belongs to; its windows are served in the order they came.
        owner: who shares the device fairly with other owners.
        key: windows of equal keys may share a batch.
        tag: where it stands among the windows of its priority, the lowest first.
        since_s: when it came.
        deadline_s: from when on it is of no use.
    """

    number: int
    priority: Priority
    request: Hashable
    owner: Hashable
    key: Hashable
    tag: int
    since_s: float
    deadline_s: float


def _turn(waiting: Waiting) -> Place:
    return waiting.tag, waiting.number


def _arrival(waiting: Waiting) -> Place:
    return waiting.since_s, waiting.number


def _deadline(waiting: Waiting) -> Place:
    return waiting.deadline_s, waiting.number


class _Sorted:
    """Windows in one order."""

    def __init__(self, order: Callable[[Waiting], Place]) -> None:
        self._order = order
        self.items: list[Waiting] = []

    def add(self, waiting: Waiting) -> None:
        insort(self.items, waiting, key=self._order)

    def remove(self, waiting: Waiting) -> None:
        del self.items[bisect_left(self.items, self._order(waiting), key=self._order)]

    def first(self) -> Waiting | None:
        return self.items[0] if self.items else None


@dataclass(slots=True)
class _Flow:
    """A request with windows in the line: how many, and the tag of its last one."""

    tag: int
    windows: int = 0


class _Rank:
    """The windows of one priority."""

    def __init__(self) -> None:
        self.fair = _Sorted(_turn)
        self.arrived = _Sorted(_arrival)
        self.alike: dict[Hashable, _Sorted] = {}
        self._served_tag = 0
        self._flows: dict[Hashable, _Flow] = {}
        self._requests: Counter[Hashable] = Counter()

    def tag(self, request: Hashable, owner: Hashable) -> int:
        """The next tag of a request; counts the window as its."""
        flow = self._flows.get(request)
        if flow is None:
            flow = self._flows[request] = _Flow(self._served_tag)
            self._requests[owner] += 1
        flow.windows += 1
        flow.tag = max(flow.tag, self._served_tag) + self._requests[owner]
        return flow.tag

    def again(self, waiting: Waiting) -> None:
        """Count a window that had left as one of its request's again."""
        flow = self._flows.get(waiting.request)
        if flow is None:
            flow = self._flows[waiting.request] = _Flow(waiting.tag)
            self._requests[waiting.owner] += 1
        flow.windows += 1

    def add(self, waiting: Waiting) -> None:
        self.fair.add(waiting)
        self.arrived.add(waiting)
        alike = self.alike.get(waiting.key)
        if alike is None:
            alike = self.alike[waiting.key] = _Sorted(_turn)
        alike.add(waiting)

    def remove(self, waiting: Waiting) -> None:
        self.fair.remove(waiting)
        self.arrived.remove(waiting)
        alike = self.alike[waiting.key]
        alike.remove(waiting)
        if not alike.items:
            del self.alike[waiting.key]
        flow = self._flows[waiting.request]
        flow.windows -= 1
        if not flow.windows:
            # Nothing is forgotten: what is served now is at least as far as the flow was.
            del self._flows[waiting.request]
            self._requests[waiting.owner] -= 1
            if not self._requests[waiting.owner]:
                del self._requests[waiting.owner]

    def served(self, waiting: Waiting) -> None:
        self._served_tag = max(self._served_tag, waiting.tag)


class Line:
    """All windows that wait. Adding and removing take logarithmic time, looking takes none."""

    def __init__(self) -> None:
        self._ranks = {priority: _Rank() for priority in Priority}
        self._deadlines = _Sorted(_deadline)
        self._numbers = count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(
        self,
        priority: Priority,
        owner: Hashable,
        request: Hashable,
        key: Hashable,
        now_s: float,
        deadline_s: float = NEVER_S,
    ) -> Waiting:
        """Give a window its place. All windows of a request have one priority and one owner."""
        rank = self._ranks[priority]
        number = next(self._numbers)
        tag = rank.tag(request, owner)
        waiting = Waiting(number, priority, request, owner, key, tag, now_s, deadline_s)
        self._insert(waiting)
        return waiting

    def put_back(self, waiting: Waiting) -> None:
        """Take in again, at its old place, a window that was served and not decoded."""
        self._ranks[waiting.priority].again(waiting)
        self._insert(waiting)

    def _insert(self, waiting: Waiting) -> None:
        self._ranks[waiting.priority].add(waiting)
        if waiting.deadline_s < NEVER_S:
            self._deadlines.add(waiting)
        self._length += 1

    def remove(self, waiting: Waiting) -> None:
        """Take a window out, whatever becomes of it; it must be in the line."""
        self._ranks[waiting.priority].remove(waiting)
        if waiting.deadline_s < NEVER_S:
            self._deadlines.remove(waiting)
        self._length -= 1

    def serve(self, waiting: Waiting) -> None:
        """Take a window out for the device; who comes now stands behind it."""
        self.remove(waiting)
        self._ranks[waiting.priority].served(waiting)

    def first(self, priority: Priority) -> Waiting | None:
        """Whose turn it is among those of a priority."""
        return self._ranks[priority].fair.first()

    def oldest(self, priority: Priority) -> Waiting | None:
        """Who of a priority waits longest."""
        return self._ranks[priority].arrived.first()

    def alike(self, priority: Priority, key: Hashable) -> Sequence[Waiting]:
        """Those of a priority that share a key, in fair order; valid until the line changes."""
        alike = self._ranks[priority].alike.get(key)
        return alike.items if alike else ()

    def expired(self, now_s: float) -> list[Waiting]:
        """Those whose deadline has passed; they stay in the line."""
        end = bisect_right(self._deadlines.items, now_s, key=lambda waiting: waiting.deadline_s)
        return self._deadlines.items[:end]
