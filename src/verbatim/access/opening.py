"""The door for the time of a context, as the server and the command line open it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from verbatim.access.administration import KeyAdministration, KeyWish, NewKey
from verbatim.access.policy import Policy
from verbatim.access.service import Access
from verbatim.domain.keys import Scope
from verbatim.settings import Settings
from verbatim.store.database import Database, open_database
from verbatim.store.keys import KeyStore


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_access(
    policy: Policy,
    database: Database,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Access]:
    """The door; at the end everything that was counted is written."""
    access = Access(KeyStore(database), policy, clock, now)
    ending = asyncio.Event()
    writing = asyncio.create_task(access.run(ending))
    try:
        yield access
    finally:
        ending.set()
        await writing


@asynccontextmanager
async def open_administration(settings: Settings) -> AsyncIterator[KeyAdministration]:
    """The keys of these settings' database, for a command.

    Raises:
        VerbatimError: as `open_database`.
    """
    async with open_database(settings) as database:
        yield KeyAdministration(KeyStore(database), utc_now)


async def create_first_keys(access: Access, settings: Settings) -> Sequence[NewKey]:
    """Where keys are needed and none was ever made: an administrator's, and one for clients.

    What the settings have already is not made.
    """
    wishes = []
    if settings.admin_key is None:
        wishes.append(KeyWish("administrator", frozenset({Scope.ADMIN})))
    if settings.api_key is None:
        wishes.append(KeyWish("first key"))
    if not wishes or not access.policy.required:
        return ()
    return await access.keys.create_first(wishes)
