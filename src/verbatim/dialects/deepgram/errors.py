"""Deepgram's error shape."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import ErrorKind, VerbatimError
from verbatim.wire.dialect import retry_headers

REQUEST_ID_HEADER: Final = "dg-request-id"
ERROR_HEADER: Final = "dg-error"
MAX_HEADER_CHARS: Final = 500
CODE_OF_KIND: Final = {
    ErrorKind.BAD_REQUEST: "Bad Request",
    ErrorKind.UNAUTHORIZED: "INVALID_AUTH",
    ErrorKind.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    ErrorKind.NOT_FOUND: "NOT_FOUND",
    ErrorKind.TIMEOUT: "REQUEST_TIMEOUT",
    ErrorKind.TOO_LARGE: "PAYLOAD_TOO_LARGE",
    ErrorKind.UNSUPPORTED_MEDIA: "UNSUPPORTED_MEDIA",
    ErrorKind.OVERLOADED: "TOO_MANY_REQUESTS",
    ErrorKind.UNAVAILABLE: "SERVICE_UNAVAILABLE",
    ErrorKind.STORAGE_FULL: "STORAGE_FULL",
    ErrorKind.INTERNAL: "INTERNAL_SERVER_ERROR",
}
_TEXT: Final = {"type": "string"}
ERROR_SCHEMA: Final = {
    "type": "object",
    "required": ["err_code", "err_msg", "request_id"],
    "properties": {"err_code": _TEXT, "err_msg": _TEXT, "request_id": _TEXT},
}
_NO_HEADER: Final = re.compile(r"[^ -~]")
"""What a header cannot hold."""


def render_error(error: VerbatimError, status: int, request_id: str = "") -> Response:
    """`{"err_code", "err_msg", "request_id"}`; the headers say it again.

    Programs that cannot read the answer to a failed handshake can often read its headers.
    """
    body = {
        "err_code": CODE_OF_KIND[error.kind],
        "err_msg": error.message,
        "request_id": request_id,
    }
    headers = {
        REQUEST_ID_HEADER: request_id,
        ERROR_HEADER: _NO_HEADER.sub("?", error.message)[:MAX_HEADER_CHARS],
    }
    return JSONResponse(body, status, headers={**headers, **retry_headers(error)})


def error_message(variant: str, description: str) -> dict[str, Any]:
    """An error on a WebSocket. What the client sent is not repeated: it may have been a key."""
    return {"type": "Error", "variant": variant, "description": description}
