"""Keys on the REST routes, refused in the words that the clients know."""

# No postponed annotations here: FastAPI could not resolve those of an instance.

from fastapi.openapi.models import APIKey
from starlette.requests import HTTPConnection

from verbatim.dialects.fastwhisper import texts
from verbatim.domain.errors import ForbiddenError, MissingKeyError, UnauthorizedError
from verbatim.domain.keys import Caller, Scope
from verbatim.wire.context import Context
from verbatim.wire.guard import Guard


class ClientGuard(Guard):
    """For clients: VoxScribe's send `Authorization` and know 401 only, the others `X-API-Key`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Scope.TRANSCRIBE)
        self.scheme_name = "client_key"
        self.model = _in_header("X-API-Key", "A client's key.")

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Let the caller in; raises as `admit`, in their language."""
        voxscribe = "authorization" in connection.headers
        try:
            return await super().__call__(connection)
        except MissingKeyError as error:
            text = texts.VOXSCRIBE_MISSING if voxscribe else texts.KEY_MISSING
            raise MissingKeyError(text) from error
        except UnauthorizedError as error:
            if voxscribe:
                raise UnauthorizedError(texts.VOXSCRIBE_INVALID) from error
            raise ForbiddenError(texts.KEY_INVALID) from error


class AdminGuard(Guard):
    """For administrators, with a key also where nobody else needs one, as at `/v1/keys`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Scope.ADMIN, needs_key=True)
        self.scheme_name = "admin_key"
        self.model = _in_header("X-Admin-Key", "An administrator's key.")

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Let the caller in; raises as `admit`, with one word for whatever is wrong."""
        try:
            return await super().__call__(connection)
        except (UnauthorizedError, ForbiddenError) as error:
            raise ForbiddenError(texts.ADMIN_INVALID) from error


def _in_header(name: str, description: str) -> APIKey:
    return APIKey.model_validate({"in": "header", "name": name, "description": description})
