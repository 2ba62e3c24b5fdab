"""Whose turn it is: priorities, lateness, fairness and order, by a clock that the test turns."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verbatim.domain.request import Priority
from verbatim.scheduling.line import Line, Waiting
from verbatim.scheduling.policy import (
    BATCHES_TO_LATE,
    PATIENCE_S,
    Limits,
    makes_way,
    next_batch,
)

LIVE, INTERACTIVE, JOB = Priority.LIVE, Priority.INTERACTIVE, Priority.JOB
ORDINARY_TURN = 1
FOUR = Limits(rows=4, mixed=False)
FOUR_MIXED = Limits(rows=4, mixed=True)
ONE = Limits(rows=1, mixed=True)


def put(
    line: Line,
    priority: Priority = INTERACTIVE,
    request: Hashable = "r",
    owner: Hashable = None,
    key: Hashable = "k",
    now_s: float = 0.0,
) -> Waiting:
    """A window in the line; a request without an owner is its own."""
    return line.add(priority, request if owner is None else owner, request, key, now_s)


def served(line: Line, limits: Limits = ONE, now_s: float = 0.0) -> Iterator[tuple[Waiting, ...]]:
    """Batches until the line is empty, none of them for who is late."""
    while batch := next_batch(line, now_s, ORDINARY_TURN, limits):
        for waiting in batch:
            line.serve(waiting)
        yield batch


def requests_in_turn(line: Line) -> list[Hashable]:
    return [batch[0].request for batch in served(line)]


def test_nothing_comes_of_nothing() -> None:
    assert next_batch(Line(), 0.0, ORDINARY_TURN, FOUR) == ()
    assert next_batch(Line(), 0.0, BATCHES_TO_LATE, FOUR) == ()


def test_live_then_interactive_then_jobs() -> None:
    line = Line()
    for priority in (JOB, INTERACTIVE, LIVE, JOB, LIVE):
        put(line, priority, request=priority)
    assert requests_in_turn(line) == [LIVE, LIVE, INTERACTIVE, JOB, JOB]


def test_choosing_changes_nothing() -> None:
    line = Line()
    for request in "aab":
        put(line, request=request)
    assert next_batch(line, 0.0, 1, FOUR) == next_batch(line, 0.0, 1, FOUR)
    assert len(line) == 3


def test_owners_take_turns_whoever_brings_more() -> None:
    line = Line()
    for _ in range(5):
        put(line, request="a")
    for request in "bbc":
        put(line, request=request)
    assert requests_in_turn(line) == [*"abcab", *"aaa"]


def test_who_comes_later_has_no_credit_and_no_debt() -> None:
    line = Line()
    for _ in range(6):
        put(line, request="a")
    batches = served(line)
    assert [next(batches)[0].request for _ in range(3)] == [*"aaa"]
    for _ in range(3):
        put(line, request="b")
    assert [batch[0].request for batch in batches] == [*"ababab"]


def test_an_owners_requests_share_its_turns() -> None:
    line = Line()
    for _ in range(4):
        for request in range(4):
            put(line, request=request, owner="many")
        put(line, request="single", owner="one")
    turns = [batch[0] for batch in served(line)]
    # Four of one owner take about as many turns as the only one of the other.
    first = Counter(waiting.owner for waiting in turns[:6])
    assert first["one"] >= 2
    assert {waiting.request for waiting in turns[:8] if waiting.owner == "many"} == {0, 1, 2, 3}


def test_rows_of_a_batch_share_the_key_of_the_most_urgent() -> None:
    line = Line()
    for request, key in enumerate("xyxyyx"):
        put(line, request=request, key=key)
    batches = [[waiting.key for waiting in batch] for batch in served(line, FOUR)]
    assert batches == [["x"] * 3, ["y"] * 3]


def test_no_batch_is_longer_than_its_rows() -> None:
    line = Line()
    for _ in range(10):
        put(line)
    assert [len(batch) for batch in served(line, FOUR)] == [4, 4, 2]


@pytest.mark.parametrize(("limits", "sizes"), [(FOUR, [1, 1, 1]), (FOUR_MIXED, [3])])
def test_room_is_given_to_others_only_where_a_row_costs_little(
    limits: Limits, sizes: list[int]
) -> None:
    line = Line()
    for priority in (JOB, INTERACTIVE, LIVE):
        put(line, priority, request=priority)
    batches = list(served(line, limits))
    assert [len(batch) for batch in batches] == sizes
    assert [w.priority for batch in batches for w in batch] == [LIVE, INTERACTIVE, JOB]


def test_the_latest_goes_first_in_its_turn_only() -> None:
    line = Line()
    job = put(line, JOB, request="job")
    now_s = PATIENCE_S[JOB]
    live = put(line, LIVE, request="live", now_s=now_s)
    assert next_batch(line, now_s, ORDINARY_TURN, ONE) == (live,)
    assert next_batch(line, now_s, BATCHES_TO_LATE, ONE) == (job,)
    assert next_batch(line, now_s - 1.0, BATCHES_TO_LATE, ONE) == (live,)


@pytest.mark.parametrize(
    ("leader", "comes", "late", "turn", "makes"),
    [
        (JOB, LIVE, False, ORDINARY_TURN, True),
        (JOB, INTERACTIVE, False, ORDINARY_TURN, True),
        (INTERACTIVE, LIVE, False, ORDINARY_TURN, True),
        (JOB, JOB, False, ORDINARY_TURN, False),
        (LIVE, LIVE, False, ORDINARY_TURN, False),
        (INTERACTIVE, JOB, False, ORDINARY_TURN, False),
        (JOB, LIVE, True, ORDINARY_TURN, True),
        (JOB, LIVE, False, BATCHES_TO_LATE, True),
        (JOB, LIVE, True, BATCHES_TO_LATE, False),
    ],
)
def test_who_makes_way_for_whom(
    leader: Priority, comes: Priority, late: bool, turn: int, makes: bool
) -> None:
    line = Line()
    chosen = put(line, leader, request="chosen")
    line.serve(chosen)
    now_s = PATIENCE_S[leader] if late else 0.0
    assert not makes_way(chosen, line, now_s, turn)
    put(line, comes, request="comes", now_s=now_s)
    assert makes_way(chosen, line, now_s, turn) == makes


def test_a_deadline_is_put_back_too() -> None:
    line = Line()
    waiting = line.add(LIVE, "o", "r", "k", 0.0, deadline_s=2.0)
    line.serve(waiting)
    assert line.expired(2.0) == []
    line.put_back(waiting)
    assert line.expired(2.0) == [waiting]
    assert len(line) == 1


def test_among_the_late_it_is_lateness_that_counts() -> None:
    line = Line()
    job = put(line, JOB, request="job", now_s=0.0)
    asked = put(line, INTERACTIVE, request="asked", now_s=PATIENCE_S[JOB] - 1)
    late_s = PATIENCE_S[JOB] + PATIENCE_S[INTERACTIVE]
    assert next_batch(line, late_s, BATCHES_TO_LATE, ONE) == (job,)
    line.remove(job)
    assert next_batch(line, late_s, BATCHES_TO_LATE, ONE) == (asked,)


def test_deadlines() -> None:
    line = Line()
    put(line)
    soon = line.add(LIVE, "o", "r", "k", 0.0, deadline_s=2.0)
    sooner = line.add(JOB, "o", "r", "k", 0.0, deadline_s=1.0)
    assert line.expired(0.9) == []
    assert line.expired(1.0) == [sooner]
    assert line.expired(5.0) == [sooner, soon]
    line.remove(sooner)
    assert line.expired(5.0) == [soon]


@dataclass
class Simulation:
    """A device that serves a batch at a time while more comes in, and what must hold of it."""

    limits: Limits
    line: Line = field(default_factory=Line)
    now_s: float = 0.0
    turns: Iterator[int] = field(default_factory=count)
    turn: int = 0
    waiting: dict[Waiting, None] = field(default_factory=dict)
    begun: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)
    owed: dict[Waiting, int] = field(default_factory=dict)
    """By which turn each late window has to be served."""
    served: int = 0

    def arrive(self, priority: Priority, owner: Hashable, request: Hashable, key: Hashable) -> None:
        waiting = self.line.add(priority, owner, (priority, owner, request), key, self.now_s)
        self.waiting[waiting] = None

    def give_up(self, waiting: Waiting) -> None:
        self.line.remove(waiting)
        del self.waiting[waiting]
        self.owed.pop(waiting, None)

    def step(self) -> None:
        self.turn = next(self.turns)
        self._note_who_is_late()
        batch = next_batch(self.line, self.now_s, self.turn, self.limits)
        assert bool(batch) == bool(self.waiting)
        assert len(batch) == len(set(batch)) <= self.limits.rows
        if batch:
            self._check(batch)
            self._recall(batch)
        for waiting in batch:
            self.line.serve(waiting)
            del self.waiting[waiting]
            self.owed.pop(waiting, None)
            # First come, first served within a request.
            flow = (waiting.request, waiting.key)
            assert self.begun.get(flow, -1) < waiting.number
            self.begun[flow] = waiting.number
            self.served += 1
        assert len(self.line) == len(self.waiting)
        assert all(turn > self.turn for turn in self.owed.values())

    def _check(self, batch: tuple[Waiting, ...]) -> None:
        leader = batch[0]
        assert {waiting.key for waiting in batch} == {leader.key}
        if not self.limits.mixed:
            assert {waiting.priority for waiting in batch} == {leader.priority}
        ranks = list(Priority)
        best = min(ranks.index(waiting.priority) for waiting in self.waiting)
        late_turn = self.turn % BATCHES_TO_LATE == 0
        assert ranks.index(leader.priority) == best or (late_turn and leader in self.owed)
        # No room is left while somebody fits in.
        fitting = [
            waiting
            for waiting in self.waiting
            if waiting.key == leader.key
            and (self.limits.mixed or waiting.priority is leader.priority)
        ]
        assert len(batch) == min(self.limits.rows, len(fitting))

    def _recall(self, batch: tuple[Waiting, ...]) -> None:
        """What is served and put back is where it was."""
        for change in (self.line.serve, self.line.put_back):
            for waiting in batch:
                change(waiting)
        assert next_batch(self.line, self.now_s, self.turn, self.limits) == batch

    def _note_who_is_late(self) -> None:
        """Each turn for the late serves the one most overdue, so a late window's end is known."""
        due = sorted(self.waiting, key=_due_s)
        for ahead, waiting in enumerate(due):
            if _due_s(waiting) > self.now_s:
                break
            if waiting not in self.owed:
                ties = sum(_due_s(other) == _due_s(waiting) for other in due[ahead + 1 :])
                self.owed[waiting] = self.turn + BATCHES_TO_LATE * (ahead + ties + 1)


