"""What is asked for with each key, counted in memory and written down now and then."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from verbatim.domain.keys import Key, KeyUse


@dataclass(slots=True)
class _Count:
    last_used_at: datetime
    requests: int = 0
    audio_s: float = 0.0


class UsageMeter:
    """Counts; what could not be written is kept and written the next time.

    Args:
        save: writes uses down, all or none.
        now: the time, aware of its zone, UTC.
    """

    def __init__(
        self,
        save: Callable[[Sequence[KeyUse]], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._save = save
        self._now = now
        self._unsaved: dict[tuple[str, date], _Count] = {}
        self._saved_s: dict[str, dict[date, float]] = defaultdict(dict)
        self._flushing = asyncio.Lock()

    def on_read(self, key: Key, today: date) -> None:
        """A key was read: what other processes wrote of it is known now."""
        self._saved_s[key.id] = {today: key.audio_today_s}

    def on_request(self, key_id: str) -> None:
        """A request was accepted."""
        self._count(key_id).requests += 1

    def on_audio(self, key_id: str, audio_s: float) -> None:
        """So much audio was transcribed."""
        self._count(key_id).audio_s += audio_s

    def audio_today_s(self, key_id: str) -> float:
        """Seconds of audio since midnight UTC, as far as they are known here."""
        today = self._now().date()
        unsaved = self._unsaved.get((key_id, today))
        return self._saved_s[key_id].get(today, 0.0) + (unsaved.audio_s if unsaved else 0.0)

    @property
    def unsaved_requests(self) -> int:
        """Requests that are not written down."""
        return sum(count.requests for count in self._unsaved.values())

    async def flush(self) -> None:
        """Write down what was counted; raises what `save` raises, and then keeps all of it."""
        async with self._flushing:
            if not self._unsaved:
                return
            uses = [
                KeyUse(key_id, day, count.requests, count.audio_s, count.last_used_at)
                for (key_id, day), count in self._unsaved.items()
            ]
            await self._save(uses)
            for use in uses:
                self._on_saved(use)

    def _on_saved(self, use: KeyUse) -> None:
        # Not simply emptied: more may have been counted meanwhile.
        count = self._unsaved[use.key_id, use.day]
        count.requests -= use.requests
        count.audio_s -= use.audio_s
        if not (count.requests or count.audio_s):
            del self._unsaved[use.key_id, use.day]
        days = self._saved_s[use.key_id]
        days[use.day] = days.get(use.day, 0.0) + use.audio_s

    def _count(self, key_id: str) -> _Count:
        now = self._now()
        count = self._unsaved.setdefault((key_id, now.date()), _Count(now))
        count.last_used_at = now
        return count
