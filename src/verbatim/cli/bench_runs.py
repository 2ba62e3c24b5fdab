"""Recordings through a model with a stopwatch: what was said, how long it took, what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError
from verbatim.domain.events import Finished, SegmentReady
from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript, WindowResult
from verbatim.engine.lengths import length_for
from verbatim.engine.protocol import Engine, EngineDescription
from verbatim.pipeline.transcribe import Frontend, transcribe
from verbatim.scheduling.dispatcher import Dispatcher


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Windows that an engine decoded.

    Attributes:
        fitted: those that were first encoded at less than 30 s.
        again: those of them that were in doubt, and were done again at 30 s.
    """

    windows: int = 0
    fitted: int = 0
    again: int = 0

    def __add__(self, other: WindowCounts) -> WindowCounts:
        return WindowCounts(
            self.windows + other.windows, self.fitted + other.fitted, self.again + other.again
        )


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One recording, transcribed once.

    Attributes:
        counts: of the windows that were decoded meanwhile.
        first_s: until the first text was there; None where nothing is said.
    """

    transcript: Transcript
    took_s: float
    counts: WindowCounts
    first_s: float | None = None


class CountingEngine:
    """An engine that counts the windows it decodes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.counts = WindowCounts()

    def describe(self) -> EngineDescription:
        """What is loaded."""
        return self._engine.describe()

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows; see `Engine.run`."""
        results = await self._engine.run(windows)
        lengths_s = self.describe().lengths_s
        for window, result in zip(windows, results, strict=True):
            first_s = length_for(window.duration_s, lengths_s)
            fitted, again = first_s < lengths_s[-1], first_s < result.encoded_s
            self.counts += WindowCounts(1, fitted, again)
        return results

    def memory_bytes(self) -> int:
        """Main memory that the model takes."""
        return self._engine.memory_bytes()

    async def aclose(self) -> None:
        """Free the model."""
        await self._engine.aclose()


class Stopwatch:
    """Transcribes recordings one after another with one model, as the command line does.

    Args:
        engine: closed with `aclose`.
        frontend: bytes to speech.
        request: what is asked of each recording.
        clock: seconds.
    """

    def __init__(
        self,
        engine: Engine,
        frontend: Frontend,
        request: TranscriptionRequest,
        clock: Callable[[], float],
    ) -> None:
        self._engine = CountingEngine(engine)
        self._dispatcher = Dispatcher(self._engine, clock=clock)
        self._frontend = frontend
        self._request = request
        self._clock = clock

    async def time(self, path: Path) -> TimedRun:
        """Transcribe a recording.

        Raises:
            VerbatimError: it cannot be transcribed.
        """
        self._engine.counts = WindowCounts()
        lane = self._dispatcher.lane(self._request.priority)
        first_s: float | None = None
        began_s = self._clock()
        async with aclosing(transcribe(path, self._request, lane, self._frontend)) as events:
            async for event in events:
                if isinstance(event, SegmentReady) and first_s is None:
                    first_s = self._clock() - began_s
                if isinstance(event, Finished):
                    took_s = self._clock() - began_s
                    return TimedRun(event.transcript, took_s, self._engine.counts, first_s)
        raise InternalError("The transcription ended without a result. Please report this.")

    async def aclose(self) -> None:
        """Free the model."""
        await self._dispatcher.aclose()
