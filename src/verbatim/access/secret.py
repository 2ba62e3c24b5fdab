"""What opens doors: how secrets are made, recognised and shown."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from typing import Final

PREFIX: Final = "sk-"
CLIENT_PREFIX: Final = "ek_"
SECRET_BYTES: Final = 32
OLDER_SECRET_BYTES: Final = 24
ID_BYTES: Final = 8
ID_PREFIX: Final = "key_"
ID_FORM: Final = re.compile(rf"{ID_PREFIX}[0-9a-f]{{{2 * ID_BYTES}}}")
MAX_SECRET_CHARS: Final = 512
HEAD_CHARS: Final = 8
TAIL_CHARS: Final = 4
LEAST_SHOWN_CHARS: Final = 3 * (HEAD_CHARS + TAIL_CHARS)
"""Of a shorter secret, head and tail would tell too much."""


class KeyFormat(StrEnum):
    """How a key looks."""

    STANDARD = "standard"
    """256 random bits: `sk-` and 64 hexadecimal digits."""
    OLDER = "older"
    """192 random bits: `sk-` and 48 digits, for programs that count them."""


def new_key(key_format: KeyFormat = KeyFormat.STANDARD) -> str:
    """A new random key."""
    older = key_format is KeyFormat.OLDER
    return PREFIX + secrets.token_hex(OLDER_SECRET_BYTES if older else SECRET_BYTES)


def new_client_secret() -> str:
    """A new random client secret."""
    return CLIENT_PREFIX + secrets.token_hex(SECRET_BYTES)


def new_id() -> str:
    """A new key's id."""
    return ID_PREFIX + secrets.token_hex(ID_BYTES)


def is_id(text: str) -> bool:
    """Whether it could be a key's id."""
    return ID_FORM.fullmatch(text) is not None


def is_client_secret(secret: str) -> bool:
    """Whether it is one, by its looks."""
    return secret.startswith(CLIENT_PREFIX)


def digest_of(secret: str) -> str:
    """SHA-256, hexadecimal. What is random needs no salt, and no slow hash."""
    # JSON can hold what is no text; it opens nothing, and must not fail either.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def same_digest(one: str, other: str) -> bool:
    """Compare without telling by the time it takes how much is alike."""
    return hmac.compare_digest(one, other)


def preview_of(secret: str) -> str:
    """Head and tail, as `sk-a6e05...be80`: to tell keys apart, not to use them."""
    if len(secret) < LEAST_SHOWN_CHARS:
        return "..."
    return f"{secret[:HEAD_CHARS]}...{secret[-TAIL_CHARS:]}"
