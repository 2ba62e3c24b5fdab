"""What a wire dialect of HTTP is to the server that mounts it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from verbatim.domain.errors import ErrorKind, VerbatimError

CLIENT_GONE_STATUS: Final = 499
"""nginx's number for a client that left; it is logged, never sent."""
DEFAULT_RETRY_AFTER_S: Final = 5.0

STATUS_OF_KIND: Final[Mapping[ErrorKind, HTTPStatus]] = MappingProxyType(
    {
        ErrorKind.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
        ErrorKind.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
        ErrorKind.FORBIDDEN: HTTPStatus.FORBIDDEN,
        ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorKind.TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
        ErrorKind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ErrorKind.UNSUPPORTED_MEDIA: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ErrorKind.OVERLOADED: HTTPStatus.TOO_MANY_REQUESTS,
        ErrorKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        ErrorKind.STORAGE_FULL: HTTPStatus.INSUFFICIENT_STORAGE,
        ErrorKind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)

ErrorRenderer = Callable[[VerbatimError, int], Response]
"""An error and the status it is sent with, as a response in the dialect's own shape."""

NumberedErrorRenderer = Callable[[VerbatimError, int, str], Response]
"""The same for shapes that hold the request's id."""


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class StatusPart:
    """What a dialect's clients find in an answer that all dialects share.

    Attributes:
        model: the fields, described; no two parts declare one of them differently.
        read: their values now; None in a field that may be None leaves it out.
    """

    model: type[BaseModel]
    read: Callable[[], BaseModel]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect, ready to be mounted.

    Attributes:
        name: as in the setting `dialects`.
        prefixes: paths that belong to it, with all below them, also where no route of it matches:
            errors there are told in its shape.
        router: its routes, with full paths.
        render_error: its error shape.
        root: what it adds to `GET /`.
        health: what it adds to `GET /health`.
        drain: called when the server begins to stop; for connections that nothing else would end.
        render_numbered: takes the place of `render_error` where the shape holds the request's id.
    """

    name: str
    prefixes: tuple[str, ...]
    router: APIRouter
    render_error: ErrorRenderer
    root: StatusPart | None = None
    health: StatusPart | None = None
    drain: Callable[[], None] = _nothing
    render_numbered: NumberedErrorRenderer | None = None


def owner_of(dialects: Iterable[Dialect], path: str) -> Dialect | None:
    """The dialect that a path belongs to: of several, the one that says it most precisely."""
    owners = [
        (len(prefix), dialect)
        for dialect in dialects
        for prefix in dialect.prefixes
        if path == prefix or path.startswith(f"{prefix}/")
    ]
    return max(owners, key=lambda owner: owner[0])[1] if owners else None


def retry_headers(error: VerbatimError) -> dict[str, str]:
    """`Retry-After` in whole seconds, where a repeat has a chance."""
    if not error.retryable:
        return {}
    wait_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
    return {"retry-after": str(max(1, math.ceil(wait_s)))}
