"""Sums of what the server did, and how fast it was lately."""

from __future__ import annotations

import pytest

from verbatim.domain.errors import ErrorKind
from verbatim.pipeline.result_cache import CacheOutcome
from verbatim.server.activity import RECENT_S, STEP_S, Activity
from verbatim.wire.notes import RequestNotes


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def spoken(audio_s: float, took_s: float, cache: CacheOutcome | None = None) -> RequestNotes:
    return RequestNotes(audio_s=audio_s, transcription_s=took_s, cache=cache)


def test_everything_is_added_up() -> None:
    clock = Clock()
    activity = Activity(clock)
    assert activity.totals().real_time_factor is None
    activity.on_end(RequestNotes())
    activity.on_end(RequestNotes(error=ErrorKind.BAD_REQUEST))
    activity.on_end(spoken(60, 6))
    activity.on_end(spoken(40, 4, CacheOutcome.MISS))
    activity.on_end(spoken(100, 0.01, CacheOutcome.HIT))
    clock.now_s += 7
    totals = activity.totals()
    assert activity.uptime_s() == 7
    assert (totals.requests, totals.errors, totals.cache_hits) == (5, 1, 1)
    assert totals.audio_s == 200
    assert totals.real_time_factor == pytest.approx(0.1)  # what was known took no time


def test_only_the_last_minutes_count_for_the_speed() -> None:
    clock = Clock()
    activity = Activity(clock)
    for took_s in (50, 10):
        activity.on_end(spoken(100, took_s))
        clock.now_s += RECENT_S / 2 + STEP_S
    assert activity.totals().real_time_factor == pytest.approx(0.1)
    clock.now_s += RECENT_S
    assert activity.totals().real_time_factor is None
    assert activity.totals().audio_s == 200


def test_memory_is_bounded() -> None:
    clock = Clock()
    activity = Activity(clock)
    for _ in range(5000):
        activity.on_end(spoken(10, 1))
        clock.now_s += 0.5
    assert len(activity._steps) <= RECENT_S / STEP_S + 1
