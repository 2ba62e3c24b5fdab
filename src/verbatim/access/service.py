"""The door: who calls, what they may do, and how much of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from verbatim.access.administration import KeyAdministration
from verbatim.access.limits import KeyLimiter
from verbatim.access.policy import Policy
from verbatim.access.secret import (
    MAX_SECRET_CHARS,
    digest_of,
    is_client_secret,
    new_client_secret,
    same_digest,
)
from verbatim.access.usage import UsageMeter
from verbatim.access.visit import Visit
from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    MissingKeyError,
    RateLimitedError,
    UnauthorizedError,
    VerbatimError,
)
from verbatim.domain.keys import Caller, Key, Scope
from verbatim.store.keys import KeyStore, StoredClientSecret

log = structlog.stdlib.get_logger(__name__)

FLUSH_S: Final = 5.0
"""Between two times that the counters are written."""
FRESH_S: Final = 5.0
"""A key that was read so long ago is read again: it may have been revoked elsewhere."""
MAX_KEYS_REMEMBERED: Final = 10_000
MAX_OFFERED: Final = 4
"""Keys of one request that are looked at."""
KEEP_DAYS: Final = 400
MAX_CLIENT_SECRETS: Final = 1000
"""Of one key, at a time."""
MAX_CLIENT_SECRET_LIFE_S: Final = 7200
MAX_GRANT_CHARS: Final = 64 * 1024
HOW_TO_SEND: Final = "Send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`."


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A short-lived secret for a browser, made by who holds a key."""

    secret: str = field(repr=False)
    expires_at: datetime


