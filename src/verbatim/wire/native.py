"""What Verbatim's own routes under `/v1` share: an error looks as OpenAI's do there."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from verbatim.domain.errors import VerbatimError
from verbatim.wire.dialect import retry_headers

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


def render_error(error: VerbatimError, status: int) -> Response:
    """`{"error": {"message", "type", "param", "code"}}`; the type is the kind of our tree."""
    told = {
        "message": error.message,
        "type": error.kind.value,
        "param": error.param,
        "code": error.code,
    }
    return JSONResponse({"error": told}, status, headers=retry_headers(error))
