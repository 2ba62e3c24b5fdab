"""The routes: parse, ask the administration, render."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from verbatim.dialects.native_keys.bodies import (
    KeyChange,
    KeyToMake,
    days_json,
    key_json,
    new_key_json,
)
from verbatim.domain.keys import Scope
from verbatim.wire.context import Context
from verbatim.wire.dialect import Dialect
from verbatim.wire.forms import inlined_schema
from verbatim.wire.guard import Guard
from verbatim.wire.json_body import JSON_TYPE, read_json
from verbatim.wire.v1_errors import ERROR_SCHEMA, render_error

NAME: Final = "native_keys"
PATH: Final = "/v1/keys"
ONE: Final = "/v1/keys/{key_id}"
ERROR_CONTENT: Final = {JSON_TYPE: {"schema": ERROR_SCHEMA}}


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    # A page that reaches an open server through a browser must not be able to leave a key behind.
    guard = Guard(context, Scope.ADMIN, needs_key=True)
    router = APIRouter(tags=["keys"], dependencies=[Depends(guard)])
    routes = _KeyRoutes(context)
    _add(router, "POST", PATH, routes.create, KeyToMake)
    _add(router, "GET", PATH, routes.list)
    _add(router, "GET", ONE, routes.get)
    _add(router, "PATCH", ONE, routes.change, KeyChange)
    _add(router, "DELETE", ONE, routes.revoke)
    return Dialect(NAME, (PATH,), router, render_error)


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    body: type[BaseModel] | None = None,
) -> None:
    described: dict[str, Any] | None = None
    if body is not None:
        schema = inlined_schema(body)
        described = {"requestBody": {"required": True, "content": {JSON_TYPE: {"schema": schema}}}}
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        response_class=JSONResponse,
        responses={
            "4XX": {"description": "An error of the request.", "content": ERROR_CONTENT},
            "5XX": {"description": "An error of the server.", "content": ERROR_CONTENT},
        },
        openapi_extra=described,
    )


class _KeyRoutes:
    def __init__(self, context: Context) -> None:
        self._keys = context.access.keys
        self._pace = context.pace

    async def create(self, request: Request) -> Response:
        """Make a key; the answer holds it, this once."""
        asked = await read_json(request, self._pace, KeyToMake)
        made = await self._keys.create(asked.wish())
        return JSONResponse(new_key_json(made), HTTPStatus.CREATED)

    async def list(self, revoked: bool = False) -> dict[str, Any]:
        """The keys, the oldest first; those that were revoked with `revoked=true`."""
        keys = await self._keys.list(revoked=revoked)
        return {"object": "list", "data": [key_json(key) for key in keys]}

    async def get(self, key_id: str) -> dict[str, Any]:
        """One key, with what was asked for with it in the last 30 days."""
        key = await self._keys.get(key_id)
        return {**key_json(key), "days": days_json(await self._keys.days(key_id))}

    async def change(self, key_id: str, request: Request) -> dict[str, Any]:
        """Change a key's name, scopes, limits or end; what is left out stays."""
        asked = await read_json(request, self._pace, KeyChange)
        return key_json(await self._keys.change(key_id, asked.apply))

    async def revoke(self, key_id: str) -> dict[str, Any]:
        """Let a key open nothing any more. It stays in the list of revoked ones."""
        return key_json(await self._keys.revoke(key_id))
