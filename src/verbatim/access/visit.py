"""A request or a live session while it is served: counted, held to limits, charged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final

from verbatim.access.limits import Allowance, KeyLimiter
from verbatim.access.usage import UsageMeter
from verbatim.domain.keys import Caller


class Visit:
    """A request or a live session of a caller, from `enter` to `leave`.

    Args:
        caller: whose.
        limiter: counts what is asked for with the caller's key.
        meter: writes it down.
        clock: seconds that only rise.
        now: the time, aware of its zone, UTC.
    """

    def __init__(
        self,
        caller: Caller,
        limiter: KeyLimiter,
        meter: UsageMeter,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.caller: Final = caller
        self._limiter = limiter
        self._meter = meter
        self._clock = clock
        self._now = now
        self._inside = False

    def enter(self) -> None:
        """Count the request.

        Raises:
            RateLimitedError: a limit of the key is reached; nothing was counted.
        """
        key_id = self.caller.key_id
        if key_id is None:
            return
        self._limiter.enter(
            self.caller.limits,
            self._clock(),
            self._meter.audio_today_s(key_id),
            _day_left_s(self._now()),
        )
        self._inside = True
        self._meter.on_request(key_id)

    def charge(self, audio_s: float) -> None:
        """So much audio was transcribed; a live session charges as it goes."""
        if self.caller.key_id is not None:
            self._meter.on_audio(self.caller.key_id, audio_s)

    def allowance(self) -> Allowance | None:
        """What is left of the key's requests a minute; None without such a limit."""
        return self._limiter.allowance(self.caller.limits, self._clock())

    def leave(self) -> None:
        """It is over; a second call does nothing."""
        if self._inside:
            self._inside = False
            self._limiter.leave()


def _day_left_s(now: datetime) -> float:
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (tomorrow - now).total_seconds()
