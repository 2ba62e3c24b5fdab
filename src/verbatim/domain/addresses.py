"""Addresses of other servers, and those that pages in browsers come from."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
"""In a list of origins or names: all of them."""
OPAQUE_ORIGIN: Final = "null"
"""What browsers say for pages without an address, such as a file's."""


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


def checked_origin(origin: str) -> str:
    """Where a browser's pages come from, as browsers write it: `https://example.org`.

    Raises:
        ValueError: no page can come from there.
    """
    if origin in {ANY, OPAQUE_ORIGIN}:
        return origin
    parts = urlsplit(origin.casefold())
    if not parts.scheme or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"{origin!r} is no origin; write it as the browser's address bar begins, such as "
            "https://example.org or http://localhost:3000"
        )
    return f"{parts.scheme}://{parts.netloc}"


def checked_name(name: str) -> str:
    """A server's name as `Host` headers have it, without its port.

    Raises:
        ValueError: it is an address of a page, or holds what no name does.
    """
    bare = name.casefold().rstrip(".")
    if not bare or any(mark in bare for mark in "/:@ "):
        raise ValueError(f"{name!r} is no name of a server; write it alone: stt.example.org")
    return bare
