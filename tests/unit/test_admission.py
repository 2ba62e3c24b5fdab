"""Who runs, who waits, who is told to come back."""

from __future__ import annotations

import asyncio

import pytest

from verbatim.domain.errors import OverloadedError
from verbatim.scheduling.admission import Admission, Place


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def admission(running: int = 2, waiting: int = 2) -> tuple[Admission, Clock]:
    clock = Clock()
    return Admission(running, waiting, clock), clock


async def served(place: Place) -> bool:
    waiting = asyncio.ensure_future(place.wait())
    await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    return done


async def test_places_then_a_line_then_a_refusal() -> None:
    door, _ = admission()
    places = [door.enter() for _ in range(4)]
    assert [await served(place) for place in places] == [True, True, False, False]
    with pytest.raises(OverloadedError) as refused:
        door.enter()
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s >= 1
    assert (door.load().running, door.load().waiting) == (2, 2)


async def test_first_come_first_served() -> None:
    door, _ = admission(running=1, waiting=3)
    first, second, third, fourth = (door.enter() for _ in range(4))
    third.release()
    first.release()
    assert await served(second)
    assert not await served(fourth)
    second.release()
    assert await served(fourth)
    fourth.release()
    assert (door.load().running, door.load().waiting) == (0, 0)


async def test_releasing_twice_frees_one_place() -> None:
    door, _ = admission(running=1, waiting=5)
    first, second, third = (door.enter() for _ in range(3))
    first.release()
    first.release()
    assert await served(second)
    assert not await served(third)


async def test_a_cancelled_waiter_that_was_just_served_gives_its_place_on() -> None:
    door, _ = admission(running=1, waiting=5)
    first, second, third = (door.enter() for _ in range(3))
    waiting = asyncio.ensure_future(second.wait())
    await asyncio.sleep(0)
    first.release()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second.release()
    assert await served(third)


async def test_the_time_to_come_back_follows_how_long_requests_take() -> None:
    door, clock = admission(running=1, waiting=0)
    for _ in range(40):
        place = door.enter()
        clock.now += 60
        place.release()
    door.enter()
    with pytest.raises(OverloadedError) as refused:
        door.enter()
    assert refused.value.retry_after_s == pytest.approx(60, rel=0.05)
