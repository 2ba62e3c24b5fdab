"""Keeps pages of other sites from using, through a browser, a server that asks for no key.

A browser sends requests for any page, also to servers that only its own machine can reach. Where
keys are asked for, this is harmless: nothing here is a cookie, so no page has what it does not
know. Where none is asked for, two things tell such a page apart: the origin that the browser says
on all that may change something; and, for a site that has its own name lead to this machine (DNS
rebinding) and so is of the same origin, the name that the request was sent to.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from verbatim.access.policy import is_loopback
from verbatim.domain.addresses import ANY
from verbatim.domain.errors import ForbiddenError
from verbatim.server.errors import ErrorResponder
from verbatim.settings import Settings
from verbatim.wire.websocket import FETCH_SITE, check_origin

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Change nothing (RFC 9110, 9.2.1), and their answers cannot be read by other sites' pages."""
OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa")
"""Never in the public DNS: RFC 6761, RFC 6762, ICANN's resolution of 2024-07-29, RFC 8375."""


class SiteGuard:
    """Lies around all routes; what it refuses is told in the shape of the path's dialect.

    Args:
        app: of ASGI.
        settings: of the server.
        open_to_all: whether callers need no key.
        errors: renders what is refused.
    """

    def __init__(
        self, app: ASGIApp, *, settings: Settings, open_to_all: bool, errors: ErrorResponder
    ) -> None:
        self._app = app
        self._errors = errors
        self._open_to_all = open_to_all
        self._origins = settings.cors_origins
        self._names = frozenset(settings.allowed_hosts)
        local = open_to_all and is_loopback(settings.host)
        self._by_name = ANY not in self._names and (local or bool(self._names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in {"http", "websocket"}:
            try:
                self._check(HTTPConnection(scope))
            except ForbiddenError as error:
                await self._errors.respond(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, connection: HTTPConnection) -> None:
        if self._by_name:
            check_name(connection.headers.get("host", ""), self._names)
        changes = connection.scope.get("method") not in SAFE_METHODS
        if not (self._open_to_all and changes):
            return
        check_origin(connection, self._origins)
        site = connection.headers.get(FETCH_SITE)
        if "origin" not in connection.headers and site in OTHER_SITES:
            raise ForbiddenError(
                "This browser shows a page of another site, which may not use this server.",
                code="origin_not_allowed",
            )


def check_name(host: str, allowed: frozenset[str]) -> None:
    """Refuse a request that was sent to a name which might be anybody's.

    Args:
        host: the `Host` header, or nothing where there is none, which no browser does.
        allowed: names besides addresses and those of local networks.

    Raises:
        ForbiddenError: it was.
    """
    name = _without_port(host).casefold().rstrip(".")
    if name in allowed or "." not in name or name.endswith(LOCAL_SUFFIXES) or _is_address(name):
        return
    raise ForbiddenError(
        f"This server does not know the name {name[:100]} as its own; its operator can set "
        "allowed_hosts to it, or have callers show a key.",
        code="host_not_allowed",
    )


def _without_port(host: str) -> str:
    before, colon, port = host.rpartition(":")
    return before if colon and port.isdecimal() else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
