"""Lets callers in to what their key allows; the same for HTTP and WebSocket, and every dialect.

    guard = Guard(context, Scope.TRANSCRIBE)
    router.add_api_route("/path", endpoint, dependencies=[Depends(guard)])

`caller_of(request.scope)` is then who calls. Where a dialect has a way of its own to show a key,
such as the first message on a WebSocket, it calls `admit` with what was shown. The server ends
each visit when the request or the connection has ended.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from verbatim.access.limits import MINUTE_S, Allowance
from verbatim.access.visit import Visit
from verbatim.domain.keys import Caller, Scope
from verbatim.wire.context import Context
from verbatim.wire.credentials import offered_keys
from verbatim.wire.notes import notes_of

VISIT_KEY: Final = "verbatim.visit"
"""Where the visit lies in the ASGI scope."""
LIMIT_HEADERS: Final = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""OpenAI's names."""
MS_PER_S: Final = 1000


class Guard(SecurityBase):
    """A dependency of routes that need a scope.

    Args:
        context: of the application.
        scope: what the route needs; None: any good key.
        needs_key: also where the server asks for no key.
    """

    # This module has no postponed annotations: FastAPI could not resolve those of an instance.
    scheme_name: str = "key"

    def __init__(self, context: Context, scope: Scope | None, *, needs_key: bool = False) -> None:
        self.model = HTTPBearer(description="A key; where the server runs open, any text will do.")
        self._context = context
        self._scope = scope
        self._needs_key = needs_key

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Let the caller in; raises as `admit`."""
        return await admit(connection, self._context, self._scope, needs_key=self._needs_key)


async def admit(
    connection: HTTPConnection,
    context: Context,
    scope: Scope | None,
    *,
    offered: Sequence[str] | None = None,
    needs_key: bool = False,
) -> Caller:
    """Find out who calls, and begin their visit.

    Args:
        connection: a request, or a WebSocket that may be accepted already or not.
        context: of the application.
        scope: what the caller wants to do; None: what any good key allows.
        offered: what was shown as keys; None: what the headers show.
        needs_key: also where the server asks for no key.

    Raises:
        UnauthorizedError, ForbiddenError: as `Access.identify`.
        RateLimitedError: a limit of the key is reached.
        UnavailableError: keys cannot be looked up now.
    """
    known = visit_of(connection.scope)
    if known is not None:
        good = known.caller.authenticated or not needs_key
        if good and scope in known.caller.scopes:
            return known.caller
        known.leave()
    shown = offered_keys(connection.headers) if offered is None else offered
    caller = await context.access.identify(shown, scope, needs_key=needs_key)
    visit = context.access.visit(caller)
    # Before it enters, so that a refusal too can say what the limit is.
    connection.scope[VISIT_KEY] = visit
    notes_of(connection.scope).key_id = caller.key_id
    visit.enter()
    return caller


def visit_of(scope: MutableMapping[str, Any]) -> Visit | None:
    """The visit of this request or connection, once its caller is known."""
    visit = scope.get(VISIT_KEY)
    return visit if isinstance(visit, Visit) else None


def guarded_visit(scope: MutableMapping[str, Any]) -> Visit:
    """The visit, on a route with a guard."""
    visit = visit_of(scope)
    if visit is None:
        raise LookupError("this route has no guard")
    return visit


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Who calls, on a route with a guard."""
    return guarded_visit(scope).caller


def limit_headers(allowance: Allowance) -> dict[str, str]:
    """What is left of a key's requests a minute."""
    values = (str(allowance.limit), str(allowance.remaining), _duration(allowance.reset_s))
    return dict(zip(LIMIT_HEADERS, values, strict=True))


def _duration(seconds: float) -> str:
    """As OpenAI writes it: 120ms, 8.64s, 1m0s."""
    if seconds < 1:
        return f"{round(seconds * MS_PER_S)}ms"
    if seconds < MINUTE_S:
        return f"{seconds:.4g}s"
    minutes, rest = divmod(round(seconds), int(MINUTE_S))
    return f"{minutes}m{rest}s"
