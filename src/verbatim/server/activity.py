"""What the server did: since its start, and lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from verbatim.pipeline.result_cache import CacheOutcome
from verbatim.wire.notes import RequestNotes
from verbatim.wire.server_view import Totals

RECENT_S: Final = 300.0
STEP_S: Final = 10.0
"""What happens in such a time is kept as one sum, so that memory is bounded."""


@dataclass(slots=True)
class _Step:
    since_s: float
    audio_s: float = 0.0
    took_s: float = 0.0


class Activity:
    """Counts requests as they end.

    Args:
        clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_s = clock()
        self._requests = self._errors = self._cache_hits = 0
        self._audio_s = 0.0
        self._steps: deque[_Step] = deque()

    def uptime_s(self) -> float:
        """Since this was made."""
        return self._clock() - self._began_s

    def on_end(self, notes: RequestNotes) -> None:
        """A request ended, or a WebSocket."""
        self._requests += 1
        self._errors += notes.error is not None
        self._cache_hits += notes.cache is CacheOutcome.HIT
        if not notes.audio_s:
            return
        self._audio_s += notes.audio_s
        if notes.transcription_s is not None and notes.cache in {None, CacheOutcome.MISS}:
            step = self._current()
            step.audio_s += notes.audio_s
            step.took_s += notes.transcription_s

    def totals(self) -> Totals:
        """What was done so far."""
        self._forget()
        audio_s = sum(step.audio_s for step in self._steps)
        took_s = sum(step.took_s for step in self._steps)
        return Totals(
            requests=self._requests,
            audio_s=self._audio_s,
            errors=self._errors,
            cache_hits=self._cache_hits,
            real_time_factor=took_s / audio_s if audio_s else None,
        )

    def _current(self) -> _Step:
        self._forget()
        now_s = self._clock()
        if not self._steps or now_s - self._steps[-1].since_s >= STEP_S:
            self._steps.append(_Step(now_s))
        return self._steps[-1]

    def _forget(self) -> None:
        while self._steps and self._clock() - self._steps[0].since_s > RECENT_S:
            self._steps.popleft()
