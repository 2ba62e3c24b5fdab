"""Keys in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Select, and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from verbatim.domain.keys import Key, KeyLimits, KeyUse, Scope
from verbatim.store.database import Database
from verbatim.store.tables import ClientSecretRow, KeyDayRow, KeyRow

SCOPE_JOINT: Final = ","


@dataclass(frozen=True, slots=True)
class StoredClientSecret:
    """A client secret as it was minted.

    Attributes:
        key_id: of the stored key that it stands for, if it is one.
        authenticated: whether who asked for it had shown a key, stored or not.
        expires_at: from then on it opens nothing.
        grant: whatever it was minted with.
    """

    key_id: str | None
    authenticated: bool
    expires_at: datetime
    grant: str


@dataclass(frozen=True, slots=True)
class KeyDay:
    """What was asked for with a key on one day."""

    day: date
    requests: int
    audio_s: float


class KeyStore:
    """Keys, what was asked for with them, and the secrets that stand for them.

    Every method raises what `Database` says. Where one takes `today`, it is the day that the
    keys' `audio_today_s` are of.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: Key, digest: str) -> bool:
        """Add a key under the digest of its secret; False where that is there already."""
        async with self._database.exclusive() as session:
            if await session.scalar(select(KeyRow.id).where(KeyRow.digest == digest)):
                return False
            session.add(_row(key, digest))
            return True

    async def add_first(self, keys: Sequence[tuple[Key, str]]) -> bool:
        """Add keys with their digests if there never was one; says whether it did.

        Of several processes that do this at once, one does it.
        """
        async with self._database.exclusive() as session:
            if await session.scalar(select(KeyRow.id).limit(1)):
                return False
            session.add_all(_row(key, digest) for key, digest in keys)
            return True

    async def find(self, digest: str, today: date) -> Key | None:
        """The key whose secret has this digest."""
        return await self._one(_with_today(today).where(KeyRow.digest == digest))

    async def get(self, key_id: str, today: date) -> Key | None:
        """The key with this id."""
        return await self._one(_with_today(today).where(KeyRow.id == key_id))

    async def list(self, today: date) -> list[Key]:
        """All keys that ever were, the oldest first."""
        query = _with_today(today).order_by(KeyRow.created_at, KeyRow.id)
        async with self._database.reading() as session:
            return [_key(row, audio_s) for row, audio_s in await session.execute(query)]

    async def change(self, key_id: str, today: date, edit: Callable[[Key], Key]) -> Key | None:
        """Change a key's name, scopes, limits, end or revocation; None where there is no such key.

        Args:
            key_id: whose.
            today: see above.
            edit: given the key as it is, it says how it shall be.
        """
        query = _with_today(today).where(KeyRow.id == key_id).with_for_update(of=KeyRow)
        async with self._database.writing() as session:
            found = (await session.execute(query)).one_or_none()
            if found is None:
                return None
            row, audio_s = found
            changed = edit(_key(row, audio_s))
            for name, value in _changeable(changed).items():
                setattr(row, name, value)
            return changed

    async def days(self, key_id: str, since: date) -> Sequence[KeyDay]:
        """What was asked for with a key, day by day; days on which nothing was are left out."""
        query = (
            select(KeyDayRow)
            .where(KeyDayRow.key_id == key_id, KeyDayRow.day >= since)
            .order_by(KeyDayRow.day)
        )
        async with self._database.reading() as session:
            rows = await session.scalars(query)
            return [KeyDay(row.day, row.requests, row.audio_s) for row in rows]

    async def add_uses(self, uses: Sequence[KeyUse]) -> None:
        """Add to the counters; uses of keys that are not here are left out."""
        async with self._database.writing() as session:
            # In one order everywhere, so that no two processes wait for each other.
            for use in sorted(uses, key=lambda use: (use.key_id, use.day)):
                await _add_use(session, use)

    async def forget_days(self, before: date) -> None:
        """Remove what the days before this one counted."""
        async with self._database.writing() as session:
            await session.execute(delete(KeyDayRow).where(KeyDayRow.day < before))

    async def add_client_secret(
        self, digest: str, secret: StoredClientSecret, *, now: datetime, most: int
    ) -> bool:
        """Add a client secret, and remove those that are over.

        Args:
            digest: of the secret.
            secret: what it stands for.
            now: what ended before it is over.
            most: secrets that one key may have at a time.

        Returns:
            False where the key has as many as it may.
        """
        own = select(func.count()).where(ClientSecretRow.key_id == secret.key_id)
        async with self._database.exclusive() as session:
            await session.execute(delete(ClientSecretRow).where(ClientSecretRow.expires_at <= now))
            if (await session.scalar(own) or 0) >= most:
                return False
            session.add(
                ClientSecretRow(
                    digest=digest,
                    key_id=secret.key_id,
                    authenticated=secret.authenticated,
                    expires_at=secret.expires_at,
                    grant=secret.grant,
                )
            )
            return True

    async def find_client_secret(self, digest: str) -> StoredClientSecret | None:
        """The client secret with this digest, over or not."""
        async with self._database.reading() as session:
            row = await session.get(ClientSecretRow, digest)
            if row is None:
                return None
            return StoredClientSecret(row.key_id, row.authenticated, row.expires_at, row.grant)

    async def _one(self, query: Select[KeyRow, float]) -> Key | None:
        async with self._database.reading() as session:
            found = (await session.execute(query)).one_or_none()
            return None if found is None else _key(*found)


def _with_today(today: date) -> Select[KeyRow, float]:
    on_day = and_(KeyDayRow.key_id == KeyRow.id, KeyDayRow.day == today)
    return select(KeyRow, KeyDayRow.audio_s).outerjoin(KeyDayRow, on_day)


async def _add_use(session: AsyncSession, use: KeyUse) -> None:
    later = or_(KeyRow.last_used_at.is_(None), KeyRow.last_used_at < use.last_used_at)
    counted = await session.scalar(
        update(KeyRow)
        .where(KeyRow.id == use.key_id)
        .values(
            request_count=KeyRow.request_count + use.requests,
            audio_s=KeyRow.audio_s + use.audio_s,
            last_used_at=case((later, use.last_used_at), else_=KeyRow.last_used_at),
        )
        .returning(KeyRow.id)
    )
    if counted is None:
        return
    # The key's row is ours until the end, so nobody else adds the same day meanwhile.
    day = await session.get(KeyDayRow, (use.key_id, use.day))
    if day is None:
        session.add(
            KeyDayRow(key_id=use.key_id, day=use.day, requests=use.requests, audio_s=use.audio_s)
        )
    else:
        day.requests += use.requests
        day.audio_s += use.audio_s


def _row(key: Key, digest: str) -> KeyRow:
    return KeyRow(
        id=key.id,
        digest=digest,
        preview=key.preview,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        request_count=key.request_count,
        audio_s=key.audio_s,
        **_changeable(key),
    )


def _changeable(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": SCOPE_JOINT.join(sorted(key.scopes)),
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "requests_per_minute": key.limits.requests_per_minute,
        "audio_minutes_per_day": key.limits.audio_minutes_per_day,
        "parallel_requests": key.limits.parallel_requests,
    }


def _key(row: KeyRow, audio_today_s: float | None) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        preview=row.preview,
        scopes=frozenset(map(Scope, filter(None, row.scopes.split(SCOPE_JOINT)))),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        limits=KeyLimits(row.requests_per_minute, row.audio_minutes_per_day, row.parallel_requests),
        last_used_at=row.last_used_at,
        request_count=row.request_count,
        audio_s=row.audio_s,
        audio_today_s=audio_today_s or 0.0,
    )
