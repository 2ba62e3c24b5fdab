"""`/admin/keys`: making, listing and removing keys, as the older server's tools do."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from verbatim.access.administration import KeyAdministration, KeyWish
from verbatim.access.secret import KeyFormat
from verbatim.dialects.fastwhisper import texts

DEFAULT_NAME: Final = "default"


class MadeKey(BaseModel):
    """A key that was just made, which is shown this once."""

    api_key: str
    name: str
    message: str


class KeyEntry(BaseModel):
    """A key; times are ISO 8601, UTC."""

    key_preview: str
    name: str
    created_at: str
    last_used: str | None
    request_count: int


class KeyEntries(BaseModel):
    """The keys, the oldest first."""

    keys: list[KeyEntry]
    total: int


class Message(BaseModel):
    """What was done."""

    message: str


class AdminRoutes:
    """The endpoints.

    Args:
        keys: there are.
    """

    def __init__(self, keys: KeyAdministration) -> None:
        self._keys = keys

    async def generate(self, name: str = DEFAULT_NAME) -> MadeKey:
        """Make a key of 48 hexadecimal digits, as this server's clients know them."""
        made = await self._keys.create(KeyWish(name, format=KeyFormat.OLDER))
        return MadeKey(api_key=made.secret, name=made.key.name, message=texts.KEY_MADE)

    async def list(self) -> KeyEntries:
        """The keys that are good, with what was asked for with them."""
        entries = [
            KeyEntry(
                key_preview=key.preview,
                name=key.name,
                created_at=key.created_at.isoformat(),
                last_used=key.last_used_at.isoformat() if key.last_used_at else None,
                request_count=key.request_count,
            )
            for key in await self._keys.list()
        ]
        return KeyEntries(keys=entries, total=len(entries))

    async def remove(self, key: str) -> Message:
        """Let a key open nothing any more."""
        await self._keys.revoke_secret(key)
        return Message(message=texts.KEY_REMOVED)
