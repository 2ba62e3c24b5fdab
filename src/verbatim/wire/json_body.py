"""A small JSON body as a typed value."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from verbatim.domain.errors import BadRequestError, TooLargeError, UnsupportedMediaError
from verbatim.wire.body import Pace, body_chunks
from verbatim.wire.json_text import Place, TornTextError, load_json

MAX_BODY_BYTES: Final = 64 * 1024
JSON_TYPE: Final = "application/json"

Model = TypeVar("Model", bound=BaseModel)


async def read_json(
    request: Request,
    pace: Pace,
    model: type[Model],
    max_bytes: int = MAX_BODY_BYTES,
    *,
    whole_place: bool = False,
) -> Model:
    """Read a request's body, which is an object of this model; FastAPI's own way has no bound.

    Args:
        request: whose body was not touched so far.
        pace: how slow it may be.
        model: of pydantic.
        max_bytes: how long it may be.
        whole_place: as `fit`.

    Raises:
        UnsupportedMediaError: its type is not JSON. Browsers ask before they send that to others.
        TooLargeError, SlowUploadError: it is too long, or comes too slowly.
        BadRequestError: it is no JSON, or does not fit; `param` names the field.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != JSON_TYPE:
        raise UnsupportedMediaError(
            f"Send a JSON object with the header Content-Type: {JSON_TYPE}.", code="not_json"
        )
    body = bytearray()
    async with contextlib.aclosing(body_chunks(request, pace)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                raise TooLargeError(f"The body may have {max_bytes} bytes.", code="body_too_large")
    parse = partial(parse_json, bytes(body), model, whole_place=whole_place)
    # Megabytes take a moment, for which others would have to wait.
    return parse() if len(body) <= MAX_BODY_BYTES else await asyncio.to_thread(parse)


def parse_json(body: bytes, model: type[Model], *, whole_place: bool = False) -> Model:
    """A JSON object as a value of the model; `whole_place` as `fit`.

    Raises:
        BadRequestError: it is no JSON, or does not fit; `param` names the field.
    """
    try:
        value = load_json(body)
    except TornTextError as error:
        param = _param(error.place, whole=whole_place)
        raise BadRequestError(f"{param or 'body'}: {error}.", param=param) from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The body is no JSON.", code="invalid_json") from error
    return fit(value, model, whole_place=whole_place)


def fit(value: object, model: type[Model], *, whole_place: bool = False) -> Model:
    """What was JSON as a value of the model.

    Args:
        value: an object, it is hoped.
        model: of pydantic.
        whole_place: `param` leads to the field within the fields around it, as `a.b.c`.

    Raises:
        BadRequestError: it does not fit; `param` names the field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        lines = (f"{_param(p['loc'], whole=True) or 'body'}: {_told(p)}" for p in problems)
        param = _param(problems[0]["loc"], whole=whole_place)
        raise BadRequestError("; ".join(lines), param=param) from error


def _told(problem: ErrorDetails) -> str:
    # Pydantic would name a class of ours.
    return "Input should be an object" if problem["type"] == "model_type" else problem["msg"]


def _param(place: Place, *, whole: bool) -> str | None:
    return ".".join(map(str, place if whole else place[:1])) or None
