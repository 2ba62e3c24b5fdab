"""The connection to the database, and transactions on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.settings import Settings
from verbatim.store.failures import store_error
from verbatim.store.upgrade import upgrade

FILE_NAME: Final = "verbatim.db"
SQLITE_DRIVER: Final = "sqlite+aiosqlite"
POSTGRES_DRIVER: Final = "postgresql+psycopg"
POSTGRES_NAMES: Final = frozenset({"postgresql", "postgres"})
LOCK_WAIT_S: Final = 15
"""How long SQLite waits for another process that writes."""
CONNECT_S: Final = 5
STATEMENT_MS: Final = 10_000
EXCLUSIVE_MS: Final = 120_000
"""Another process may be bringing the schema up to date."""
POOL_WAIT_S: Final = 10
EXCLUSIVE_LOCK_ID: Final = 0x76657262
"""PostgreSQL's advisory locks have numbers; this is ours."""
WRITES: Final = "verbatim_writes"
ANY_DATABASE: Final = "the server's database"
"""What callers are told; where it lies is for who starts the server, and for the log."""

log = structlog.stdlib.get_logger(__name__)


class Database:
    """A database that is open.

    Its transactions raise, besides what is raised in them:

    - `StorageFullError`: the disk is full; a later try may succeed.
    - `UnavailableError`: the database cannot be reached, is locked or damaged.

    Args:
        engine: SQLAlchemy's.
        where: the database, as errors name it; no password in it.
    """

    def __init__(self, engine: AsyncEngine, where: str = ANY_DATABASE) -> None:
        self.engine: Final = engine
        self._where = where
        self._reading = async_sessionmaker(engine)
        self._writing = async_sessionmaker(engine.execution_options(**{WRITES: True}))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A transaction that changes nothing."""
        async with self._transaction(self._reading) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction: all of it is kept, or, where it raises, none."""
        async with self._transaction(self._writing) as session:
            yield session

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncSession]:
        """A transaction that waits for every other exclusive one, also of other processes."""
        async with self.writing() as session:
            # In SQLite, whoever writes is alone.
            if self.engine.dialect.name == "postgresql":
                await session.execute(text(f"SET LOCAL statement_timeout = {EXCLUSIVE_MS}"))
                lock = text("SELECT pg_advisory_xact_lock(:id)")
                await session.execute(lock, {"id": EXCLUSIVE_LOCK_ID})
            yield session

    @asynccontextmanager
    async def _transaction(
        self, sessions: async_sessionmaker[AsyncSession]
    ) -> AsyncIterator[AsyncSession]:
        try:
            async with sessions.begin() as session:
                yield session
        except Exception as error:
            told = store_error(error, self._where)
            if told is None:
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            log.warning("the database failed", problem=str(cause))
            raise told from error


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The settings' database, made or brought up to date first.

    Raises:
        BadRequestError: `database_url` is none that can be used.
        StorageFullError, UnavailableError: it cannot be used now.
    """
    url = _url(settings)
    where = _where(url)
    try:
        engine = _sqlite_engine(url) if _is_sqlite(url) else _postgres_engine(url)
    except OSError as error:
        raise UnavailableError(
            f"{where} cannot be written: {error.strerror}. Set data_dir to a folder that can."
        ) from error
    try:
        async with Database(engine, where).exclusive() as session:
            connection = await session.connection()
            await connection.run_sync(upgrade)
        yield Database(engine)
    finally:
        await engine.dispose()


def _url(settings: Settings) -> URL:
    if settings.database_url is None:
        return URL.create(SQLITE_DRIVER, database=str(settings.data_dir / FILE_NAME))
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError:
        raise _bad_url() from None  # its text holds the URL, and so the password
    backend = url.drivername.partition("+")[0]
    if backend in POSTGRES_NAMES:
        return url.set(drivername=POSTGRES_DRIVER)
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername=SQLITE_DRIVER)
    raise _bad_url()


def _where(url: URL) -> str:
    if _is_sqlite(url):
        return url.database or ""
    return f"{url.database} at {url.host or _text(url.query.get('host')) or 'this machine'}"


def _bad_url() -> BadRequestError:
    return BadRequestError(
        "database_url is none that Verbatim can use; it looks like "
        "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////folder/file.db.",
        param="database_url",
    )


def _is_sqlite(url: URL) -> bool:
    return url.drivername == SQLITE_DRIVER


def _sqlite_engine(url: URL) -> AsyncEngine:
    """Raises OSError: the file cannot be made."""
    path = Path(url.database or "")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, for its owner alone; SQLite gives its other files the same rights.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_async_engine(
        url,
        connect_args={"timeout": LOCK_WAIT_S},
        pool_timeout=POOL_WAIT_S,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    del record
    # Python's own BEGIN comes too late, and never before a SELECT.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    # A transaction that begins by reading and goes on to write may fail without any waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres_engine(url: URL) -> AsyncEngine:
    # Our own come first: who writes others into the URL means them.
    options = f"-c statement_timeout={STATEMENT_MS} {_text(url.query.get('options'))}"
    try:
        return create_async_engine(
            url,
            connect_args={"connect_timeout": CONNECT_S, "options": options},
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "PostgreSQL needs a package that is not installed: pip install 'verbatim-stt[postgres]'"
        ) from error


def _text(value: str | tuple[str, ...] | None) -> str:
    return value or "" if isinstance(value, str | None) else " ".join(value)
