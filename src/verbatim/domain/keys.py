"""API keys as the rest of Verbatim sees them: whose they are, what they allow, what they used."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key allows. No scope holds another: an administrator's key may lack the rest."""

    TRANSCRIBE = "transcribe"
    LIVE = "live"
    JOBS = "jobs"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How much may be asked for with a key; None: as much as one likes."""

    requests_per_minute: int | None = None
    """Requests accepted in any 60 s."""
    audio_minutes_per_day: float | None = None
    """Minutes of audio transcribed in a day, which begins at midnight UTC."""
    parallel_requests: int | None = None
    """Requests and live sessions served at the same time."""


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key. The secret itself is nowhere: only its holder knows it.

    Attributes:
        id: by which it is managed; no secret.
        name: given by who made it; no two need to differ.
        preview: enough of the secret to tell keys apart by eye.
        created_at: like all times here, aware of its zone, which is UTC.
        revoked_at: from then on it opens nothing; None while it does.
        last_used_at: a few seconds late at most.
        request_count: requests accepted since it was made; as late.
        audio_s: seconds of audio transcribed since it was made; as late.
        audio_today_s: of these, on the day for which the key was read.
    """

    id: str
    name: str
    preview: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    limits: KeyLimits = field(default_factory=KeyLimits)
    last_used_at: datetime | None = None
    request_count: int = 0
    audio_s: float = 0.0
    audio_today_s: float = 0.0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What was asked for with a key on one day, since it was last written down."""

    key_id: str
    day: date
    requests: int
    audio_s: float
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from.

    Attributes:
        key_id: of a stored key; None for a key of the settings, and where no key is asked for.
        name: the key's, for people.
        scopes: what the caller may do.
        limits: how much of it.
        authenticated: whether a key was shown and is good.
        grant: what a client secret was minted with, such as a session's settings; None for keys.
    """

    key_id: str | None
    name: str
    scopes: frozenset[Scope]
    limits: KeyLimits = field(default_factory=KeyLimits)
    authenticated: bool = True
    grant: str | None = None

    @property
    def owner(self) -> str:
        """With whom the device is shared fairly; empty where each request stands for itself."""
        return self.key_id or ""