def _due_s(waiting: Waiting) -> float:
    return waiting.since_s + PATIENCE_S[waiting.priority]


@pytest.mark.parametrize("limits", [FOUR, Limits(rows=16, mixed=True)])
def test_ten_thousand_arrivals(limits: Limits) -> None:
    """Bounds, order and no starvation while the device is given more than it can do for minutes."""
    rng = random.Random(7)
    device = Simulation(limits)
    arrived = 0
    while arrived < 10_000:
        overload = (arrived // 1_000) % 2
        for _ in range(rng.randint(0, limits.rows * (3 if overload else 1))):
            priority = rng.choice((LIVE, INTERACTIVE, INTERACTIVE, JOB))
            device.arrive(priority, rng.randint(0, 5), rng.randint(0, 3), rng.choice("xxxxy"))
            arrived += 1
        if device.waiting and rng.random() < 0.1:
            device.give_up(rng.choice(list(device.waiting)))
            arrived -= 1
        device.now_s += rng.choice((0.1, 0.5, 1.0))
        device.step()
    while device.waiting:
        device.now_s += 0.5
        device.step()
    assert device.served == arrived


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from(Priority), st.integers(0, 2), st.integers(0, 2), st.sampled_from("xy")
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(ARRIVALS, st.floats(0.0, 40.0)), max_size=40),
    st.integers(1, 5),
    st.booleans(),
)
def test_whatever_comes_is_served_in_the_end(
    rounds: list[tuple[list[tuple[Priority, int, int, str]], float]], rows: int, mixed: bool
) -> None:
    device = Simulation(Limits(rows, mixed))
    for arrivals, wait_s in rounds:
        for priority, owner, request, key in arrivals:
            device.arrive(priority, owner, request, key)
        device.now_s += wait_s
        device.step()
    while device.waiting:
        device.step()


