"""Each error in the shape of the dialect that its path belongs to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from verbatim.domain.errors import BadRequestError, NotFoundError, VerbatimError
from verbatim.wire.dialect import STATUS_OF_KIND, Dialect, ErrorRenderer, owner_of
from verbatim.wire.failures import public_error
from verbatim.wire.notes import notes_of

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class ErrorResponder:
    """Renders errors; those of paths that no dialect owns in the shape of `fallback`."""

    dialects: Sequence[Dialect]
    fallback: ErrorRenderer

    def respond(
        self,
        scope: Scope,
        error: Exception,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The response for an error met while serving `scope`."""
        notes = notes_of(scope)
        shown = public_error(error, notes)
        told_status = status or STATUS_OF_KIND[shown.kind]
        owner = owner_of(self.dialects, scope["path"])
        if owner is not None and owner.render_numbered is not None:
            response = owner.render_numbered(shown, told_status, notes.request_id)
        else:
            renderer = owner.render_error if owner else self.fallback
            response = renderer(shown, told_status)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            response.headers.setdefault("www-authenticate", "Bearer")
        response.headers.update(headers or {})
        return response

    def handlers(self) -> dict[int | type[Exception], Handler]:
        """For FastAPI: our errors, and those of its own routing and validation."""

        async def ours(request: Request, error: VerbatimError) -> Response:
            return self.respond(request.scope, error)

        async def routing(request: Request, error: HTTPException) -> Response:
            told = _routing_error(request, error)
            return self.respond(request.scope, told, error.status_code, error.headers)

        async def validation(request: Request, error: RequestValidationError) -> Response:
            return self.respond(request.scope, _validation_error(error))

        return {
            VerbatimError: ours,
            HTTPException: routing,
            RequestValidationError: validation,
        }


def _routing_error(request: Request, error: HTTPException) -> VerbatimError:
    called = f"{request.method} {request.url.path}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFoundError(f"There is nothing at {called}. See /docs for what there is.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        return BadRequestError(
            f"{called} does not work; this address takes {allowed}.", code="method_not_allowed"
        )
    return BadRequestError(str(error.detail))


def _validation_error(error: RequestValidationError) -> BadRequestError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"][1:]]
    return BadRequestError(f"{'.'.join(place)}: {first['msg']}", param=place[0] if place else None)
