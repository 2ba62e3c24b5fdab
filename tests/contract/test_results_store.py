"""Kept results, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from verbatim.domain.errors import StorageFullError
from verbatim.settings import Settings
from verbatim.store.database import Database, open_database
from verbatim.store.results import STALE, ResultStore

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
CONTENT = b"\x00\xff of one result"
MAX_BYTES = 10 * len(CONTENT)


@pytest.fixture
async def database(database_settings: dict[str, Any]) -> AsyncIterator[Database]:
    async with open_database(Settings(**database_settings)) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> ResultStore:
    return ResultStore(database, MAX_BYTES, DAY)


async def there(store: ResultStore, names: str, now: datetime = NOW) -> str:
    return "".join([name for name in names if await store.get(name, now)])


async def test_a_result_comes_back_as_it_was(store: ResultStore) -> None:
    assert await store.get("a", NOW) is None
    await store.put("a", CONTENT, NOW)
    assert await store.get("a", NOW) == CONTENT
    assert await store.get("b", NOW) is None
    assert await store.size_bytes() == len(CONTENT)


async def test_a_result_survives_that_the_database_is_opened_again(
    database_settings: dict[str, Any],
) -> None:
    settings = Settings(**database_settings)
    async with open_database(settings) as database:
        await ResultStore(database, MAX_BYTES, DAY).put("a", CONTENT, NOW)
    async with open_database(settings) as database:
        assert await ResultStore(database, MAX_BYTES, DAY).get("a", NOW) == CONTENT


async def test_a_newer_result_takes_the_place(store: ResultStore) -> None:
    await store.put("a", CONTENT, NOW)
    await store.put("a", b"other", NOW + DAY / 2)
    assert await store.get("a", NOW + DAY) == b"other"
    assert await store.size_bytes() == len(b"other")


async def test_results_grow_old(store: ResultStore) -> None:
    await store.put("a", CONTENT, NOW)
    assert await store.get("a", NOW + DAY - SECOND) == CONTENT
    assert await store.get("a", NOW + DAY) is None
    await store.put("b", CONTENT, NOW + DAY)
    assert await store.size_bytes() == len(CONTENT)


async def test_the_least_recently_used_make_room(store: ResultStore) -> None:
    for number, name in enumerate("abcdefghij"):
        await store.put(name, CONTENT, NOW + number * SECOND)
    assert await store.size_bytes() == MAX_BYTES
    used = NOW + STALE + DAY / 2
    assert await store.get("a", used) == CONTENT
    await store.put("k", 2 * CONTENT, used + SECOND)
    assert await there(store, "abcdefghijk", used) == "adefghijk"
    assert await store.size_bytes() == MAX_BYTES


async def test_what_is_larger_than_all_may_be_is_not_kept(store: ResultStore) -> None:
    await store.put("a", CONTENT, NOW)
    await store.put("b", b"x" * (MAX_BYTES + 1), NOW)
    assert await there(store, "ab") == "a"
    await store.put("b", b"x" * MAX_BYTES, NOW + SECOND)
    assert await there(store, "ab", NOW + SECOND) == "b"


async def test_results_at_the_same_time_are_all_kept(store: ResultStore) -> None:
    await asyncio.gather(*(store.put(name, CONTENT, NOW) for name in "aabbccddee"))
    assert await there(store, "abcde") == "abcde"
    assert await store.clear() == 5
    assert await there(store, "abcde") == ""


async def test_a_full_disk_is_told_and_leaves_what_is_there(tmp_path: Path) -> None:
    async with open_database(Settings(data_dir=tmp_path)) as database:
        store = ResultStore(database, 1 << 30, DAY)
        await store.put("a", CONTENT, NOW)
        async with database.engine.connect() as connection:
            pages = int((await connection.execute(text("PRAGMA page_count"))).scalar_one())
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(StorageFullError):
            await store.put("b", b"x" * (1 << 20), NOW)
        assert await there(store, "ab") == "a"
