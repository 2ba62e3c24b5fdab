"""The error shape of all under `/v1`, which is OpenAI's: four keys, always all of them."""

from __future__ import annotations

from typing import Any, Final, TypedDict

from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import ErrorKind, VerbatimError
from verbatim.wire.dialect import retry_headers

FIRST_SERVER_STATUS: Final = 500
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
ERROR_SCHEMA: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": _TEXT_OR_NULL,
                "code": _TEXT_OR_NULL,
            },
        }
    },
}


_ERROR_CONTENT: Final = {"application/json": {"schema": ERROR_SCHEMA}}
ERROR_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "An error of the request.", "content": _ERROR_CONTENT},
    "5XX": {"description": "An error of the server.", "content": _ERROR_CONTENT},
}
"""For the description of a route."""


class ErrorFields(TypedDict):
    """What an error says."""

    message: str
    type: str
    param: str | None
    code: str | None


def error_body(error: VerbatimError, status: int) -> dict[str, object]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return {"error": error_fields(error, status)}


def error_fields(error: VerbatimError, status: int) -> ErrorFields:
    """What stands under the key `error`."""
    return {
        "message": error.message,
        "type": _type(error, status),
        "param": error.param,
        "code": error.code,
    }


def render_error(error: VerbatimError, status: int) -> Response:
    """The error as a response; with `Retry-After` where a repeat has a chance."""
    return JSONResponse(error_body(error, status), status, headers=retry_headers(error))


def _type(error: VerbatimError, status: int) -> str:
    if error.kind is ErrorKind.OVERLOADED:
        return "rate_limit_error"
    return "server_error" if status >= FIRST_SERVER_STATUS else "invalid_request_error"
