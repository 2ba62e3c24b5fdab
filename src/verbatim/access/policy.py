"""Whom the server lets in, as the settings say."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from verbatim.access.secret import digest_of
from verbatim.domain.addresses import ANY
from verbatim.domain.errors import BadRequestError
from verbatim.domain.keys import Caller, Scope
from verbatim.settings import Settings

LOCAL_NAME: Final = "localhost"
API_KEY_SCOPES: Final = frozenset({Scope.TRANSCRIBE, Scope.LIVE})
OPEN_SCOPES: Final = frozenset({Scope.TRANSCRIBE, Scope.LIVE, Scope.JOBS})
ANONYMOUS_NAME: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who needs no key, and which keys are not in the store.

    Attributes:
        anonymous: who callers without a key are; None where everybody needs one.
        fixed: the keys of the settings, by the digest of their secret.
    """

    anonymous: Caller | None
    fixed: tuple[tuple[str, Caller], ...] = ()

    @property
    def required(self) -> bool:
        """Whether everybody needs a key."""
        return self.anonymous is None


def policy_of(settings: Settings) -> Policy:
    """What the settings say.

    Raises:
        BadRequestError: they contradict each other, or would let everybody in without saying so.
    """
    local = is_loopback(settings.host)
    fixed = _fixed_keys(settings)
    if settings.no_auth and settings.auth == "on":
        raise BadRequestError(
            "The settings contradict each other: auth = on asks for keys, no_auth lets everybody "
            "in. Leave one of them out.",
            param="no_auth",
        )
    if settings.auth == "off" and not (local or settings.no_auth):
        raise BadRequestError(
            f"auth = off would let everybody who can reach {settings.host} use this server. To "
            "have that, say --no-auth (VERBATIM_NO_AUTH=true); to serve those with a key, leave "
            "auth away: the first start makes two keys and shows them.",
            param="auth",
        )
    off = settings.no_auth or settings.auth == "off"
    if settings.auth == "on" or not (off or (local and settings.api_key is None)):
        return Policy(None, fixed)
    any_page = ANY in settings.cors_origins
    if any_page and not settings.no_auth:
        raise BadRequestError(
            "cors_origins = * would let every page on the web use this server through the browser "
            "of whoever opens it. Name the origins, or ask for keys (--auth on), or say --no-auth.",
            param="cors_origins",
        )
    # On this machine alone, whoever calls could as well run `verbatim` commands; pages could not.
    scopes = OPEN_SCOPES | {Scope.ADMIN} if local and not any_page else OPEN_SCOPES
    return Policy(Caller(None, ANONYMOUS_NAME, scopes, authenticated=False), fixed)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == LOCAL_NAME


def _fixed_keys(settings: Settings) -> tuple[tuple[str, Caller], ...]:
    chosen = (
        (settings.api_key, Caller(None, "api_key", API_KEY_SCOPES)),
        (settings.admin_key, Caller(None, "admin_key", frozenset({Scope.ADMIN}))),
    )
    return tuple(
        (digest_of(secret.get_secret_value()), caller)
        for secret, caller in chosen
        if secret is not None
    )
