"""The error shape of the REST routes, `{"detail": text}`, in the words that their clients know."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from verbatim.dialects.fastwhisper import texts
from verbatim.domain.errors import ErrorKind, VerbatimError
from verbatim.settings import MIB
from verbatim.wire.detail_errors import detail
from verbatim.wire.dialect import ErrorRenderer

BASE64_FILE_BYTES: Final = 100 * MIB
"""Longest file within a JSON body, which is taken apart in memory."""
BASE64_TOO_LARGE: Final = "base64_too_large"
KEY_NOT_FOUND: Final = "key_not_found"


def error_renderer(max_file_bytes: int) -> ErrorRenderer:
    """What renders errors.

    Args:
        max_file_bytes: the limit that the message of a file over it tells.
    """
    known = {
        "file_too_large": texts.too_large(max_file_bytes),
        BASE64_TOO_LARGE: texts.too_large(min(max_file_bytes, BASE64_FILE_BYTES)),
        "empty_audio": texts.EMPTY_FILE,
        KEY_NOT_FOUND: texts.KEY_NOT_FOUND,
    }

    def render(error: VerbatimError, status: int) -> Response:
        if error.kind is ErrorKind.UNSUPPORTED_MEDIA or error.code == "model_not_found":
            # Its clients, and VoxScribe's, know one status for whatever is wrong with a request.
            status = HTTPStatus.BAD_REQUEST
        elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} and (
            error.code != KEY_NOT_FOUND
        ):
            # Ours would say the address again, which may hold a key.
            return detail(HTTPStatus(status).phrase, error, status)
        return detail(known.get(error.code or "", error.message), error, status)

    return render