class Access:
    """Identifies callers and holds them to their limits. `run` writes the counters.

    Its methods raise what the store's `Database` says where they read it.

    Args:
        store: of the keys.
        policy: who needs a key.
        clock: seconds that only rise.
        now: the time, aware of its zone, UTC.
    """

    def __init__(
        self,
        store: KeyStore,
        policy: Policy,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.policy: Final = policy
        self.keys: Final = KeyAdministration(store, now, self._forget)
        self._store = store
        self._clock = clock
        self._now = now
        self._meter = UsageMeter(store.add_uses, now)
        self._limiters: defaultdict[str, KeyLimiter] = defaultdict(KeyLimiter)
        self._known: dict[str, tuple[Key, float]] = {}
        self._oldest_day: date | None = None

    async def identify(
        self, offered: Sequence[str], scope: Scope | None, *, needs_key: bool = False
    ) -> Caller:
        """Who calls.

        Args:
            offered: what the caller showed as keys; the first that opens this door counts.
            scope: what they want to do; None: what any good key allows.
            needs_key: also where the server asks for no key.

        Raises:
            MissingKeyError: none was shown.
            UnauthorizedError: none of them is good.
            ForbiddenError: one is good, and does not allow this.
        """
        anonymous = self.policy.anonymous
        # A client secret carries a grant, so it counts where no key is needed too.
        looked_at = needs_key or any(map(is_client_secret, offered))
        if anonymous is not None and not looked_at and scope in {None, *anonymous.scopes}:
            return anonymous
        refusals: list[VerbatimError] = []
        for secret in offered[:MAX_OFFERED]:
            try:
                caller = await self._caller(secret)
            except UnauthorizedError as error:
                refusals.append(error)
                continue
            if scope is None or scope in caller.scopes:
                return caller
            refusals.insert(0, _forbidden(caller, scope))
        raise refusals[0] if refusals else _missing()

    def visit(self, caller: Caller) -> Visit:
        """A request of this caller; `enter` it."""
        limiter = KeyLimiter() if caller.key_id is None else self._limiters[caller.key_id]
        return Visit(caller, limiter, self._meter, self._clock, self._now)

    async def mint(self, caller: Caller, life_s: float, grant: str) -> ClientSecret:
        """Make a short-lived secret that allows live sessions in the caller's name.

        Args:
            caller: who asks; their key's limits hold for what is done with the secret.
            life_s: for how long it opens anything, at most two hours.
            grant: given back by `identify`, in `Caller.grant`.

        Raises:
            BadRequestError: the grant or the life is too long.
            ForbiddenError: who asks came with such a secret.
            RateLimitedError: this key has too many.
        """
        if caller.grant is not None:
            raise ForbiddenError("A client secret makes no others; use the key itself.")
        if not 0 < life_s <= MAX_CLIENT_SECRET_LIFE_S or len(grant) > MAX_GRANT_CHARS:
            raise BadRequestError(
                f"A client secret lives at most {MAX_CLIENT_SECRET_LIFE_S} seconds, and carries "
                f"at most {MAX_GRANT_CHARS} characters."
            )
        now = self._now()
        made = ClientSecret(new_client_secret(), now + timedelta(seconds=life_s))
        stored = StoredClientSecret(caller.key_id, caller.authenticated, made.expires_at, grant)
        digest = digest_of(made.secret)
        if not await self._store.add_client_secret(
            digest, stored, now=now, most=MAX_CLIENT_SECRETS
        ):
            raise RateLimitedError(
                f"There are {MAX_CLIENT_SECRETS} client secrets of this key already. Wait for some "
                "to expire, or give them a shorter life.",
                retry_after_s=FRESH_S,
            )
        return made

    async def run(self, ending: asyncio.Event) -> None:
        """Write the counters now and then, and a last time when it ends."""
        over = failing = False
        while not over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await ending.wait()
            # Looked at before: what is counted while it writes is written the next time.
            over = ending.is_set()
            try:
                await self._meter.flush()
                await self._forget_old_days()
                failing = False
            except Exception as error:
                # What was counted is kept for the next time.
                if not failing:
                    log.error("counters of keys are not written", exc_info=error)
                failing = True
        if failing:
            log.error("counters of keys are lost", requests=self._meter.unsaved_requests)

    async def _forget_old_days(self) -> None:
        oldest = self._now().date() - timedelta(days=KEEP_DAYS)
        if self._oldest_day != oldest:
            await self._store.forget_days(oldest)
            self._oldest_day = oldest

    async def _caller(self, secret: str) -> Caller:
        if not 0 < len(secret) <= MAX_SECRET_CHARS:
            raise _unknown()
        digest = digest_of(secret)
        fixed = [caller for known, caller in self.policy.fixed if same_digest(known, digest)]
        if fixed:
            return fixed[0]
        if is_client_secret(secret):
            return await self._client(digest)
        known = self._known.get(digest)
        if known is None or self._clock() - known[1] >= FRESH_S:
            known = await self._read(digest)
        return self._caller_of(known[0])

    async def _read(self, digest: str) -> tuple[Key, float]:
        today = self._now().date()
        key = await self._store.find(digest, today)
        if key is None:
            raise _unknown()
        self._meter.on_read(key, today)
        if len(self._known) >= MAX_KEYS_REMEMBERED:
            self._known.clear()
        self._known[digest] = key, self._clock()
        return self._known[digest]

    async def _client(self, digest: str) -> Caller:
        secret = await self._store.find_client_secret(digest)
        if secret is None or secret.expires_at <= self._now():
            raise UnauthorizedError("This client secret is not known, or over. Ask for a new one.")
        if secret.key_id is None:
            if self.policy.required and not secret.authenticated:
                raise _missing()
            return Caller(
                None,
                "client secret",
                frozenset({Scope.LIVE}),
                authenticated=secret.authenticated,
                grant=secret.grant,
            )
        today = self._now().date()
        key = await self._store.get(secret.key_id, today)
        if key is None:
            raise _unknown()
        self._meter.on_read(key, today)
        return self._caller_of(key, secret.grant)

    def _caller_of(self, key: Key, grant: str | None = None) -> Caller:
        if key.revoked_at is not None:
            raise _unknown()
        if key.expires_at is not None and key.expires_at <= self._now():
            raise UnauthorizedError(
                f"This key was good until {key.expires_at:%Y-%m-%d %H:%M} UTC. Ask the server's "
                "administrator for a new one."
            )
        scopes = key.scopes if grant is None else key.scopes & {Scope.LIVE}
        return Caller(key.id, key.name, scopes, key.limits, grant=grant)

    def _forget(self) -> None:
        self._known.clear()


def _missing() -> MissingKeyError:
    return MissingKeyError(
        f"This needs a key. {HOW_TO_SEND} On the server, `verbatim keys create` makes one."
    )


def _unknown() -> UnauthorizedError:
    return UnauthorizedError(f"This key is not known here, or was revoked. {HOW_TO_SEND}")


def _forbidden(caller: Caller, scope: Scope) -> ForbiddenError:
    allowed = ", ".join(sorted(caller.scopes)) or "nothing"
    return ForbiddenError(
        f"This key does not have the scope {scope}; it has: {allowed}. An administrator can make "
        "one that does.",
        code="insufficient_scope",
    )
