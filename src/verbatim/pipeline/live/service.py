"""All live sessions of a server: how many there may be, and how they end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verbatim.domain.errors import OverloadedError, UnavailableError
from verbatim.domain.live import LiveOptions, SessionEnd
from verbatim.engine.residency import Residency
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.live import LiveLoad
from verbatim.pipeline.live.engine import EngineSource
from verbatim.pipeline.live.options import check_options
from verbatim.pipeline.live.session import SessionTimes, StreamSession
from verbatim.pipeline.live.tap import open_folder
from verbatim.scheduling.dispatcher import Dispatcher

RETRY_S: Final = 10.0
STOPPING: Final = "The server is stopping; connect again in a moment."


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Bounds on live sessions, and what is kept of them.

    Attributes:
        max_sessions: at the same time.
        times: how long each may last.
        debug_audio: folder for what they hear; None: nothing is kept.
    """

    max_sessions: int = 64
    times: SessionTimes = field(default_factory=SessionTimes)
    debug_audio: Path | None = None


class LiveService:
    """The `LiveSessions` of a server.

    Args:
        models: the loaded engines.
        vad: shared by all sessions.
        limits: see there.
        clock: seconds that only rise.

    Raises:
        UnavailableError: the folder for audio cannot be written to.
    """

    def __init__(
        self,
        models: Residency[Dispatcher],
        vad: SileroVad,
        limits: LiveLimits,
        clock: Callable[[], float],
    ) -> None:
        self._source = EngineSource(models, clock)
        self._vad = vad
        self._limits = limits
        self._clock = clock
        self._sessions: set[StreamSession] = set()
        self._opening = 0
        self._draining = False
        if limits.debug_audio is not None:
            open_folder(limits.debug_audio)

    def load(self) -> LiveLoad:
        """How many sessions there are."""
        return LiveLoad(len(self._sessions) + self._opening, self._limits.max_sessions)

    async def open(self, options: LiveOptions, owner: str = "") -> StreamSession:
        """Open a session; see `LiveSessions.open`."""
        check_options(options)
        if self._draining:
            raise UnavailableError(STOPPING, retry_after_s=RETRY_S)
        if self.load().sessions >= self._limits.max_sessions:
            raise OverloadedError(
                f"The server is busy: {self._limits.max_sessions} live sessions are open, and "
                "there may not be more. Connect again in a moment.",
                retry_after_s=RETRY_S,
            )
        self._opening += 1
        try:
            engine = await self._source.open(options, owner)
        finally:
            self._opening -= 1
        session = StreamSession(
            engine,
            self._source,
            self._vad,
            options,
            owner,
            self._limits.times,
            self._clock,
            self._sessions.discard,
        )
        if self._limits.debug_audio is not None:
            session.write_down(self._limits.debug_audio)
        self._sessions.add(session)
        if self._draining:
            session.end(SessionEnd.DRAINING)
        return session

    def drain(self) -> None:
        """Open no more, and let every session finish."""
        self._draining = True
        for session in self._sessions:
            session.end(SessionEnd.DRAINING)

    async def drained(self) -> None:
        """Until every session has finished."""
        while self._sessions:
            await asyncio.gather(*(session.ended() for session in self._sessions))

    async def aclose(self) -> None:
        """End all sessions at once."""
        self._draining = True
        for session in list(self._sessions):
            await session.aclose()
