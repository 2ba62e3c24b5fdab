"""The door's promises, on SQLite and on PostgreSQL, with clocks by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from verbatim.access import service
from verbatim.access.administration import KeyAdministration, KeyWish
from verbatim.access.older_file import OlderKey
from verbatim.access.policy import policy_of
from verbatim.access.secret import KeyFormat
from verbatim.access.service import FRESH_S, Access
from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    MissingKeyError,
    NotFoundError,
    RateLimitedError,
    StorageFullError,
    UnauthorizedError,
)
from verbatim.domain.keys import Key, KeyLimits, KeyUse, Scope
from verbatim.settings import Settings
from verbatim.store.database import Database, open_database
from verbatim.store.keys import KeyStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIFE_S = 60.0


class WatchedStore(KeyStore):
    asked = 0
    full = False

    async def add_uses(self, uses: Sequence[KeyUse]) -> None:
        if self.full:
            raise StorageFullError("The disk is full.")
        await super().add_uses(uses)

    async def find(self, digest: str, today: date) -> Key | None:
        self.asked += 1
        return await super().find(digest, today)


class World:
    """Both clocks, and as many servers on one database as a test wants."""

    def __init__(self, database: Database) -> None:
        self.store = WatchedStore(database)
        self.passed_s = 0.0

    def wait(self, seconds: float) -> None:
        self.passed_s += seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s)

    def server(self, **settings: Any) -> Access:
        chosen = Settings(**{"auth": "on", **settings})
        return Access(self.store, policy_of(chosen), lambda: self.passed_s, self.now)


@pytest.fixture
async def world(database_settings: dict[str, Any]) -> AsyncIterator[World]:
    async with open_database(Settings(**database_settings)) as database:
        yield World(database)


@pytest.fixture
def access(world: World) -> Access:
    return world.server()


async def make(keys: KeyAdministration, **wish: Any) -> tuple[str, str]:
    """A key's id and secret."""
    made = await keys.create(KeyWish(**{"name": "test", **wish}))
    return made.key.id, made.secret


async def test_who_shows_a_key_is_known(access: Access) -> None:
    limits = KeyLimits(5, 1.5, 2)
    key_id, secret = await make(access.keys, name=" 현관 ", limits=limits)
    caller = await access.identify([secret], Scope.TRANSCRIBE)
    assert (caller.key_id, caller.name, caller.limits) == (key_id, "현관", limits)
    assert caller.owner == key_id
    assert caller.authenticated


async def test_who_shows_none_is_asked_for_one(access: Access) -> None:
    with pytest.raises(MissingKeyError, match="Authorization: Bearer"):
        await access.identify([], Scope.TRANSCRIBE)


@pytest.mark.parametrize("secret", ["sk-" + "0" * 64, "none", "", "x" * 100_000, "\ud800", "ek_1"])
async def test_unknown_keys(access: Access, secret: str) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        await access.identify([secret], Scope.TRANSCRIBE)
    assert not isinstance(caught.value, MissingKeyError)
    assert not secret or secret not in caught.value.message


async def test_a_key_allows_what_its_scopes_say(access: Access) -> None:
    _, secret = await make(access.keys, scopes=frozenset({Scope.LIVE, Scope.ADMIN}))
    for scope in (Scope.LIVE, Scope.ADMIN):
        await access.identify([secret], scope)
    for scope in (Scope.TRANSCRIBE, Scope.JOBS):
        with pytest.raises(ForbiddenError, match=f"{scope}.*admin, live") as caught:
            await access.identify([secret], scope)
        assert caught.value.code == "insufficient_scope"


async def test_of_several_keys_the_one_that_opens_counts(access: Access) -> None:
    own, secret = await make(access.keys)
    _, admin = await make(access.keys, scopes=frozenset({Scope.ADMIN}))
    for shown in ([secret, admin], [admin, secret], ["none", admin, secret]):
        assert (await access.identify(shown, Scope.LIVE)).key_id == own
    with pytest.raises(ForbiddenError):
        await access.identify(["none", admin], Scope.LIVE)
    # More than a few are not looked at: each costs a question to the database.
    with pytest.raises(UnauthorizedError):
        await access.identify([*"abcdefgh", secret], Scope.LIVE)


async def test_a_key_ends_at_its_moment(world: World, access: Access) -> None:
    _, secret = await make(access.keys, expires_at=NOON + timedelta(seconds=10))
    world.wait(9.9)
    await access.identify([secret], Scope.LIVE)
    world.wait(0.1)
    with pytest.raises(UnauthorizedError, match="good until 2026-11-21 12:00 UTC"):
        await access.identify([secret], Scope.LIVE)


