"""Making, listing, changing and revoking keys: for the API, the command line and older dialects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from verbatim.access.older_file import OlderKey
from verbatim.access.secret import KeyFormat, digest_of, is_id, new_id, new_key, preview_of
from verbatim.domain.errors import BadRequestError, NotFoundError
from verbatim.domain.keys import Key, KeyLimits, Scope
from verbatim.store.keys import KeyDay, KeyStore

MAX_NAME_CHARS: Final = 200
MAX_REQUESTS_PER_MINUTE: Final = 100_000
MAX_PARALLEL: Final = 100_000
MAX_MINUTES_PER_DAY: Final = 1e9
DAYS_SHOWN: Final = 30
EVERYDAY_SCOPES: Final = frozenset({Scope.TRANSCRIBE, Scope.LIVE, Scope.JOBS})
UNNAMED: Final = "unnamed"


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be.

    Attributes:
        name: for people.
        scopes: what it shall allow; at least one.
        expires_at: in the future, aware of its zone; None: never.
        limits: how much of it.
        format: how it looks.
    """

    name: str
    scopes: frozenset[Scope] = EVERYDAY_SCOPES
    expires_at: datetime | None = None
    limits: KeyLimits = field(default_factory=KeyLimits)
    format: KeyFormat = KeyFormat.STANDARD


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, with its secret, which nobody can look up later."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the keys of a file: new here, or here already."""

    added: int
    known: int


class KeyAdministration:
    """Every method raises what the store's `Database` says.

    Args:
        store: of the keys.
        now: the time, aware of its zone, UTC.
        on_change: called when a key is not what it was.
    """

    def __init__(
        self,
        store: KeyStore,
        now: Callable[[], datetime],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._now = now
        self._on_change = on_change

    async def create(self, wish: KeyWish) -> NewKey:
        """Make a key.

        Raises:
            BadRequestError: the wish makes no sense.
        """
        made = self._make(wish)
        await self._store.add(made.key, digest_of(made.secret))
        return made

    async def create_first(self, wishes: Sequence[KeyWish]) -> Sequence[NewKey]:
        """Make these keys if there never was one; says which it made."""
        made = [self._make(wish) for wish in wishes]
        added = await self._store.add_first([(new.key, digest_of(new.secret)) for new in made])
        return made if added else ()

    async def list(self, *, revoked: bool = False) -> Sequence[Key]:
        """The keys, the oldest first; those that were revoked only on request."""
        keys = await self._store.list(self._now().date())
        return [key for key in keys if revoked or key.revoked_at is None]

    async def get(self, key_id: str) -> Key:
        """A key.

        Raises:
            NotFoundError: none has this id.
        """
        _check_id(key_id)
        return _found(await self._store.get(key_id, self._now().date()), key_id)

    async def days(self, key_id: str) -> Sequence[KeyDay]:
        """What was asked for with a key in the last days."""
        since = self._now().date() - timedelta(days=DAYS_SHOWN - 1)
        return await self._store.days(key_id, since)

    async def change(self, key_id: str, edit: Callable[[Key], Key]) -> Key:
        """Give a key another name, other scopes or limits, or another end.

        Args:
            key_id: whose.
            edit: given the key as it is, it says how it shall be.

        Raises:
            NotFoundError: none has this id.
            BadRequestError: what it shall be makes no sense.
        """
        _check_id(key_id)
        now = self._now()

        def checked(key: Key) -> Key:
            changed = edit(key)
            ends_anew = changed.expires_at != key.expires_at
            _check(changed.name, changed.scopes, changed.limits)
            _check_end(changed.expires_at if ends_anew else None, now)
            return replace(changed, name=changed.name.strip())

        changed = await self._store.change(key_id, now.date(), checked)
        self._on_change()
        return _found(changed, key_id)

    async def revoke(self, key_id: str) -> Key:
        """Let a key open nothing any more; revoking it again changes nothing.

        Raises:
            NotFoundError: none has this id.
        """
        _check_id(key_id)
        now = self._now()
        revoked = await self._store.change(
            key_id, now.date(), lambda key: replace(key, revoked_at=key.revoked_at or now)
        )
        self._on_change()
        return _found(revoked, key_id)

    async def revoke_secret(self, secret: str) -> Key:
        """Revoke the key that this is.

        Raises:
            NotFoundError: it is none, or none any more.
        """
        key = await self._store.find(digest_of(secret), self._now().date())
        if key is None or key.revoked_at is not None:
            raise _no_such_key(preview_of(secret))
        return await self.revoke(key.id)

    async def import_older(self, keys: Sequence[OlderKey]) -> Imported:
        """Take over keys of the older real-time server; those that are here already stay."""
        added = 0
        for older in keys:
            name = older.name.strip()[:MAX_NAME_CHARS] or UNNAMED
            key = Key(
                id=new_id(),
                name="".join(filter(str.isprintable, name)) or UNNAMED,
                preview=preview_of(older.secret),
                scopes=EVERYDAY_SCOPES,
                created_at=older.created_at or self._now(),
                last_used_at=older.last_used_at,
                request_count=older.request_count,
            )
            added += await self._store.add(key, digest_of(older.secret))
        return Imported(added, len(keys) - added)

    def _make(self, wish: KeyWish) -> NewKey:
        now = self._now()
        _check(wish.name, wish.scopes, wish.limits)
        _check_end(wish.expires_at, now)
        secret = new_key(wish.format)
        key = Key(
            id=new_id(),
            name=wish.name.strip(),
            preview=preview_of(secret),
            scopes=wish.scopes,
            created_at=now,
            expires_at=wish.expires_at,
            limits=wish.limits,
        )
        return NewKey(key, secret)


def _check(name: str, scopes: frozenset[Scope], limits: KeyLimits) -> None:
    shown = name.strip()
    if not shown or len(shown) > MAX_NAME_CHARS or not shown.isprintable():
        raise BadRequestError(
            f"A key's name has 1 to {MAX_NAME_CHARS} printable characters.", param="name"
        )
    if not scopes:
        raise BadRequestError(
            f"A key needs at least one scope of: {', '.join(Scope)}.", param="scopes"
        )
    bounds = {
        "requests_per_minute": (limits.requests_per_minute, MAX_REQUESTS_PER_MINUTE),
        "audio_minutes_per_day": (limits.audio_minutes_per_day, MAX_MINUTES_PER_DAY),
        "parallel_requests": (limits.parallel_requests, MAX_PARALLEL),
    }
    for param, (value, most) in bounds.items():
        if value is not None and not 0 < value <= most:
            raise BadRequestError(
                f"{param} is more than 0 and at most {most:g}; leave it out for no limit.",
                param=param,
            )


def _check_end(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise BadRequestError("expires_at lies in the past.", param="expires_at")


def _check_id(text: str) -> None:
    # What is none is not said again: some try the key itself in its place.
    if not is_id(text):
        raise _no_such_key("with this id")


def _found(key: Key | None, key_id: str) -> Key:
    if key is None:
        raise _no_such_key(key_id)
    return key


def _no_such_key(shown: str) -> NotFoundError:
    return NotFoundError(
        f"There is no key {shown}; `verbatim keys list` shows those there are.",
        code="key_not_found",
    )
