"""How much a key may ask for: pure counting, on a clock that is passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from verbatim.domain.errors import RateLimitedError
from verbatim.domain.keys import KeyLimits

MINUTE_S: Final = 60.0
PARALLEL_RETRY_S: Final = 1.0
QUOTA_CODE: Final = "insufficient_quota"
"""OpenAI's word, at which client libraries do not try again."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of a limit is left.

    Attributes:
        limit: requests in a span.
        remaining: of these, how many may come now.
        reset_s: seconds until all may come again, if none comes meanwhile.
    """

    limit: int
    remaining: int
    reset_s: float


class SlidingWindow:
    """Counts events so that no span of time, wherever it begins, holds more than the limit.

    A span holds its beginning and not its end. It remembers as many moments as the limit is high.

    Args:
        span_s: its length.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._moments: deque[float] = deque()

    def wait_s(self, limit: int, now_s: float) -> float:
        """Seconds until an event may happen; 0 where one may now."""
        self._forget(now_s)
        excess = len(self._moments) - limit
        return 0.0 if excess < 0 else self._moments[excess] + self._span_s - now_s

    def add(self, now_s: float) -> None:
        """An event happens; no earlier than those before it."""
        self._moments.append(now_s)

    def allowance(self, limit: int, now_s: float) -> Allowance:
        """What is left of the limit."""
        self._forget(now_s)
        reset_s = self._moments[-1] + self._span_s - now_s if self._moments else 0.0
        return Allowance(limit, max(0, limit - len(self._moments)), reset_s)

    def _forget(self, now_s: float) -> None:
        while self._moments and self._moments[0] + self._span_s <= now_s:
            self._moments.popleft()


class KeyLimiter:
    """What one key asks for, as far as its limits look at it."""

    def __init__(self) -> None:
        self._requests = SlidingWindow(MINUTE_S)
        self._running = 0

    @property
    def running(self) -> int:
        """Requests that are being served."""
        return self._running

    def enter(
        self, limits: KeyLimits, now_s: float, audio_today_s: float, day_left_s: float
    ) -> None:
        """Begin to serve a request; one that is refused does not count.

        Args:
            limits: of the key, as they are now.
            now_s: moment on a clock that only rises.
            audio_today_s: seconds of audio that were transcribed today.
            day_left_s: seconds until tomorrow.

        Raises:
            RateLimitedError: one of them is reached.
        """
        _check_parallel(limits.parallel_requests, self._running)
        _check_audio(limits.audio_minutes_per_day, audio_today_s, day_left_s)
        rate = limits.requests_per_minute
        if rate is not None:
            if wait_s := self._requests.wait_s(rate, now_s):
                raise RateLimitedError(
                    f"This key may send {rate} requests a minute, and has. Try again in "
                    f"{math.ceil(wait_s)} seconds.",
                    retry_after_s=wait_s,
                )
            self._requests.add(now_s)
        self._running += 1

    def leave(self) -> None:
        """A request that entered has ended."""
        self._running -= 1

    def allowance(self, limits: KeyLimits, now_s: float) -> Allowance | None:
        """What is left of the requests a minute; None without such a limit."""
        rate = limits.requests_per_minute
        return None if rate is None else self._requests.allowance(rate, now_s)


def _check_parallel(most: int | None, running: int) -> None:
    if most is not None and running >= most:
        raise RateLimitedError(
            f"This key may have {most} requests or live sessions at the same time, and has. Wait "
            "for one to end.",
            code="parallel_limit_exceeded",
            retry_after_s=PARALLEL_RETRY_S,
        )


def _check_audio(minutes: float | None, audio_today_s: float, day_left_s: float) -> None:
    if minutes is not None and audio_today_s >= minutes * MINUTE_S:
        raise RateLimitedError(
            f"This key may have {minutes:g} minutes of audio transcribed a day, and has. The next "
            "day begins at midnight UTC; an administrator can change the limit.",
            code=QUOTA_CODE,
            retry_after_s=day_left_s,
        )