async def test_a_revoked_key_opens_nothing_at_once(access: Access) -> None:
    key_id, secret = await make(access.keys)
    await access.identify([secret], Scope.LIVE)
    revoked = await access.keys.revoke(key_id)
    assert revoked.revoked_at == NOON
    with pytest.raises(UnauthorizedError, match="revoked"):
        await access.identify([secret], Scope.LIVE)


async def test_other_servers_know_within_seconds(world: World) -> None:
    here, there = world.server(), world.server()
    key_id, secret = await make(here.keys)
    await there.identify([secret], Scope.LIVE)
    await here.keys.revoke(key_id)
    world.wait(FRESH_S)
    with pytest.raises(UnauthorizedError):
        await there.identify([secret], Scope.LIVE)


async def test_a_known_key_is_not_looked_up_each_time(world: World) -> None:
    access = world.server()
    _, secret = await make(access.keys)
    for _ in range(100):
        await access.identify([secret], Scope.LIVE)
    assert world.store.asked == 1
    world.wait(FRESH_S)
    await access.identify([secret], Scope.LIVE)
    assert world.store.asked == 2


async def test_the_settings_keys(world: World) -> None:
    access = world.server(api_key="mine", admin_key="root")
    assert (await access.identify(["mine"], Scope.TRANSCRIBE)).key_id is None
    await access.identify(["mine"], Scope.LIVE)
    await access.identify(["root"], Scope.ADMIN)
    for shown, scope in (("mine", Scope.ADMIN), ("mine", Scope.JOBS), ("root", Scope.LIVE)):
        with pytest.raises(ForbiddenError):
            await access.identify([shown], scope)


async def test_where_no_key_is_needed_any_will_do(world: World) -> None:
    access = world.server(auth="off")
    for shown in ([], ["none"], ["sk-anything"]):
        assert not (await access.identify(shown, Scope.TRANSCRIBE)).authenticated
    with pytest.raises(MissingKeyError):
        await access.identify([], Scope.ADMIN, needs_key=True)
    with pytest.raises(UnauthorizedError):
        await access.identify(["none"], Scope.ADMIN, needs_key=True)
    _, secret = await make(access.keys, scopes=frozenset({Scope.ADMIN}))
    assert (await access.identify([secret], Scope.ADMIN, needs_key=True)).authenticated


async def test_requests_a_minute_hold_for_a_key_wherever_it_is_shown(
    world: World, access: Access
) -> None:
    _, secret = await make(access.keys, limits=KeyLimits(requests_per_minute=2))
    for left in (1, 0):
        visit = access.visit(await access.identify([secret], Scope.LIVE))
        visit.enter()
        allowance = visit.allowance()
        assert allowance is not None
        assert (allowance.limit, allowance.remaining) == (2, left)
        visit.leave()
    visit = access.visit(await access.identify([secret], Scope.LIVE))
    with pytest.raises(RateLimitedError):
        visit.enter()
    world.wait(60)
    visit.enter()


async def test_a_place_is_free_again_exactly_once(access: Access) -> None:
    _, secret = await make(access.keys, limits=KeyLimits(parallel_requests=1))
    caller = await access.identify([secret], Scope.LIVE)
    first, second = access.visit(caller), access.visit(caller)
    first.enter()
    with pytest.raises(RateLimitedError):
        second.enter()
    # One that was refused gives nothing back.
    second.leave()
    with pytest.raises(RateLimitedError):
        second.enter()
    first.leave()
    first.leave()
    second.enter()
    with pytest.raises(RateLimitedError):
        first.enter()


async def test_audio_counts_for_the_day_also_after_a_restart(world: World) -> None:
    before = world.server()
    _, secret = await make(before.keys, limits=KeyLimits(audio_minutes_per_day=1))
    visit = before.visit(await before.identify([secret], Scope.LIVE))
    visit.enter()
    visit.charge(59.5)
    visit.leave()
    visit.enter()
    visit.charge(0.5)
    with pytest.raises(RateLimitedError) as caught:
        visit.enter()
    assert caught.value.retry_after_s == 12 * 3600
    await ended(before)

    after = world.server()
    visit = after.visit(await after.identify([secret], Scope.LIVE))
    with pytest.raises(RateLimitedError):
        visit.enter()
    world.wait(12 * 3600)
    visit.enter()


async def ended(access: Access) -> None:
    """Let it write what it has counted, as a server that stops does."""
    ending = asyncio.Event()
    ending.set()
    await access.run(ending)


