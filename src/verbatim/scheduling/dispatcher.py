"""One engine shared by all requests: their windows wait in one line and are decoded in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError, UnavailableError
from verbatim.domain.request import Priority
from verbatim.domain.transcript import WindowResult
from verbatim.engine.batching import batch_key
from verbatim.engine.protocol import Engine, EngineDescription, WindowsLostError
from verbatim.scheduling.line import NEVER_S, Line, Waiting
from verbatim.scheduling.policy import Limits, makes_way, next_batch
from verbatim.scheduling.telemetry import BatchDone, Telemetry, WindowBegun

MAX_WAITING_WINDOWS: Final = 1024
"""Of each priority; a window is up to 960 kB."""
BATCHES_AHEAD: Final = 1
"""That the engine has for each replica besides the one that is decoded."""
RETRY_S: Final = 10.0
STOPPING: Final = "The model is being unloaded; send the request again in a moment."
TOO_LATE: Final = (
    "The server was too busy to get to this in the time that was given; send it again later, or "
    "give it more time."
)


class _Call:
    """One call of a lane's `run`: what it waits for."""

    def __init__(self, size: int) -> None:
        self.rows: list[_Row] = []
        self.over = False
        self._size = size
        self._results: dict[int, WindowResult] = {}
        self._error: Exception | None = None
        self._ended = asyncio.Event()

    def give(self, place: int, result: WindowResult) -> None:
        self._results[place] = result
        if len(self._results) == self._size:
            self.end()

    def fail(self, error: Exception) -> None:
        """End with an error, unless it has ended."""
        if not self.over:
            self._error = error
            self.end()

    def end(self) -> None:
        self.over = True
        self._ended.set()

    async def results(self) -> list[WindowResult]:
        await self._ended.wait()
        if self._error is not None:
            raise self._error
        return [self._results[place] for place in range(self._size)]


@dataclass(slots=True, eq=False)
class _Row:
    """A window of a call; `batch` from when the engine has it."""

    call: _Call
    place: int
    window: Window
    waiting: Waiting
    batch: _Batch | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Rows that the engine has.

    Attributes:
        turn: its number for the policy.
        begun: it is decoded now; otherwise it is only made ready, and may be recalled.
    """

    rows: list[_Row]
    turn: int
    task: asyncio.Task[None]
    begun: bool = False
    begun_at_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """An engine as one request sees it: its `run` stands in line with everybody else's.

    Attributes:
        owner: who shares the device fairly with other owners.
        request: tells requests apart.
        deadline_s: moment on the dispatcher's clock.
    """

    dispatcher: Dispatcher
    priority: Priority
    owner: Hashable
    request: Hashable
    deadline_s: float

    def describe(self) -> EngineDescription:
        """What is loaded."""
        return self.dispatcher.describe()

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows when it is their turn; see `Dispatcher.run`."""
        return await self.dispatcher.run(self, windows)

    def memory_bytes(self) -> int:
        """Main memory that the model takes."""
        return self.dispatcher.memory_bytes()

    async def aclose(self) -> None:
        """Nothing: the engine is everybody's."""


