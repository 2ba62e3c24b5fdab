"""Addresses of other servers."""

from __future__ import annotations

from urllib.parse import urlsplit


def checked_url(url: str) -> str:
    """The address of a server, as it is.

    Raises:
        ValueError: it is none, or holds a password, which logs would show.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// address")
    if parts.username is not None:
        raise ValueError("an address with a password would be seen in logs; set backend_api_key")
    return url
