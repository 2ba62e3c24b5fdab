"""The shape of errors under each path, as its dialect's clients know it."""

from __future__ import annotations

from typing import Any

from tests.support.openai_schema import error_of

SPOKEN_IN_ONE_WORD = ("/v1/listen",)
SUCCESS_OR_ERROR = ("/transcribe/file", "/transcribe/binary", "/models")


def message_of(path: str, body: Any) -> str:
    """What an error says; fails where it is not told in the shape of its path."""
    said: Any
    if path.startswith(SPOKEN_IN_ONE_WORD):
        assert set(body) == {"err_code", "err_msg", "request_id"}
        said = body["err_msg"]
    elif path.startswith("/v1/"):
        said = error_of(body)["message"]
    elif path.startswith(SUCCESS_OR_ERROR) and "detail" not in body:
        assert set(body) == {"success", "error"}
        assert body["success"] is False
        said = body["error"]
    else:
        assert {"detail"} <= set(body) <= {"detail", "code"}
        said = body["detail"]
    assert isinstance(said, str)
    assert said
    return said
