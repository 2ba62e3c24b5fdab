"""What is sent to `/v1/keys`, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from verbatim.access.administration import EVERYDAY_SCOPES, KeyWish, NewKey
from verbatim.access.secret import KeyFormat
from verbatim.domain.keys import Key, KeyLimits, Scope
from verbatim.store.keys import KeyDay

MINUTE_S: Final = 60.0
RATE_HELP: Final = "Requests accepted in any 60 s; null: no limit."
AUDIO_HELP: Final = "Minutes of audio a day, by UTC; null: no limit."
PARALLEL_HELP: Final = "Requests and live sessions at the same time; null: no limit."
END_HELP: Final = "When it ends: Unix seconds, or ISO 8601 with its zone; null: never."


class Limits(BaseModel):
    """How much may be asked for with a key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    requests_per_minute: int | None = Field(None, description=RATE_HELP)
    audio_minutes_per_day: float | None = Field(None, description=AUDIO_HELP)
    parallel_requests: int | None = Field(None, description=PARALLEL_HELP)


class KeyToMake(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="For people.")
    scopes: frozenset[Scope] = Field(EVERYDAY_SCOPES, description="What it allows.")
    expires_at: AwareDatetime | None = Field(None, description=END_HELP)
    limits: Limits = Field(Limits(), description="How much of it.")
    format: KeyFormat = Field(
        KeyFormat.STANDARD,
        description="older: 48 hexadecimal digits, for programs that count them.",
    )

    def wish(self) -> KeyWish:
        """The same in our terms."""
        limits = KeyLimits(**self.limits.model_dump())
        return KeyWish(self.name, self.scopes, self.expires_at, limits, self.format)


class KeyChange(BaseModel):
    """What shall be different; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="For people.")
    scopes: frozenset[Scope] = Field(frozenset(), description="What it allows.")
    expires_at: AwareDatetime | None = Field(None, description=END_HELP)
    limits: Limits = Field(Limits(), description="Limits that are left out stay.")

    def apply(self, key: Key) -> Key:
        """The key as it shall be."""
        said = {name: getattr(self, name) for name in self.model_fields_set if name != "limits"}
        limits = replace(key.limits, **self.limits.model_dump(exclude_unset=True))
        return replace(key, **said, limits=limits)


def key_json(key: Key) -> dict[str, Any]:
    """A key; times are Unix seconds, as elsewhere under `/v1`."""
    return {
        "object": "key",
        "id": key.id,
        "name": key.name,
        "preview": key.preview,
        "scopes": sorted(key.scopes),
        "limits": {
            "requests_per_minute": key.limits.requests_per_minute,
            "audio_minutes_per_day": key.limits.audio_minutes_per_day,
            "parallel_requests": key.limits.parallel_requests,
        },
        "created_at": _seconds(key.created_at),
        "expires_at": _seconds(key.expires_at),
        "revoked_at": _seconds(key.revoked_at),
        "last_used_at": _seconds(key.last_used_at),
        "request_count": key.request_count,
        "audio_minutes": _minutes(key.audio_s),
        "audio_minutes_today": _minutes(key.audio_today_s),
    }


def new_key_json(new: NewKey) -> dict[str, Any]:
    """A key that was just made, with the secret that is shown this once."""
    return {**key_json(new.key), "key": new.secret}


def days_json(days: Sequence[KeyDay]) -> list[dict[str, Any]]:
    """What was asked for, day by day."""
    return [
        {
            "day": day.day.isoformat(),
            "requests": day.requests,
            "audio_minutes": _minutes(day.audio_s),
        }
        for day in days
    ]


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.astimezone(UTC).timestamp())


def _minutes(seconds: float) -> float:
    return round(seconds / MINUTE_S, 3)
