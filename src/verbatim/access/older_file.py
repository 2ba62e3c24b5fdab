"""The key file of the older real-time server, `api_keys.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from verbatim.access.secret import MAX_SECRET_CHARS, preview_of
from verbatim.domain.errors import BadRequestError

FORM: Final = '{"sk-…": {"name": …, "created_at": …, "last_used": …, "request_count": …}}'
MOST_REQUESTS: Final = 2**62


@dataclass(frozen=True, slots=True)
class OlderKey:
    """A key of that file; its times are aware of their zone."""

    secret: str
    name: str
    created_at: datetime | None
    last_used_at: datetime | None
    request_count: int


def read_older_keys(text: str) -> tuple[OlderKey, ...]:
    """The keys in such a file.

    Raises:
        BadRequestError: it is none; the message never holds a whole key.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"This file is no JSON; it should look like {FORM}.") from error
    if not isinstance(entries, dict):
        raise BadRequestError(f"This file should look like {FORM}.")
    return tuple(_older_key(secret, entry) for secret, entry in entries.items())


def _older_key(secret: str, entry: object) -> OlderKey:
    shown = preview_of(secret)
    if not (0 < len(secret) <= MAX_SECRET_CHARS and secret.isascii() and secret.isprintable()):
        raise BadRequestError(f"{shown} cannot be a key: no header could carry it.")
    if " " in secret or not isinstance(entry, Mapping):
        raise BadRequestError(
            f"{shown} is no key with its facts; the file should look like {FORM}."
        )
    count = entry.get("request_count") or 0
    if not isinstance(count, int) or not 0 <= count <= MOST_REQUESTS:
        raise BadRequestError(f"{shown}: request_count is no number of requests.")
    return OlderKey(
        secret=secret,
        name=str(entry.get("name") or ""),
        created_at=_time(entry.get("created_at"), shown),
        last_used_at=_time(entry.get("last_used"), shown),
        request_count=count,
    )


def _time(value: object, shown: str) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        # That server wrote its machine's time without naming the zone; it is taken to be ours.
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"{shown}: {str(value)[:40]!r} is no time.") from error
