"""Letting callers in: once for each request, whatever its route asks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import HTTPConnection

from verbatim.access.administration import KeyWish
from verbatim.access.limits import Allowance
from verbatim.access.opening import utc_now
from verbatim.access.policy import policy_of
from verbatim.access.service import Access
from verbatim.domain.errors import ForbiddenError, MissingKeyError, RateLimitedError
from verbatim.domain.keys import KeyLimits, Scope
from verbatim.settings import Settings
from verbatim.store.database import Database, open_database
from verbatim.store.keys import KeyStore
from verbatim.wire.context import Context
from verbatim.wire.guard import admit, caller_of, limit_headers, visit_of
from verbatim.wire.notes import notes_of


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(Settings(data_dir=tmp_path)) as opened:
        yield opened


def door(database: Database, **settings: Any) -> Context:
    """As much of a context as is looked at."""
    policy = policy_of(Settings(**settings))
    access = Access(KeyStore(database), policy, time.monotonic, utc_now)
    return cast(Context, SimpleNamespace(access=access))


def request(key: str | None = None, kind: str = "http") -> HTTPConnection:
    headers = [] if key is None else [(b"x-api-key", key.encode())]
    return HTTPConnection({"type": kind, "headers": headers})


async def test_a_request_counts_once_however_often_it_is_looked_at(database: Database) -> None:
    context = door(database, auth="on")
    limits = KeyLimits(requests_per_minute=1, parallel_requests=1)
    made = await context.access.keys.create(KeyWish("test", limits=limits))
    asked = request(made.secret)
    first = await admit(asked, context, Scope.TRANSCRIBE)
    assert await admit(asked, context, Scope.LIVE) == first
    assert caller_of(asked.scope) == first
    assert notes_of(asked.scope).key_id == made.key.id
    with pytest.raises(RateLimitedError):
        await admit(request(made.secret), context, Scope.LIVE)


async def test_a_door_behind_a_door(database: Database) -> None:
    """What an open door let in does not thereby have a key."""
    context = door(database)
    asked = request()
    await admit(asked, context, Scope.ADMIN)
    with pytest.raises(MissingKeyError):
        await admit(asked, context, Scope.ADMIN, needs_key=True)


async def test_a_second_door_that_another_key_opens(database: Database) -> None:
    context = door(database, auth="on")
    one_at_a_time = KeyLimits(parallel_requests=1)
    own = await context.access.keys.create(KeyWish("own", limits=one_at_a_time))
    admin = await context.access.keys.create(KeyWish("admin", frozenset({Scope.ADMIN})))
    asked = request(own.secret)
    await admit(asked, context, Scope.LIVE)
    with pytest.raises(ForbiddenError):
        await admit(asked, context, Scope.ADMIN)
    caller = await admit(asked, context, Scope.ADMIN, offered=[admin.secret])
    assert caller_of(asked.scope) == caller
    # The first key's place is free again.
    await admit(request(own.secret), context, Scope.LIVE)


async def test_a_key_that_is_shown_later(database: Database) -> None:
    """As in the first message on a WebSocket."""
    context = door(database, api_key="mine")
    socket = request(kind="websocket")
    assert visit_of(socket.scope) is None
    with pytest.raises(MissingKeyError):
        await admit(socket, context, Scope.LIVE, offered=[])
    assert (await admit(socket, context, Scope.LIVE, offered=["mine"])).name == "api_key"


async def test_what_was_refused_still_says_its_limit(database: Database) -> None:
    context = door(database, auth="on")
    made = await context.access.keys.create(KeyWish("a", limits=KeyLimits(requests_per_minute=1)))
    await admit(request(made.secret), context, Scope.LIVE)
    refused = request(made.secret)
    with pytest.raises(RateLimitedError):
        await admit(refused, context, Scope.LIVE)
    visit = visit_of(refused.scope)
    assert visit is not None
    allowance = visit.allowance()
    assert allowance is not None
    assert (allowance.limit, allowance.remaining) == (1, 0)


def test_a_route_without_a_guard() -> None:
    with pytest.raises(LookupError):
        caller_of({})


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0ms"), (0.12, "120ms"), (8.64, "8.64s"), (59.99, "59.99s"), (60, "1m0s"), (90, "1m30s")],
)
def test_limits_as_headers(seconds: float, shown: str) -> None:
    assert limit_headers(Allowance(60, 7, seconds)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": shown,
    }
