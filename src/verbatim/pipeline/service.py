"""Where every request for a transcription enters, whichever wire it came by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np
import structlog

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError, UnavailableError, VerbatimError
from verbatim.domain.events import Finished, TranscriptionEvent
from verbatim.domain.request import DecodeOptions, Priority, TranscriptionRequest
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.protocol import EngineDescription
from verbatim.engine.residency import Residency, ResidentModel, Unloading
from verbatim.pipeline.live import LiveSessions
from verbatim.pipeline.live.service import LiveLimits, LiveService
from verbatim.pipeline.result_cache import CacheOutcome, Caching, ResultCache, ResultKey
from verbatim.pipeline.runs import Recording, Run, Work
from verbatim.pipeline.transcribe import Frontend, transcribe
from verbatim.scheduling.admission import Admission, Load, Place
from verbatim.scheduling.dispatcher import Dispatcher
from verbatim.scheduling.telemetry import Stage, StageDone, Telemetry

__all__ = ["Recording", "Run", "TranscriptionService"]

STOPPING: Final = "The server is stopping; send the request again in a moment."
RETRY_WHILE_STOPPING_S: Final = 10.0
FREELY: Final = Caching()
WARM_UP_SAMPLES: Final = SAMPLE_RATE_HZ
WARM_UP: Final = DecodeOptions(temperatures=(0.0,), max_new_tokens=8)
"""Silence has some models write without end, at one temperature after the other."""


@dataclass(frozen=True, slots=True)
class _Order:
    """A request that was admitted."""

    recording: Recording
    request: TranscriptionRequest
    place: Place
    owner: str


_Same: TypeAlias = tuple[str, str, TranscriptionRequest]
"""Owner, audio and request: what makes two transcriptions one."""


class Elsewhere(Protocol):
    """Other servers, to which recordings are passed on."""

    def transcribe(
        self, source: Path | bytes, request: TranscriptionRequest
    ) -> AsyncGenerator[TranscriptionEvent]:
        """As `pipeline.transcribe`, on whichever of them will do."""

    async def obstacle(self) -> str | None:
        """Why none of them will do; None where one will."""


class TranscriptionService:
    """Admits, joins, runs and cancels transcriptions.

    Args:
        models: the loaded engines, each with the line before it.
        frontend: bytes to speech.
        admission: how many run and wait.
        drain_s: seconds that what runs gets to finish when the service is closed.
        live: bounds on live sessions.
        clock: seconds that only rise.
        telemetry: is told how long things take.

    Attributes:
        live: where live sessions come from.
    """

    def __init__(
        self,
        models: Residency[Dispatcher],
        frontend: Frontend,
        admission: Admission,
        drain_s: float,
        live: LiveLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.telemetry: Final = telemetry or Telemetry()
        self._clock = clock
        self.live: LiveSessions = LiveService(models, frontend.vad, live or LiveLimits(), clock)
        self._models = models
        self._frontend = frontend
        self._admission = admission
        self._drain_s = drain_s
        self._results: ResultCache | None = None
        self._elsewhere: Elsewhere | None = None
        self._in_flight: dict[_Same, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._log = structlog.get_logger(__name__)

    def load(self) -> Load:
        """How many transcriptions run and wait."""
        return self._admission.load()

    def loaded_models(self) -> tuple[EngineDescription, ...]:
        """The models in memory."""
        return self._models.loaded()

    def resident_models(self) -> tuple[ResidentModel, ...]:
        """The models in memory and how they are used, the least recently used first."""
        return self._models.residents()

    def loading_models(self) -> tuple[str, ...]:
        """The names of the models that are being loaded now."""
        return self._models.loading()

    async def load_model(
        self, name: str, *, keep_s: float | None = None
    ) -> tuple[ResidentModel, bool]:
        """Load a model before anybody asks for it; see `Residency.load`."""
        return await self._models.load(name, keep_s=keep_s)

    async def unload_model(self, name: str) -> Unloading:
        """Free a model that nobody uses.

        Raises:
            ModelNotFoundError: no such model.
        """
        return await self._models.unload(name)

    async def preload(self, name: str) -> EngineDescription:
        """Load a model before anybody asks for it, and use it once.

        Raises:
            ModelNotFoundError, ModelUnavailableError: it cannot be had.
            InternalError: it does not work on this device.
        """
        async with self._models.use(name) as model:
            if self._results is not None:
                await self._results.remember(model, name)
            # What is made at the first use, such as memory for attention, is then there.
            silence = Window(np.zeros(WARM_UP_SAMPLES, np.int16), options=WARM_UP)
            await model.lane(Priority.INTERACTIVE).run([silence])
            return model.describe()

    async def unload_idle(self) -> dict[str, int]:
        """Free the models that nobody uses; gives the bytes of main memory that each held."""
        return await self._models.unload_idle()

    def keep_results(self, results: ResultCache) -> None:
        """From now on results are kept; the service closes it."""
        self._results = results

    async def forget_results(self) -> int:
        """Forget all results that are kept; says how many there were.

        Raises:
            StorageFullError, UnavailableError: the database cannot be written.
        """
        return 0 if self._results is None else await self._results.clear()

    def pass_on_to(self, elsewhere: Elsewhere) -> None:
        """From now on no model of this server is used for recordings."""
        self._elsewhere = elsewhere

    async def obstacle(self) -> str | None:
        """What keeps all recordings from being transcribed; None where nothing does."""
        return None if self._elsewhere is None else await self._elsewhere.obstacle()

    async def start(
        self,
        recording: Recording,
        request: TranscriptionRequest,
        owner: str = "",
        caching: Caching = FREELY,
    ) -> Run:
        """Admit the request and start it, join an identical one in flight, or know its result.

        Only requests of the same owner are joined, and answered with a kept result.

        `recording.release` is called in every case, also when this raises. Errors of the model
        (ModelNotFoundError, BadRequestError) and of the audio come from the run.

        Args:
            recording: what to transcribe.
            request: how.
            owner: with whose other requests it shares the device's time; empty: it stands alone.
            caching: whether a kept result will do, or that of a run in flight, and may be kept.

        Raises:
            OverloadedError: every place in the queue is taken.
            UnavailableError: the service is closing.
        """
        same = None
        if recording.digest is not None and caching.read:
            same = (owner, recording.digest, request)
        key: ResultKey | None = None
        try:
            self._check_open()
            if (joined := self._join(same)) is None and recording.digest is not None:
                key, found = await self._known(recording.digest, request, owner, caching)
                if found is not None:
                    recording.release()
                    return found
                # Others may have come while it was looked for.
                self._check_open()
                joined = self._join(same)
            if joined is not None:
                recording.release()
                return joined
            place = self._admission.enter()
        except BaseException:
            recording.release()
            raise
        work = Work(place)
        if same is not None:
            self._in_flight[same] = work
            work.forget = lambda: self._forget(same, work)
        return self._begin(work, _Order(recording, request, place, owner), key)

    def _check_open(self) -> None:
        if self._closing:
            raise UnavailableError(STOPPING, retry_after_s=RETRY_WHILE_STOPPING_S)

    def _join(self, same: _Same | None) -> Run | None:
        work = None if same is None else self._in_flight.get(same)
        return None if work is None else Run(work, CacheOutcome.JOINED)

    async def _known(
        self, digest: str, request: TranscriptionRequest, owner: str, caching: Caching
    ) -> tuple[ResultKey | None, Run | None]:
        """Under what the result is to be kept, if it is; and the one that is there, if any."""
        if self._results is None:
            return None, None
        key = await self._results.key(digest, request, owner)
        if key is None:
            return None, None
        if caching.read and (transcript := await self._results.find(key)) is not None:
            work = Work(None)
            work.finish(transcript)
            return key, Run(work, CacheOutcome.HIT)
        return key if caching.keep else None, None

    def _begin(self, work: Work, order: _Order, key: ResultKey | None) -> Run:
        def ended(task: asyncio.Task[None]) -> None:
            # Here, and not in the task: one that is cancelled before it starts runs no code.
            self._tasks.discard(task)
            order.place.release()
            order.recording.release()
            work.forget()
            work.end(self._error_of(task))

        work.task = asyncio.create_task(self._transcribe(work, order, key))
        self._tasks.add(work.task)
        work.task.add_done_callback(ended)
        return Run(work, CacheOutcome.MISS)

    def _forget(self, same: _Same, work: Work) -> None:
        if self._in_flight.get(same) is work:
            del self._in_flight[same]

    async def _transcribe(self, work: Work, order: _Order, key: ResultKey | None) -> None:
        request, source, results = order.request, order.recording.source, self._results
        queued_s = self._clock()
        await order.place.wait()
        self._tell(Stage.QUEUE, queued_s)
        placed_s = self._clock()
        if self._elsewhere is not None:
            async with aclosing(self._elsewhere.transcribe(source, request)) as passed_on:
                async for event in passed_on:
                    work.add(event)
            return
        async with (
            self._models.use(request.model) as model,
            aclosing(
                transcribe(
                    source, request, model.lane(request.priority, order.owner), self._frontend
                )
            ) as events,
        ):
            keeps = key and results and await results.is_current(key, model, request.model)
            self._tell(Stage.MODEL, placed_s)
            begun_s = self._clock()
            async for event in events:
                if keeps and key and results and isinstance(event, Finished):
                    # Before it is told, so that who asks again at once finds it.
                    results.keep(key, event.transcript)
                work.add(event)
            self._tell(Stage.TRANSCRIBE, begun_s)

    def _tell(self, stage: Stage, began_s: float) -> None:
        self.telemetry.tell(StageDone(stage, began_s, self._clock()))

    def _error_of(self, task: asyncio.Task[None]) -> VerbatimError | None:
        if task.cancelled():
            return UnavailableError(STOPPING, retry_after_s=RETRY_WHILE_STOPPING_S)
        error = task.exception()
        if error is None or isinstance(error, VerbatimError):
            return error
        self._log.error("transcription_failed", exc_info=error)
        return InternalError("The transcription failed; the server's log says why.")

    async def aclose(self) -> None:
        """Admit nothing more, let what runs finish within the drain time, then free the models."""
        self._closing = True
        self.live.drain()
        live = asyncio.create_task(self.live.drained())
        _, late = await asyncio.wait({live, *self._tasks}, timeout=self._drain_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self.live.aclose()
        await self._models.aclose()
        if self._results is not None:
            await self._results.aclose()
