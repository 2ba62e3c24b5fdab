"""What a dialect may know of the server that mounts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totals:
    """What was done since the start.

    Attributes:
        requests: answered, those of machines (health, metrics) aside, and WebSockets that ended.
        audio_s: seconds of audio transcribed.
        errors: told to clients.
        cache_hits: answers that were known from before.
        real_time_factor: time of the last minutes' transcriptions, waiting included, by the
            audio's length; None where there were none.
    """

    requests: int = 0
    audio_s: float = 0.0
    errors: int = 0
    cache_hits: int = 0
    real_time_factor: float | None = None


def _zero() -> float:
    return 0.0


async def _nothing() -> None:
    return None


def _no() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ServerView:
    """The server, asked whenever it is looked at.

    Attributes:
        version: of Verbatim.
        uptime_s: since it was made.
        obstacle: what keeps requests away; None where nothing does.
        draining: whether it takes no new work.
        totals: see there.
    """

    version: str = ""
    uptime_s: Callable[[], float] = _zero
    obstacle: Callable[[], Awaitable[str | None]] = _nothing
    draining: Callable[[], bool] = _no
    totals: Callable[[], Totals] = Totals
