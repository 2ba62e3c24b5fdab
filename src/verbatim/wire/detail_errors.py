"""The error shape of the older servers: `{"detail": text}`."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import VerbatimError
from verbatim.wire.dialect import retry_headers

DETAIL_SCHEMA: Final = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string"}},
}
_CONTENT: Final = {"application/json": {"schema": DETAIL_SCHEMA}}
DETAIL_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "An error of the request.", "content": _CONTENT},
    "5XX": {"description": "An error of the server.", "content": _CONTENT},
}
"""For a route's description."""


def render_detail(error: VerbatimError, status: int) -> Response:
    """The error as a response; with `Retry-After` where a repeat has a chance."""
    return detail(error.message, error, status)


def detail(text: str, error: VerbatimError, status: int) -> Response:
    """The same in other words."""
    return JSONResponse({"detail": text}, status, headers=retry_headers(error))
