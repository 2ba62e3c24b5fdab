"""Whisper in a supervised process of its own.

What native code does there, it does not do to the server: a crash costs the windows in flight a
second try, and memory goes back to the system when the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from verbatim.domain.audio import Window
from verbatim.domain.errors import ModelUnavailableError, UnavailableError, VerbatimError
from verbatim.domain.transcript import WindowResult
from verbatim.engine.child import WORKER_COMMAND, Child, ChildDiedError, ChildLimits
from verbatim.engine.frames import WorkerSpec
from verbatim.engine.lanes import Lanes
from verbatim.engine.protocol import EngineDescription, WindowsLostError
from verbatim.engine.spare import Spare

log = structlog.stdlib.get_logger(__name__)

START_TRIES: Final = 4
"""Processes that may die while they load the model, before the model counts as unavailable."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
UNAVAILABLE_S: Final = 10.0
"""For how long nothing is tried after that."""
MIN_LIFE_S: Final = 60.0
"""A process is not replaced for its memory more often; else a limit that is too low would have
the model loaded for each batch."""
SPARE_AFTER_S: Final = 5.0
"""For so long, what waited for a model has the processor to itself."""

BATCHES_A_REPLICA: Final = 2
"""One that is decoded, and the next one, which is brought over and made ready meanwhile."""