def test_a_job_is_served_however_much_is_urgent() -> None:
    """Five live windows a second on a device that does four: without lateness, it never ends."""
    device = Simulation(FOUR)
    device.arrive(JOB, "patient", 0, "k")
    (job,) = device.waiting
    seconds = 0
    while job in device.waiting:
        for owner in range(5):
            device.arrive(LIVE, owner, 0, "k")
        device.now_s += 1.0
        device.step()
        seconds += 1
    # The patience of a job, the live windows that were late before it, and its turn.
    assert PATIENCE_S[JOB] <= seconds <= 2 * PATIENCE_S[JOB] + BATCHES_TO_LATE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=5))
def test_who_has_something_waiting_gets_an_equal_share(backlogs: list[int]) -> None:
    line = Line()
    for owner, windows in enumerate(backlogs):
        for _ in range(windows):
            put(line, request=owner)
    shares: Counter[Hashable] = Counter()
    for batch in served(line):
        shares[batch[0].owner] += 1
        waiting = [owner for owner, windows in enumerate(backlogs) if shares[owner] < windows]
        if waiting:
            least = min(shares[owner] for owner in waiting)
            assert all(shares[owner] <= least + 1 for owner in range(len(backlogs)))


@pytest.mark.parametrize("requests", [1, 50, 1_000])
def test_a_thousand_waiting_windows_cost_no_time(requests: int) -> None:
    """Processor time, so that a busy machine does not matter; some twenty times what it takes."""
    line = Line()
    for number in range(1_000):
        put(line, request=number % requests)
    began_s = time.process_time()
    rounds = 200
    for number in range(rounds):
        batch = next_batch(line, 0.0, number, FOUR)
        for waiting in batch:
            line.serve(waiting)
            put(line, request=waiting.request)
    assert len(line) == 1_000
    assert (time.process_time() - began_s) / rounds < 2e-3
