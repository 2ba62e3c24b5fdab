"""The store's promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import multiprocessing
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection
from tests.support.postgres import PostgresServer

from verbatim.domain.errors import BadRequestError, StorageFullError, UnavailableError
from verbatim.domain.keys import Key, KeyLimits, KeyUse, Scope
from verbatim.settings import Settings
from verbatim.store.database import FILE_NAME, Database, open_database
from verbatim.store.keys import KeyStore, StoredClientSecret
from verbatim.store.tables import Table

NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
PROCESSES = 3
START_S = 150
"""A busy machine takes its time to start processes."""

KEY = Key(
    id="key_1",
    name="전화 电话",
    preview="sk-a6e05...be80",
    scopes=frozenset({Scope.LIVE, Scope.JOBS}),
    created_at=NOW - timedelta(days=3),
    expires_at=NOW + timedelta(days=3),
    limits=KeyLimits(60, 90.5, 3),
)


@pytest.fixture
async def database(database_settings: dict[str, Any]) -> AsyncIterator[Database]:
    async with open_database(Settings(**database_settings)) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


def use(
    key_id: str = "key_1", requests: int = 1, audio_s: float = 0.0, day: date = TODAY
) -> KeyUse:
    return KeyUse(key_id, day, requests, audio_s, datetime.combine(day, NOW.timetz()))


async def test_a_key_comes_back_as_it_was(store: KeyStore) -> None:
    assert await store.add(KEY, "digest")
    assert await store.find("digest", TODAY) == KEY
    assert await store.get("key_1", TODAY) == KEY
    assert await store.list(TODAY) == [KEY]
    assert await store.find("other", TODAY) is None
    assert await store.get("key_2", TODAY) is None


async def test_times_of_any_zone_come_back_in_utc(store: KeyStore) -> None:
    seoul = timezone(timedelta(hours=9))
    await store.add(replace(KEY, expires_at=NOW.astimezone(seoul)), "digest")
    found = await store.find("digest", TODAY)
    assert found is not None
    assert found.expires_at == NOW
    assert found.expires_at.tzinfo is UTC


async def test_a_digest_is_there_once(store: KeyStore) -> None:
    assert await store.add(KEY, "digest")
    assert not await store.add(replace(KEY, id="key_2"), "digest")
    assert [key.id for key in await store.list(TODAY)] == ["key_1"]


async def test_keys_survive_that_the_database_is_opened_again(
    database_settings: dict[str, Any],
) -> None:
    settings = Settings(**database_settings)
    for round_number in range(3):
        async with open_database(settings) as database:
            store = KeyStore(database)
            assert len(await store.list(TODAY)) == round_number
            await store.add(replace(KEY, id=f"key_{round_number}"), f"digest {round_number}")


async def test_a_change(store: KeyStore) -> None:
    await store.add(KEY, "digest")

    def edit(key: Key) -> Key:
        assert key == KEY
        return replace(
            key,
            name="other",
            scopes=frozenset({Scope.ADMIN}),
            expires_at=None,
            revoked_at=NOW,
            limits=KeyLimits(),
        )

    changed = await store.change("key_1", TODAY, edit)
    assert changed == edit(KEY)
    assert await store.find("digest", TODAY) == changed
    assert await store.change("key_2", TODAY, edit) is None


async def test_a_change_that_fails_changes_nothing(store: KeyStore) -> None:
    await store.add(KEY, "digest")

    def refuse(key: Key) -> Key:
        raise BadRequestError("No.")

    with pytest.raises(BadRequestError):
        await store.change("key_1", TODAY, refuse)
    assert await store.list(TODAY) == [KEY]


async def test_changes_at_the_same_time_all_hold(store: KeyStore) -> None:
    await store.add(replace(KEY, name=""), "digest")
    letters = "abcdefgh"

    def appending(letter: str) -> Any:
        return lambda key: replace(key, name=key.name + letter)

    await asyncio.gather(*(store.change("key_1", TODAY, appending(letter)) for letter in letters))
    (key,) = await store.list(TODAY)
    assert sorted(key.name) == list(letters)


async def test_counters_add_up(store: KeyStore) -> None:
    await store.add(KEY, "digest")
    await store.add_uses([use(requests=2, audio_s=1.5, day=YESTERDAY), use(requests=1, audio_s=10)])
    await store.add_uses([use(requests=3, audio_s=0.25), use("nobody", requests=9)])
    key = await store.get("key_1", TODAY)
    assert key is not None
    assert (key.request_count, key.audio_s, key.audio_today_s) == (6, 11.75, 10.25)
    assert key.last_used_at == NOW
    on = await store.find("digest", YESTERDAY)
    assert on is not None
    assert on.audio_today_s == 1.5
    days = [(day.day, day.requests, day.audio_s) for day in await store.days("key_1", YESTERDAY)]
    assert days == [(YESTERDAY, 2, 1.5), (TODAY, 4, 10.25)]
    assert len(await store.days("key_1", TODAY)) == 1
    await store.forget_days(TODAY)
    assert [day.day for day in await store.days("key_1", YESTERDAY)] == [TODAY]


async def test_the_last_use_is_the_latest_whoever_writes_last(store: KeyStore) -> None:
    await store.add(KEY, "digest")
    await store.add_uses([use()])
    await store.add_uses([use(day=YESTERDAY)])
    (key,) = await store.list(TODAY)
    assert key.last_used_at == NOW


async def test_counters_written_at_the_same_time_all_count(store: KeyStore) -> None:
    for number in (1, 2):
        await store.add(replace(KEY, id=f"key_{number}"), f"digest {number}")
    both = [use("key_1", 1, 1.0), use("key_2", 1, 1.0)]
    await asyncio.gather(*(store.add_uses(both[:: 1 if n % 2 else -1]) for n in range(10)))
    for key in await store.list(TODAY):
        assert (key.request_count, key.audio_today_s) == (10, 10.0)


async def test_first_keys_are_made_once(store: KeyStore) -> None:
    first = [(KEY, "a"), (replace(KEY, id="key_2"), "b")]
    made = await asyncio.gather(*(store.add_first(first) for _ in range(3)))
    assert sorted(made) == [False, False, True]
    assert {key.id for key in await store.list(TODAY)} == {"key_1", "key_2"}


async def test_client_secrets(store: KeyStore) -> None:
    await store.add(KEY, "digest")
    soon = StoredClientSecret("key_1", authenticated=True, expires_at=NOW, grant='{"a": "한"}')
    assert await store.add_client_secret("s1", soon, now=NOW - timedelta(seconds=1), most=2)
    assert await store.find_client_secret("s1") == soon
    assert await store.find_client_secret("s2") is None
    later = replace(soon, expires_at=NOW + timedelta(seconds=9))
    assert await store.add_client_secret("s2", later, now=NOW - timedelta(seconds=1), most=2)
    assert not await store.add_client_secret("s3", later, now=NOW - timedelta(seconds=1), most=2)
    # Others have room of their own, and who is over makes room.
    nobody = replace(later, key_id=None, authenticated=False)
    assert await store.add_client_secret("s4", nobody, now=NOW - timedelta(seconds=1), most=1)
    assert not await store.add_client_secret("s5", nobody, now=NOW - timedelta(seconds=1), most=1)
    assert await store.add_client_secret("s6", later, now=NOW, most=2)
    assert await store.find_client_secret("s1") is None
    assert await store.find_client_secret("s4") == nobody


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    store = KeyStore(database)
    await store.add(KEY, "digest")
    with pytest.raises(ZeroDivisionError):
        async with database.writing() as session:
            await session.execute(text("DELETE FROM keys"))
            raise ZeroDivisionError
    assert await store.list(TODAY) == [KEY]


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(database: Database) -> None:
    store = KeyStore(database)
    inside = asyncio.Event()

    async def hold() -> None:
        async with database.exclusive() as session:
            await session.execute(text("DELETE FROM keys"))
            inside.set()
            await asyncio.Event().wait()

    await store.add(KEY, "digest")
    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(START_S):
        assert not await store.add(KEY, "digest")
    assert await store.list(TODAY) == [KEY]


async def test_migrations_make_what_the_tables_say(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def _open_and_count(settings: dict[str, Any], ready: Any, results: Any) -> None:
    async def work() -> bool:
        async with open_database(Settings(**settings)) as database:
            return await KeyStore(database).add_first([(KEY, "digest")])

    ready.wait()
    results.put(asyncio.run(work()))


def test_processes_that_start_at_the_same_time(database_settings: dict[str, Any]) -> None:
    spawning = multiprocessing.get_context("spawn")
    ready, results = spawning.Barrier(PROCESSES), spawning.Queue()
    arguments = (database_settings, ready, results)
    processes = [spawning.Process(target=_open_and_count, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    made = [results.get(timeout=START_S) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(made) == [False] * (PROCESSES - 1) + [True]


async def test_a_database_of_a_newer_verbatim(database_settings: dict[str, Any]) -> None:
    settings = Settings(**database_settings)
    async with open_database(settings) as database, database.writing() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnavailableError, match="newer Verbatim"):
        async with open_database(settings):
            pass


async def test_a_full_disk_is_told_and_got_over(tmp_path: Path) -> None:
    async with open_database(Settings(data_dir=tmp_path)) as database:
        store = KeyStore(database)
        await store.add(KEY, "digest")
        large = StoredClientSecret("key_1", authenticated=True, expires_at=NOW, grant="x" * 30_000)
        past = NOW - timedelta(seconds=1)
        async with database.engine.connect() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(StorageFullError, match="disk is full") as caught:
            await store.add_client_secret("secret", large, now=past, most=9)
        # Callers are not told where the server keeps its files.
        assert str(tmp_path) not in caught.value.message
        assert await store.list(TODAY) == [KEY]
        assert await store.find_client_secret("secret") is None
        async with database.engine.connect() as connection:
            await connection.execute(text(f"PRAGMA max_page_count = {pages + 100}"))
        assert await store.add_client_secret("secret", large, now=past, most=9)
        assert await store.find_client_secret("secret") == large


async def test_postgres_without_room_is_told_as_a_full_disk(postgres: PostgresServer) -> None:
    """The server itself raises here what it raises on a full disk."""
    async with open_database(Settings(database_url=postgres.new_database())) as database:
        store = KeyStore(database)
        await store.add(KEY, "digest")
        async with database.writing() as session:
            await session.execute(
                text(
                    "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION "
                    "'could not extend file' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql"
                )
            )
            await session.execute(
                text("CREATE TRIGGER t BEFORE INSERT ON keys EXECUTE FUNCTION full_disk()")
            )
        with pytest.raises(StorageFullError, match="disk is full"):
            await store.add(replace(KEY, id="key_2"), "other")
        assert await store.list(TODAY) == [KEY]


async def test_a_postgres_that_is_not_there(tmp_path: Path) -> None:
    url = f"postgresql://somebody:pa55word@/verbatim?host={tmp_path}"
    with pytest.raises(UnavailableError, match="database_url") as caught:
        async with open_database(Settings(database_url=url)):
            pass
    assert "pa55word" not in str(caught.value)


async def test_a_postgres_that_went_away_comes_back(postgres: PostgresServer) -> None:
    async with open_database(Settings(database_url=postgres.new_database())) as database:
        store = KeyStore(database)
        await store.add(KEY, "digest")
        async with database.reading() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        assert await store.list(TODAY) == [KEY]


@pytest.mark.parametrize(
    "url", ["mysql://a:pa55word@b/c", "nonsense pa55word", "sqlite://", "sqlite:///:memory:"]
)
async def test_urls_of_nothing_that_can_be_used(url: str) -> None:
    with pytest.raises(BadRequestError, match="database_url") as caught:
        async with open_database(Settings(database_url=url)):
            pass
    assert "pa55word" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"This is no database. " * 500)
    with pytest.raises(UnavailableError, match="damaged"):
        async with open_database(Settings(data_dir=tmp_path)):
            pass


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="data_dir"):
        async with open_database(Settings(data_dir=tmp_path / "file")):
            pass


async def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    async with open_database(Settings(data_dir=tmp_path / "data")) as database:
        await KeyStore(database).add(KEY, "digest")
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        files = list((tmp_path / "data").iterdir())
        assert {file.name for file in files} >= {FILE_NAME, f"{FILE_NAME}-wal"}
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


async def test_a_file_can_be_named_by_its_url(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    async with open_database(Settings(database_url=url)) as database:
        assert await KeyStore(database).add(KEY, "digest")
    assert (tmp_path / "other.db").stat().st_size


async def test_sqlite_is_prepared(tmp_path: Path) -> None:
    async with (
        open_database(Settings(data_dir=tmp_path)) as database,
        database.reading() as session,
    ):

        async def pragma(name: str) -> Any:
            return await session.scalar(text(f"PRAGMA {name}"))

        assert await pragma("journal_mode") == "wal"
        assert await pragma("foreign_keys") == 1
        assert await pragma("synchronous") == 2
        assert await pragma("busy_timeout") >= 5000


async def test_readers_do_not_wait_for_writers(tmp_path: Path) -> None:
    async with open_database(Settings(data_dir=tmp_path)) as database:
        store = KeyStore(database)
        await store.add(KEY, "digest")
        async with database.writing() as session:
            await session.execute(text("DELETE FROM keys"))
            async with asyncio.timeout(START_S):
                assert await store.list(TODAY) == [KEY]