LOST: Final = (
    "This recording crashed the speech engine twice, so it is not tried again; others are not "
    "affected. Please report it with the model's name."
)


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a model's process is looked after.

    Attributes:
        limits: how long things may take.
        max_memory_bytes: above it the process is replaced between two batches; None: never.
        min_life_s: before that it is not replaced for its memory.
        spare_after_s: how long after a model was loaded a process is begun that can take its
            place sooner; None keeps none.
        command: what is run, with the number of its socket as the last argument.
    """

    limits: ChildLimits = field(default_factory=ChildLimits)
    max_memory_bytes: int | None = None
    min_life_s: float = MIN_LIFE_S
    spare_after_s: float | None = SPARE_AFTER_S
    command: tuple[str, ...] = WORKER_COMMAND


class ProcessEngine:
    """An `Engine` whose model lives in a child process, which is restarted when it dies.

    Windows that were in the process when it died are tried once more, each alone there, so that
    the second crash names the window that causes it.

    Made by `start`.
    """

    def __init__(
        self, spec: WorkerSpec, supervision: Supervision, clock: Callable[[], float]
    ) -> None:
        self._spec = spec
        self._supervision = supervision
        self._clock = clock
        self._child: Child | None = None
        self._spare = Spare(self._begin_spare, supervision.spare_after_s)
        self._since_s = 0.0
        self._deaths = 0
        self._unavailable_until_s = 0.0
        self._lanes = Lanes(BATCHES_A_REPLICA)
        self._tasks: set[asyncio.Task[list[WindowResult]]] = set()
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._ending: asyncio.Task[None] | None = None
        self._description: EngineDescription | None = None
        self._starting = self._begin()

    @classmethod
    async def start(
        cls,
        spec: WorkerSpec,
        supervision: Supervision,
        clock: Callable[[], float],
    ) -> ProcessEngine:
        """Begin the process and wait until it has loaded the model.

        Raises:
            ModelUnavailableError: it cannot be loaded, or its process dies whenever it tries.
        """
        engine = cls(spec, supervision, clock)
        try:
            await engine._starting
        except BaseException:
            await engine.aclose()
            raise
        return engine

    @property
    def pid(self) -> int | None:
        """The process' number; None while there is no process."""
        return self._child.pid if self._child else None

    @property
    def spare_pid(self) -> int | None:
        """The number of the process that is kept ready; None while there is none."""
        return self._spare.pid

    def describe(self) -> EngineDescription:
        """What was loaded first; a process that follows loads the same."""
        if self._description is None:
            raise ValueError("the engine was not started")
        return self._description

    def memory_bytes(self) -> int:
        """What the process holds now."""
        return self._child.memory_bytes() if self._child else 0

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows in batches; see `Engine.run`."""
        if self._ending is not None:
            raise UnavailableError("The model is being unloaded; send the request again.")
        size = self.describe().batch_size
        results: list[WindowResult | None] = []
        self._calls += 1
        self._quiet.clear()
        try:
            for first in range(0, len(windows), size):
                results += await self._decode(windows[first : first + size])
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()
        decoded = [result for result in results if result is not None]
        if len(decoded) < len(results):
            raise WindowsLostError(LOST, results)
        return decoded

    async def aclose(self) -> None:
        """End the process once the calls in flight have ended."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _decode(self, windows: Sequence[Window]) -> list[WindowResult | None]:
        """Results of one batch; None for a window that was in two crashes."""
        try:
            return [*await self._send(windows)]
        except ChildDiedError:
            log.warning("windows are tried again", windows=len(windows))
        results: list[WindowResult | None] = []
        for window in windows:
            try:
                results += await self._send([window], alone=True)
            except ChildDiedError as death:
                log.error(
                    "a window crashed the engine twice",
                    model=self._spec.name,
                    start_s=window.start_s,
                    duration_s=window.duration_s,
                    death=str(death),
                )
                results.append(None)
        return results

    async def _send(self, windows: Sequence[Window], *, alone: bool = False) -> list[WindowResult]:
        lanes = await self._lanes.enter(alone=alone)
        task = asyncio.create_task(self._attempt(windows, lanes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The caller leaves; its batch keeps the lane as long as the process is busy with it.
            task.cancel()
            raise

    async def _attempt(self, windows: Sequence[Window], lanes: int) -> list[WindowResult]:
        try:
            child = await self._living()
            results = await child.run(windows)
        finally:
            self._lanes.leave(lanes)
        self._deaths = 0
        self._check_memory(child)
        return results

    async def _living(self) -> Child:
        """The process, waited for where it is being started.

        Raises:
            ModelUnavailableError: it cannot be started, and was tried a moment ago.
        """
        failed = self._child is None and self._starting.done()
        if failed and self._clock() >= self._unavailable_until_s:
            self._starting = self._begin()
        while True:
            child = await asyncio.shield(self._starting)
            # It may have ended before this task came to know that it had begun.
            if child is self._child:
                return child

    def _begin(self, instead_of: Child | None = None) -> asyncio.Task[Child]:
        """Start a process; after deaths without any result between them, after a pause."""
        starting = asyncio.create_task(self._start(instead_of))
        # Who waits for it gets its error; without anybody, it is in the log.
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return starting

    async def _start(self, instead_of: Child | None) -> Child:
        if instead_of is not None:
            await instead_of.finish()
        began_s = self._clock()
        died = ""
        for _ in range(START_TRIES):
            await asyncio.sleep(pause_s(self._deaths))
            try:
                child = self._spare.take() or await self._begin_child()
                description = await child.load(self._spec, tried=self._description is not None)
            except ChildDiedError as death:
                self._deaths += 1
                died = str(death)
                log.error("a model's process died at start", model=self._spec.name, death=died)
            except VerbatimError as error:
                self._unavailable_until_s = self._clock() + UNAVAILABLE_S
                log.error("a model cannot be loaded", model=self._spec.name, reason=error.message)
                raise
            else:
                self._welcome(child, description, self._clock() - began_s)
                return child
        self._unavailable_until_s = self._clock() + UNAVAILABLE_S
        raise ModelUnavailableError(
            f"The model {self._spec.name!r} cannot be loaded: its process {died}.",
            retry_after_s=UNAVAILABLE_S,
        )

    async def _begin_child(self) -> Child:
        return await Child.begin(self._supervision.command, self._supervision.limits)

    async def _begin_spare(self) -> Child:
        child = await self._begin_child()
        await child.prepare(self._spec, self.describe().encoder)
        return child

    def _welcome(self, child: Child, description: EngineDescription, took_s: float) -> None:
        """From now on this is the process."""
        self._child, self._since_s = child, self._clock()
        child.on_death = lambda: self._mourn(child)
        if self._description is None:
            self._description = description
            self._lanes = Lanes(BATCHES_A_REPLICA * description.replicas)
        elif description != self._description:
            log.warning(
                "a model was loaded in another way", before=self._description, now=description
            )
        log.info(
            "a model's process is ready",
            model=self._spec.name,
            pid=child.pid,
            took_s=round(took_s, 2),
            memory_bytes=child.memory_bytes(),
        )
        self._spare.keep()

    def _mourn(self, child: Child) -> None:
        """A process that was needed has ended: have another one at once."""
        if child is not self._child:
            return
        self._child = None
        self._deaths += 1
        log.error(
            "a model's process died", model=self._spec.name, pid=child.pid, death=str(child.death)
        )
        self._starting = self._begin()

    def _check_memory(self, child: Child) -> None:
        """Have a process replaced that has grown too large."""
        limit_bytes = self._supervision.max_memory_bytes
        if (
            limit_bytes is None
            or child is not self._child
            or self._clock() - self._since_s < self._supervision.min_life_s
            or (memory_bytes := child.memory_bytes()) <= limit_bytes
        ):
            return
        log.warning(
            "a model's process is replaced for its memory",
            model=self._spec.name,
            pid=child.pid,
            memory_bytes=memory_bytes,
            limit_bytes=limit_bytes,
        )
        # Batches that are there already are let finish; those that come wait for the next process.
        self._child = None
        self._starting = self._begin(instead_of=child)

    async def _end(self) -> None:
        await self._quiet.wait()
        # First, so that its death meanwhile brings no other.
        child, self._child = self._child, None
        self._starting.cancel()
        await asyncio.wait({self._starting})
        for task in self._tasks:
            task.cancel()
        await self._spare.aclose()
        if child is not None:
            await child.stop()


def pause_s(deaths: int) -> float:
    """How long to wait before the next process, after so many deaths without a result.

    The first death was perhaps an accident, so nobody waits for it.
    """
    if deaths <= 1:
        return 0.0
    return min(FIRST_PAUSE_S * 2.0 ** (deaths - 2), LONGEST_PAUSE_S)
