"""Results in the database, as bytes under a digest of what they are the result of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from verbatim.store.database import Database
from verbatim.store.tables import ResultRow

STALE: Final = timedelta(minutes=10)
"""A result's last use is written down no more often than this."""


class ResultStore:
    """Results of which the least recently used go first.

    Every method raises what `Database` says.

    Args:
        database: holds them.
        max_bytes: of all results together.
        max_age: after which a result is none any more.
    """

    def __init__(self, database: Database, max_bytes: int, max_age: timedelta) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._max_age = max_age

    async def get(self, digest: str, now: datetime) -> bytes | None:
        """The result, and note that it was used."""
        query = select(ResultRow.content, ResultRow.used_at).where(
            ResultRow.digest == digest, ResultRow.created_at > now - self._max_age
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).one_or_none()
        if found is None:
            return None
        content, used_at = found
        if now - used_at > STALE:
            await self._touch(digest, now)
        return bytes(content)

    async def put(self, digest: str, content: bytes, now: datetime) -> None:
        """Keep a result, in place of an older one; others go where there is no room."""
        if len(content) > self._max_bytes:
            return
        row = {
            "digest": digest,
            "created_at": now,
            "used_at": now,
            "size_bytes": len(content),
            "content": content,
        }
        on_postgres = self._database.engine.dialect.name == "postgresql"
        insert = (postgresql if on_postgres else sqlite).insert(ResultRow).values(row)
        renewed = {name: value for name, value in row.items() if name != "digest"}
        async with self._database.writing() as session:
            await session.execute(
                insert.on_conflict_do_update(index_elements=[ResultRow.digest], set_=renewed)
            )
            await session.execute(
                delete(ResultRow).where(ResultRow.created_at <= now - self._max_age)
            )
            newest_first = func.sum(ResultRow.size_bytes).over(
                order_by=(ResultRow.used_at.desc(), ResultRow.digest)
            )
            ranked = select(ResultRow.digest, newest_first.label("bytes_so_far")).subquery()
            too_many = select(ranked.c.digest).where(ranked.c.bytes_so_far > self._max_bytes)
            await session.execute(delete(ResultRow).where(ResultRow.digest.in_(too_many)))

    async def size_bytes(self) -> int:
        """Of all results together."""
        async with self._database.reading() as session:
            return int(await session.scalar(select(func.sum(ResultRow.size_bytes))) or 0)

    async def clear(self) -> int:
        """Forget all results; says how many there were."""
        async with self._database.writing() as session:
            count = int(await session.scalar(select(func.count()).select_from(ResultRow)) or 0)
            await session.execute(delete(ResultRow))
            return count

    async def _touch(self, digest: str, now: datetime) -> None:
        async with self._database.writing() as session:
            await session.execute(
                update(ResultRow).where(ResultRow.digest == digest).values(used_at=now)
            )
