"""OpenAI's published schemas, as the judge of what the server answers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DESCRIPTION = Path(__file__).parents[1] / "data" / "openai-audio-openapi.json"
ERROR_KEYS = {"message", "type", "param", "code"}


@cache
def _validator(name: str) -> Draft202012Validator:
    components = json.loads(DESCRIPTION.read_text())["components"]
    if name not in components["schemas"]:
        raise KeyError(name)
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})


def assert_valid(name: str, data: object) -> None:
    """Fail unless `data` fits the schema of this name."""
    problems = [f"{p.json_path}: {p.message}" for p in _validator(name).iter_errors(data)]
    assert not problems, f"{name}: {problems}"


def error_of(body: object) -> dict[str, Any]:
    """The error in a body, which must have OpenAI's shape."""
    assert isinstance(body, dict)
    error: dict[str, Any] = body["error"]
    assert set(body) == {"error"}
    assert set(error) == ERROR_KEYS
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["type"] in {"invalid_request_error", "rate_limit_error", "server_error"}
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    return error
