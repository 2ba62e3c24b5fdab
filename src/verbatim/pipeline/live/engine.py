"""The engine as a live session uses it: one window at a time, tried again until it is decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.domain.live import LiveOptions
from verbatim.domain.request import Priority, Task
from verbatim.domain.transcript import WindowResult
from verbatim.engine.protocol import Engine, EngineDescription
from verbatim.engine.residency import Residency
from verbatim.scheduling.dispatcher import Dispatcher

RETRY_FOR_S: Final = 30.0
"""How long a window is tried again while the engine is not there."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
MAX_FAILURES: Final = 3
"""How often a window may fail in an engine that is there."""

log = structlog.stdlib.get_logger(__name__)


class LiveEngine:
    """A model that a session holds, and its place in the line before it.

    Made by `open_engine`; closed by `aclose`.
    """

    def __init__(
        self,
        name: str,
        lanes: Mapping[Priority, Engine],
        held: AsyncExitStack,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self._lanes = lanes
        self._held = held
        self._clock = clock

    def describe(self) -> EngineDescription:
        """The model."""
        return self._lanes[Priority.LIVE].describe()

    def check(self, options: LiveOptions) -> None:
        """Refuse what the model cannot do.

        Raises:
            BadRequestError: an unknown language, or translation by an English-only model.
        """
        known = self.describe().languages
        for code in filter(None, (options.language, *options.languages)):
            if code not in known:
                raise BadRequestError(
                    f"The model does not know the language {code!r}. It knows: {', '.join(known)}.",
                    param="language",
                )
        if options.task is Task.TRANSLATE and not self.describe().multilingual:
            raise BadRequestError(
                "This model knows only English and cannot translate; take a multilingual one.",
                param="task",
            )

    async def run(self, window: Window, priority: Priority = Priority.LIVE) -> WindowResult:
        """Decode a window, however often it takes.

        Args:
            window: what to decode.
            priority: LIVE, or INTERACTIVE for what nobody waits for so eagerly.

        Raises:
            VerbatimError: it cannot be decoded, or the engine did not come back in time.
        """
        deadline_s = self._clock() + RETRY_FOR_S
        failures = 0
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                (result,) = await self._lanes[priority].run([window])
            except BadRequestError:
                raise
            except VerbatimError as error:
                failures += not error.retryable
                if failures >= MAX_FAILURES or self._clock() + pause_s >= deadline_s:
                    raise
                log.warning(
                    "a live window is tried again",
                    reason=error.message,
                    start_s=round(window.start_s, 2),
                    duration_s=round(window.duration_s, 2),
                )
            else:
                return result
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def aclose(self) -> None:
        """Let the model go; twice is fine."""
        await self._held.aclose()


@dataclass(frozen=True, slots=True)
class EngineSource:
    """Where sessions get their engines."""

    models: Residency[Dispatcher]
    clock: Callable[[], float]

    async def open(self, options: LiveOptions, owner: str) -> LiveEngine:
        """Hold a model, loaded if need be.

        Raises:
            ModelNotFoundError, ModelUnavailableError: it cannot be had.
            BadRequestError: it cannot do what the options ask.
        """
        async with AsyncExitStack() as opening:
            dispatcher = await opening.enter_async_context(self.models.use(options.model))
            lanes = {
                priority: dispatcher.lane(priority, owner)
                for priority in (Priority.LIVE, Priority.INTERACTIVE)
            }
            engine = LiveEngine(options.model, lanes, opening.pop_all(), self.clock)
        try:
            engine.check(options)
        except BaseException:
            await engine.aclose()
            raise
        return engine
