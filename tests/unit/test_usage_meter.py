"""Counting what keys are used for: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.access.usage import UsageMeter
from verbatim.domain.errors import StorageFullError
from verbatim.domain.keys import Key, KeyUse

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Book:
    """Keeps what is written, or refuses it; and is the clock."""

    def __init__(self) -> None:
        self.now = NOON
        self.full = False
        self.uses: list[KeyUse] = []
        self.before_writing = asyncio.Event()
        self.before_writing.set()
        self.meter = UsageMeter(self.save, lambda: self.now)

    async def save(self, uses: Sequence[KeyUse]) -> None:
        if self.full:
            raise StorageFullError("Full.")
        await self.before_writing.wait()
        self.uses += uses

    def requests(self) -> Counter[str]:
        counter: Counter[str] = Counter()
        for use in self.uses:
            counter[use.key_id] += use.requests
        return counter


async def test_uses_are_written_together() -> None:
    book = Book()
    for _ in range(3):
        book.meter.on_request("a")
    book.now += timedelta(seconds=5)
    book.meter.on_request("b")
    book.meter.on_audio("a", 2.5)
    book.meter.on_audio("a", 0.5)
    assert book.meter.unsaved_requests == 4
    await book.meter.flush()
    later = NOON + timedelta(seconds=5)
    assert sorted(book.uses, key=lambda use: use.key_id) == [
        KeyUse("a", NOON.date(), 3, 3.0, later),
        KeyUse("b", NOON.date(), 1, 0.0, later),
    ]
    book.uses.clear()
    await book.meter.flush()
    assert book.uses == []
    assert book.meter.unsaved_requests == 0


async def test_what_could_not_be_written_is_written_later() -> None:
    book = Book()
    book.meter.on_request("a")
    book.full = True
    for _ in range(3):
        with pytest.raises(StorageFullError):
            await book.meter.flush()
        book.meter.on_request("a")
    book.full = False
    await book.meter.flush()
    assert book.requests() == {"a": 4}


async def test_what_comes_while_it_is_written_counts_too() -> None:
    book = Book()
    book.meter.on_request("a")
    book.before_writing.clear()
    flushing = asyncio.create_task(book.meter.flush())
    await asyncio.sleep(0)
    book.meter.on_request("a")
    book.meter.on_audio("a", 4.0)
    assert book.meter.audio_today_s("a") == 4.0
    second = asyncio.create_task(book.meter.flush())
    await asyncio.sleep(0)
    book.before_writing.set()
    await asyncio.gather(flushing, second)
    assert book.requests() == {"a": 2}
    assert book.meter.audio_today_s("a") == 4.0


async def test_the_day_ends_at_midnight() -> None:
    book = Book()
    book.meter.on_audio("a", 10.0)
    book.now += timedelta(hours=11, minutes=59)
    assert book.meter.audio_today_s("a") == 10.0
    book.now += timedelta(minutes=1)
    assert book.meter.audio_today_s("a") == 0.0
    book.meter.on_audio("a", 1.0)
    await book.meter.flush()
    assert {use.day.day: use.audio_s for use in book.uses} == {21: 10.0, 22: 1.0}
    assert book.meter.audio_today_s("a") == 1.0


async def test_what_others_wrote_counts_once_it_is_read() -> None:
    book = Book()
    book.meter.on_audio("a", 1.0)
    key = Key("a", "name", "...", frozenset(), NOON, audio_today_s=7.0)
    book.meter.on_read(key, NOON.date())
    assert book.meter.audio_today_s("a") == 8.0
    await book.meter.flush()
    assert book.meter.audio_today_s("a") == 8.0
    assert book.meter.audio_today_s("b") == 0.0


@given(
    st.lists(
        st.one_of(st.sampled_from("abc"), st.sampled_from(["flush", "fill", "empty", "midnight"])),
        max_size=50,
    )
)
def test_nothing_is_lost_and_nothing_counts_twice(steps: list[str]) -> None:
    async def run() -> None:
        book, expected = Book(), Counter[str]()
        for step in steps:
            if step == "flush":
                try:
                    await book.meter.flush()
                except StorageFullError:
                    assert book.full
            elif step in {"fill", "empty"}:
                book.full = step == "fill"
            elif step == "midnight":
                book.now += timedelta(days=1)
            else:
                book.meter.on_request(step)
                expected[step] += 1
        book.full = False
        await book.meter.flush()
        assert book.requests() == expected

    asyncio.run(run())
