"""Where clients put their keys, HTTP and WebSocket alike. Never in the address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.datastructures import Headers

SCHEMES: Final = frozenset({"bearer", "token"})
"""OpenAI's word and Deepgram's."""
KEY_HEADERS: Final = ("x-api-key", "x-admin-key")
SUBPROTOCOL_HEADER: Final = "sec-websocket-protocol"
KEY_SUBPROTOCOLS: Final = ("verbatim.key.", "openai-insecure-api-key.")
"""Browsers can set no headers on a WebSocket; what they can set are its subprotocols."""
_PLACES: Final = frozenset(
    name.encode() for name in ("authorization", *KEY_HEADERS, SUBPROTOCOL_HEADER)
)


def offered_keys(headers: Headers) -> tuple[str, ...]:
    """What the headers show as keys, each once, in the order in which they are looked at."""
    # A look at the bytes: each header that is asked for by name is looked for among all of them.
    if _PLACES.isdisjoint(name for name, _ in headers.raw):
        return ()
    return tuple(dict.fromkeys(key for key in _keys(headers) if key))


def spoken_subprotocol(headers: Headers) -> str | None:
    """The subprotocol to agree on: the first that is no key. A key must not be said back."""
    offered = _subprotocols(headers)
    keys = {place for place, _ in _key_places(offered)}
    return next((name for place, name in enumerate(offered) if place not in keys), None)


def _keys(headers: Headers) -> Iterator[str]:
    for value in headers.getlist("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.casefold() in SCHEMES:
            yield rest.strip()
        elif not rest:
            # VoxScribe's clients send the bare token.
            yield scheme
    for name in KEY_HEADERS:
        for value in headers.getlist(name):
            yield value.strip()
    for _, key in _key_places(_subprotocols(headers)):
        yield key


def _subprotocols(headers: Headers) -> list[str]:
    lines = headers.getlist(SUBPROTOCOL_HEADER)
    return [name for line in lines for part in line.split(",") if (name := part.strip())]


def _key_places(offered: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where keys lie among subprotocols; after a scheme's name the next one is the key."""
    for place, name in enumerate(offered):
        for prefix in KEY_SUBPROTOCOLS:
            if name.startswith(prefix):
                yield place, name.removeprefix(prefix)
        if place and offered[place - 1].casefold() in SCHEMES:
            yield place, name
