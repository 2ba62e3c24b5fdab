"""A disk that is full, for as long as a test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.engine import Connection

from verbatim.store.database import Database

MOST_PAGES = 1 << 30


@contextmanager
def full_disk(database: Database) -> Iterator[None]:
    """SQLite's own limit, which it tells as it tells a full disk."""
    full = True

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() if full else MOST_PAGES
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    event.listen(database.engine.sync_engine, "begin", limit)
    try:
        yield
    finally:
        # The listener stays: it gives each connection its room back.
        full = False
