"""Limits of keys: counted exactly, on a clock by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.access.limits import MINUTE_S, QUOTA_CODE, KeyLimiter, SlidingWindow
from verbatim.domain.errors import RateLimitedError
from verbatim.domain.keys import KeyLimits

SPAN_S = 60.0
DAY_LEFT_S = 3600.0

# Whole seconds, so that sums are exact and moments meet the window's edges.
pauses = st.lists(st.integers(0, 90).map(float), max_size=60)
limits = st.integers(1, 6)


def asked_at(pauses_s: list[float]) -> list[float]:
    moments, now_s = [], 1000.0
    for pause_s in pauses_s:
        now_s += pause_s
        moments.append(now_s)
    return moments


def admitted(limit: int, moments: list[float]) -> list[float]:
    window, let_in = SlidingWindow(SPAN_S), []
    for now_s in moments:
        if not window.wait_s(limit, now_s):
            window.add(now_s)
            let_in.append(now_s)
    return let_in


@given(limits, pauses)
def test_no_span_holds_more_than_the_limit(limit: int, pauses_s: list[float]) -> None:
    let_in = admitted(limit, asked_at(pauses_s))
    for begin_s in let_in:
        assert sum(begin_s <= moment < begin_s + SPAN_S for moment in let_in) <= limit


@given(limits, pauses)
def test_who_is_refused_would_have_been_one_too_many(limit: int, pauses_s: list[float]) -> None:
    moments = asked_at(pauses_s)
    let_in = admitted(limit, moments)
    for refused in set(moments) - set(let_in):
        assert sum(refused - SPAN_S < moment <= refused for moment in let_in) >= limit


@given(limits, pauses)
def test_the_wait_is_exact(limit: int, pauses_s: list[float]) -> None:
    window = SlidingWindow(SPAN_S)
    for now_s in asked_at(pauses_s):
        wait_s = window.wait_s(limit, now_s)
        if not wait_s:
            window.add(now_s)
            continue
        assert 0 < wait_s <= SPAN_S
        known = [*window._moments]
        # Looked at in copies, because looking forgets.
        for later_s, free in ((wait_s, True), (wait_s - 0.5, False)):
            copy = SlidingWindow(SPAN_S)
            for moment in known:
                copy.add(moment)
            assert (copy.wait_s(limit, now_s + later_s) == 0) is free


@given(limits, pauses)
def test_what_is_left_agrees_with_what_is_let_in(limit: int, pauses_s: list[float]) -> None:
    window = SlidingWindow(SPAN_S)
    for now_s in asked_at(pauses_s):
        left = window.allowance(limit, now_s)
        assert left.limit == limit
        assert (left.remaining == 0) is (window.wait_s(limit, now_s) > 0)
        for _ in range(left.remaining):
            assert window.wait_s(limit, now_s) == 0
            window.add(now_s)
        assert window.wait_s(limit, now_s) > 0
        assert window.allowance(limit, now_s).reset_s <= SPAN_S


def test_the_reset_is_when_all_is_free_again() -> None:
    window = SlidingWindow(SPAN_S)
    assert window.allowance(5, 0.0).reset_s == 0.0
    window.add(0.0)
    window.add(20.0)
    assert window.allowance(5, 30.0).reset_s == 50.0
    assert window.allowance(5, 79.0).remaining == 4
    assert window.allowance(5, 80.0).remaining == 5


def test_a_limit_that_was_lowered_counts_at_once() -> None:
    window = SlidingWindow(SPAN_S)
    for second in range(10):
        window.add(float(second))
    assert window.wait_s(10, 9.0) == 51.0
    # Of ten requests eight must be over before a third is accepted.
    assert window.wait_s(3, 9.0) == 58.0
    assert window.wait_s(11, 9.0) == 0.0
    assert window.allowance(3, 9.0).remaining == 0


def enter(limiter: KeyLimiter, limits: KeyLimits, now_s: float = 0.0, audio_s: float = 0.0) -> None:
    limiter.enter(limits, now_s, audio_s, DAY_LEFT_S)


def test_requests_a_minute() -> None:
    limiter, limits = KeyLimiter(), KeyLimits(requests_per_minute=2)
    enter(limiter, limits, 0.0)
    enter(limiter, limits, 10.25)
    with pytest.raises(RateLimitedError, match="in 50 seconds") as caught:
        enter(limiter, limits, 10.5)
    assert caught.value.retry_after_s == MINUTE_S - 10.5
    assert caught.value.code == "rate_limit_exceeded"
    enter(limiter, limits, MINUTE_S)
    left = limiter.allowance(limits, MINUTE_S)
    assert left is not None
    assert (left.limit, left.remaining) == (2, 0)
    assert limiter.allowance(KeyLimits(), 0.0) is None


def test_requests_at_the_same_time() -> None:
    limiter, limits = KeyLimiter(), KeyLimits(parallel_requests=2, requests_per_minute=3)
    enter(limiter, limits)
    enter(limiter, limits)
    for _ in range(5):
        with pytest.raises(RateLimitedError, match="at the same time") as caught:
            enter(limiter, limits)
    assert caught.value.code == "parallel_limit_exceeded"
    assert caught.value.retry_after_s
    limiter.leave()
    # Those that were refused used up no requests a minute.
    enter(limiter, limits)
    assert limiter.running == 2


def test_audio_a_day() -> None:
    limiter, limits = KeyLimiter(), KeyLimits(audio_minutes_per_day=1.5)
    enter(limiter, limits, audio_s=89.9)
    with pytest.raises(RateLimitedError, match=r"1\.5 minutes") as caught:
        enter(limiter, limits, audio_s=90.0)
    assert caught.value.code == QUOTA_CODE
    assert caught.value.retry_after_s == DAY_LEFT_S


def test_no_limits() -> None:
    limiter = KeyLimiter()
    for _ in range(1000):
        enter(limiter, KeyLimits(), audio_s=1e9)
    assert limiter.running == 1000


@given(st.lists(st.booleans(), max_size=100), st.integers(1, 4))
def test_never_more_at_once_than_may_be(steps: list[bool], most: int) -> None:
    limiter, limits, inside = KeyLimiter(), KeyLimits(parallel_requests=most), 0
    for comes in steps:
        if comes:
            try:
                enter(limiter, limits)
                inside += 1
            except RateLimitedError:
                assert inside == most
        elif inside:
            limiter.leave()
            inside -= 1
        assert limiter.running == inside <= most