class Dispatcher:
    """Owns a loaded engine, and decides whose windows it decodes next.

    As many batches are decoded at once as the engine has replicas. Whenever one is free, the next
    batch is chosen by `next_batch` from what waits at that moment; nothing waits for a batch to
    fill. Where full batches wait, the engine has one more for each replica, so that it can bring
    the windows over and compute their features meanwhile; that one is recalled when somebody more
    urgent comes.

    Args:
        engine: closed with the dispatcher.
        clock: seconds that only rise.
        max_waiting: windows of one priority that may wait; who brings more waits for room. No
            priority takes another's room.
        telemetry: is told of windows and batches.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float],
        max_waiting: int = MAX_WAITING_WINDOWS,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._description = engine.describe()
        self._telemetry = telemetry or Telemetry()
        self._room = {priority: asyncio.Semaphore(max_waiting) for priority in Priority}
        self._line = Line()
        self._rows: dict[Waiting, _Row] = {}
        self._batches: list[_Batch] = []
        """In the engine's order: those that are decoded first."""
        self._requests = count()
        self._turn = 1
        self._woken = False
        self._closed = False

    def describe(self) -> EngineDescription:
        """What is loaded."""
        return self._description

    def memory_bytes(self) -> int:
        """Main memory that the model takes."""
        return self._engine.memory_bytes()

    def lane(self, priority: Priority, owner: str = "", deadline_s: float = NEVER_S) -> Lane:
        """The engine for one request.

        Args:
            priority: who goes first.
            owner: requests of one owner share its turns; empty: the request is its own owner.
            deadline_s: moment on the clock from when on windows are not decoded any more.
        """
        request = next(self._requests)
        return Lane(self, priority, owner or request, request, deadline_s)

    async def run(self, lane: Lane, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows, one result each, in order; cancelling it takes them out of the line.

        Raises:
            UnavailableError: the deadline passed before all were begun, or the model is unloaded.
            VerbatimError: what the engine raised for windows of this request.
        """
        if not windows:
            return []
        call = _Call(len(windows))
        room = self._room[lane.priority]
        try:
            for place, window in enumerate(windows):
                await room.acquire()
                if self._closed:
                    call.fail(UnavailableError(STOPPING, retry_after_s=RETRY_S))
                if call.over:
                    room.release()
                    break
                self._add(lane, call, place, window)
            return await call.results()
        finally:
            self._leave(call)

    def _add(self, lane: Lane, call: _Call, place: int, window: Window) -> None:
        waiting = self._line.add(
            lane.priority,
            lane.owner,
            lane.request,
            batch_key(window, self._description.lengths_s),
            self._clock(),
            lane.deadline_s,
        )
        row = self._rows[waiting] = _Row(call, place, window, waiting)
        call.rows.append(row)
        self._wake()

    def _leave(self, call: _Call) -> None:
        """Nobody waits for this call any more: nothing of it is begun, or goes on in vain."""
        call.end()
        for row in call.rows:
            if row.waiting in self._rows:
                self._drop(row)
            elif row.batch is not None and all(other.call.over for other in row.batch.rows):
                row.batch.task.cancel()
        # Each row knows its call: without this, windows would wait for the garbage collector.
        call.rows.clear()

    def _drop(self, row: _Row) -> None:
        """Take out of the line what will not be decoded."""
        self._line.remove(row.waiting)
        del self._rows[row.waiting]
        self._make_room(row)

    def _make_room(self, row: _Row) -> None:
        """A window makes room for others when it is begun, or will never be."""
        self._room[row.waiting.priority].release()

    def _wake(self) -> None:
        # In the loop's next round, so that windows that come at the same time share a batch.
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._woken = False
        now_s = self._clock()
        for waiting in self._line.expired(now_s):
            row = self._rows[waiting]
            row.call.fail(UnavailableError(TOO_LATE, retry_after_s=RETRY_S))
            self._drop(row)
        self._recall(lambda batch: makes_way(batch.rows[0].waiting, self._line, now_s, batch.turn))
        while self._line and (chosen := self._choose(now_s)):
            self._hand_out(chosen)
        for batch in self._batches[: self._description.replicas]:
            self._note_begun(batch)

    def _choose(self, now_s: float) -> Sequence[Waiting]:
        """The next batch; none where the engine has enough."""
        replicas, most = self._description.replicas, self._description.batch_size
        mixed = self._description.device == "cuda"
        free = replicas - len(self._batches)
        if free > 0:
            # Free replicas share what there is, and none has more than it likes.
            rows = min(most, -(-len(self._line) // free))
            return next_batch(self._line, now_s, self._turn, Limits(rows, mixed))
        if len(self._batches) >= replicas * (1 + BATCHES_AHEAD):
            return ()
        ahead = next_batch(self._line, now_s, self._turn, Limits(most, mixed))
        # One that is not full may still fill while the device is busy.
        return ahead if len(ahead) == most else ()

    def _hand_out(self, chosen: Sequence[Waiting]) -> None:
        rows = []
        for waiting in chosen:
            self._line.serve(waiting)
            rows.append(self._rows.pop(waiting))
        batch = _Batch(rows, self._turn, asyncio.create_task(self._decode(rows)))
        self._turn += 1
        for row in rows:
            row.batch = batch
        self._batches.append(batch)
        batch.task.add_done_callback(lambda task: self._end(batch, task))

    def _note_begun(self, batch: _Batch) -> None:
        if not batch.begun:
            batch.begun, batch.begun_at_s = True, self._clock()
            for row in batch.rows:
                self._make_room(row)
                self._tell_begun(row, batch.begun_at_s)

    def _tell_begun(self, row: _Row, now_s: float) -> None:
        waited_s = now_s - row.waiting.since_s
        self._telemetry.tell(WindowBegun(self._description.model, row.waiting.priority, waited_s))

    def _recall(self, is_recalled: Callable[[_Batch], bool]) -> None:
        """Take batches that are not begun out of the engine, their windows back to their places."""
        for batch in self._batches[: self._description.replicas - 1 : -1]:
            if batch.task.done() or not is_recalled(batch):
                continue
            self._batches.remove(batch)
            batch.task.cancel()
            if batch.turn == self._turn - 1:
                self._turn = batch.turn
            for row in batch.rows:
                row.batch = None
                if row.call.over:
                    self._make_room(row)
                else:
                    self._line.put_back(row.waiting)
                    self._rows[row.waiting] = row

    def _end(self, batch: _Batch, task: asyncio.Task[None]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if batch not in self._batches:
            return  # It was recalled.
        self._batches.remove(batch)
        self._note_begun(batch)
        if not failed:
            took_s = self._clock() - batch.begun_at_s
            self._telemetry.tell(BatchDone(self._description.model, len(batch.rows), took_s))
        if failed:
            # By the engine or the end of the program: whoever still waits must not wait for ever.
            for row in batch.rows:
                row.call.fail(UnavailableError(STOPPING, retry_after_s=RETRY_S))
        for row in batch.rows:
            row.batch = None
        if self._line or self._batches:
            self._wake()

    async def _decode(self, rows: Sequence[_Row]) -> None:
        """Decode a batch; where it fails, each request alone, to find out whose error it is."""
        try:
            results = await self._engine.run([row.window for row in rows])
            if len(results) != len(rows):
                raise InternalError(f"{len(rows)} windows had {len(results)} results.")
        except WindowsLostError as error:
            _give(rows, error.results, InternalError(error.message, code=error.code))
        except Exception as error:  # noqa: BLE001 - raised by the calls that it belongs to
            requests: dict[Hashable, list[_Row]] = {}
            for row in rows:
                requests.setdefault(row.waiting.request, []).append(row)
            # That the engine is not there is nobody's fault, and trying again would not help.
            if len(requests) == 1 or isinstance(error, UnavailableError):
                _give(rows, [None] * len(rows), error)
                return
            for own in requests.values():
                if wanted := [row for row in own if not row.call.over]:
                    await self._decode(wanted)
        else:
            _give(rows, results)

    async def aclose(self) -> None:
        """Begin nothing more, let running batches end, free the model; twice is fine.

        Who still waits gets UnavailableError.
        """
        self._closed = True
        self._recall(lambda _: True)
        for row in list(self._rows.values()):
            row.call.fail(UnavailableError(STOPPING, retry_after_s=RETRY_S))
            self._drop(row)
        if self._batches:
            await asyncio.wait({batch.task for batch in self._batches})
        await self._engine.aclose()


def _give(
    rows: Sequence[_Row],
    results: Sequence[WindowResult | None],
    error: Exception | None = None,
) -> None:
    """Hand out results, and an error to those without one."""
    for row, result in zip(rows, results, strict=True):
        if result is not None:
            row.call.give(row.place, result)
        elif error is not None:
            row.call.fail(error)