async def test_counters_are_kept(world: World, access: Access) -> None:
    key_id, secret = await make(access.keys)
    for _ in range(3):
        visit = access.visit(await access.identify([secret], Scope.LIVE))
        visit.enter()
        visit.charge(20)
        visit.leave()
    assert (await access.keys.get(key_id)).request_count == 0
    await ended(access)
    key = await access.keys.get(key_id)
    assert (key.request_count, key.audio_s, key.last_used_at) == (3, 60, NOON)
    (day,) = await access.keys.days(key_id)
    assert (day.day, day.requests, day.audio_s) == (NOON.date(), 3, 60)


async def use_once(access: Access, secret: str) -> None:
    visit = access.visit(await access.identify([secret], Scope.LIVE))
    visit.enter()
    visit.leave()


async def test_counters_wait_until_they_can_be_written(
    world: World, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FLUSH_S", 0.01)
    key_id, secret = await make(access.keys)
    ending = asyncio.Event()
    world.store.full = True
    with capture_logs() as logs:
        writing = asyncio.create_task(access.run(ending))
        await use_once(access, secret)
        while not logs:  # noqa: ASYNC110 - told by no event
            await asyncio.sleep(0.01)
        await use_once(access, secret)
        await asyncio.sleep(0.1)
        # Said once, not each time that it is tried.
        assert [line["event"] for line in logs] == ["counters of keys are not written"]
        world.store.full = False
        while (await access.keys.get(key_id)).request_count != 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        ending.set()
        await writing
    assert len(logs) == 1


async def test_counters_that_are_lost_are_told(world: World, access: Access) -> None:
    _, secret = await make(access.keys)
    await use_once(access, secret)
    world.store.full = True
    with capture_logs() as logs:
        await ended(access)
    assert [line.get("requests") for line in logs] == [None, 1]
    assert "lost" in logs[-1]["event"]


async def test_a_client_secret_stands_for_its_key(world: World, access: Access) -> None:
    limits = KeyLimits(requests_per_minute=1)
    key_id, secret = await make(access.keys, limits=limits)
    holder = await access.identify([secret], Scope.LIVE)
    made = await access.mint(holder, LIFE_S, '{"language": "ko"}')
    assert made.secret not in repr(made)
    caller = await access.identify([made.secret], Scope.LIVE)
    assert (caller.key_id, caller.grant, caller.limits) == (key_id, '{"language": "ko"}', limits)
    # It may be used again, and counts as its key does.
    access.visit(await access.identify([made.secret], Scope.LIVE)).enter()
    with pytest.raises(RateLimitedError):
        access.visit(holder).enter()
    with pytest.raises(ForbiddenError):
        await access.identify([made.secret], Scope.TRANSCRIBE)
    with pytest.raises(ForbiddenError):
        await access.mint(caller, LIFE_S, "")
    world.wait(LIFE_S)
    with pytest.raises(UnauthorizedError, match="over"):
        await access.identify([made.secret], Scope.LIVE)


async def test_a_client_secret_ends_with_its_key(access: Access) -> None:
    key_id, secret = await make(access.keys)
    made = await access.mint(await access.identify([secret], Scope.LIVE), LIFE_S, "")
    await access.keys.revoke(key_id)
    with pytest.raises(UnauthorizedError):
        await access.identify([made.secret], Scope.LIVE)


async def test_a_client_secret_is_good_on_every_server(world: World) -> None:
    here, there = world.server(), world.server()
    _, secret = await make(here.keys)
    made = await here.mint(await here.identify([secret], Scope.LIVE), LIFE_S, "grant")
    assert (await there.identify([made.secret], Scope.LIVE)).grant == "grant"


async def test_a_client_secret_of_an_open_server(world: World) -> None:
    open_server, closed = world.server(auth="off"), world.server()
    made = await open_server.mint(await open_server.identify([], Scope.LIVE), LIFE_S, "grant")
    assert (await open_server.identify([made.secret], Scope.LIVE)).grant == "grant"
    with pytest.raises(UnauthorizedError):
        await open_server.identify(["ek_unknown"], Scope.LIVE)
    with pytest.raises(UnauthorizedError):
        await closed.identify([made.secret], Scope.LIVE)


async def test_a_client_secret_of_a_key_of_the_settings(world: World) -> None:
    access = world.server(api_key="mine")
    made = await access.mint(await access.identify(["mine"], Scope.LIVE), LIFE_S, "grant")
    caller = await access.identify([made.secret], Scope.LIVE)
    assert caller.authenticated
    assert caller.grant == "grant"


@pytest.mark.parametrize(
    ("life_s", "grant"), [(0, ""), (-1, ""), (7201, ""), (float("nan"), ""), (60, "x" * 70_000)]
)
async def test_client_secrets_have_bounds(access: Access, life_s: float, grant: str) -> None:
    _, secret = await make(access.keys)
    caller = await access.identify([secret], Scope.LIVE)
    with pytest.raises(BadRequestError):
        await access.mint(caller, life_s, grant)


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"scopes": frozenset()}, "scopes"),
        ({"expires_at": NOON}, "expires_at"),
        ({"limits": KeyLimits(requests_per_minute=0)}, "requests_per_minute"),
        ({"limits": KeyLimits(requests_per_minute=10**9)}, "requests_per_minute"),
        ({"limits": KeyLimits(audio_minutes_per_day=-1.0)}, "audio_minutes_per_day"),
        ({"limits": KeyLimits(audio_minutes_per_day=float("nan"))}, "audio_minutes_per_day"),
        ({"limits": KeyLimits(parallel_requests=0)}, "parallel_requests"),
    ],
)
async def test_wishes_that_make_no_sense(access: Access, wish: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await make(access.keys, **wish)
    assert caught.value.param == param
    assert await access.keys.list() == []


async def test_changing_a_key(world: World, access: Access) -> None:
    key_id, secret = await make(access.keys, expires_at=NOON + timedelta(seconds=10))
    await access.identify([secret], Scope.LIVE)
    changed = await access.keys.change(
        key_id, lambda key: replace(key, name="new", scopes=frozenset({Scope.JOBS}))
    )
    assert (changed.name, changed.scopes) == ("new", frozenset({Scope.JOBS}))
    with pytest.raises(ForbiddenError):
        await access.identify([secret], Scope.LIVE)
    world.wait(20)
    # What has ended can still be renamed, and can be let live again.
    await access.keys.change(key_id, lambda key: replace(key, name="over"))
    with pytest.raises(BadRequestError):
        await access.keys.change(key_id, lambda key: replace(key, expires_at=NOON))
    await access.keys.change(key_id, lambda key: replace(key, expires_at=None))
    await access.identify([secret], Scope.JOBS)


async def test_keys_that_are_not_there(access: Access) -> None:
    for missing in (
        access.keys.get(f"key_{0:016x}"),
        access.keys.get("key_x"),
        access.keys.get("key_\x00"),
        access.keys.revoke(f"key_{0:016x}"),
        access.keys.revoke("key_x"),
        access.keys.change(f"key_{0:016x}", lambda key: key),
        access.keys.change("key_x", lambda key: key),
        access.keys.revoke_secret("sk-x"),
    ):
        with pytest.raises(NotFoundError):
            await missing


async def test_revoking_by_the_key_itself(access: Access) -> None:
    key_id, secret = await make(access.keys, format=KeyFormat.OLDER)
    assert len(secret) == 3 + 48
    assert (await access.keys.revoke_secret(secret)).id == key_id
    with pytest.raises(NotFoundError) as caught:
        await access.keys.revoke_secret(secret)
    assert secret not in caught.value.message
    assert await access.keys.list() == []
    (revoked,) = await access.keys.list(revoked=True)
    assert revoked.id == key_id


async def test_taking_over_keys_of_the_older_server(access: Access) -> None:
    secret = "sk-" + "0" * 48
    older = OlderKey(secret, " 현관\x00 ", NOON - timedelta(days=9), NOON - timedelta(days=1), 17)
    unnamed = replace(older, secret="other", name="", created_at=None, last_used_at=None)
    done = await access.keys.import_older([older, unnamed])
    assert (done.added, done.known) == (2, 0)
    done = await access.keys.import_older([older])
    assert (done.added, done.known) == (0, 1)
    caller = await access.identify([secret], Scope.TRANSCRIBE)
    assert caller.name == "현관"
    first, second = await access.keys.list()
    assert (first.request_count, first.created_at) == (17, NOON - timedelta(days=9))
    assert first.preview == "sk-00000...0000"
    assert (second.name, second.created_at) == ("unnamed", NOON)
    with pytest.raises(ForbiddenError):
        await access.identify([secret], Scope.ADMIN)


async def test_the_first_keys_are_made_where_there_never_was_one(access: Access) -> None:
    wishes = [KeyWish("administrator", frozenset({Scope.ADMIN})), KeyWish("first key")]
    admin, first = await access.keys.create_first(wishes)
    assert admin.secret not in repr(admin)
    await access.identify([admin.secret], Scope.ADMIN)
    await access.identify([first.secret], Scope.TRANSCRIBE)
    assert await access.keys.create_first(wishes) == ()
    for made in (admin, first):
        await access.keys.revoke(made.key.id)
    assert await access.keys.create_first(wishes) == ()
