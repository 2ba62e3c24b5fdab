"""The WebSocket `/ws/transcribe`: who may come in, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from starlette.websockets import WebSocket

from verbatim.dialects.fastwhisper import texts
from verbatim.dialects.fastwhisper.activity import Activity
from verbatim.dialects.fastwhisper.inbox import Inbox
from verbatim.dialects.fastwhisper.recording import Message, error_message
from verbatim.dialects.fastwhisper.status import model_in_use
from verbatim.dialects.fastwhisper.talk import MAX_TEXT_CHARS, Talk
from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    UnauthorizedError,
    VerbatimError,
)
from verbatim.domain.keys import Caller, Scope
from verbatim.wire.context import Context
from verbatim.wire.credentials import spoken_subprotocol
from verbatim.wire.guard import admit
from verbatim.wire.live_talk import telling_errors
from verbatim.wire.model_list import model_setting
from verbatim.wire.notes import notes_of
from verbatim.wire.websocket import (
    CloseCode,
    LiveSocket,
    check_origin,
    converse,
    parse_object,
)

AUTH_S: Final = 10.0
"""For the key to come; the message that tells of it says so."""


class AuthCode(IntEnum):
    """Close codes of this wire's own."""

    FAILED = 4001
    TIMEOUT = 4002
    ERROR = 4003


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client may not come in.

    Attributes:
        word: the `code` of the message.
        code: with which the connection is closed.
        text: for people.
    """

    word: str
    code: int
    text: str


class RefusedError(Exception):
    """A client may not come in."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.word)
        self.refusal = refusal


FAILED: Final = Refusal("AUTH_FAILED", AuthCode.FAILED, texts.KEY_INVALID)
TIMEOUT: Final = Refusal("AUTH_TIMEOUT", AuthCode.TIMEOUT, texts.AUTH_TIMEOUT)
ERROR: Final = Refusal("AUTH_ERROR", AuthCode.ERROR, texts.AUTH_ERROR)


class SocketRoute:
    """The endpoint.

    Args:
        context: of the application.
        activity: counts.
        auth_s: for the key to come.
    """

    def __init__(self, context: Context, activity: Activity, auth_s: float = AUTH_S) -> None:
        self._context = context
        self._activity = activity
        self._auth_s = auth_s

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from its beginning to its end."""
        check_origin(websocket, self._context.settings.cors_origins)
        longest = self._context.settings.max_message_bytes
        socket = LiveSocket(websocket, replace(self._context.sockets, max_message_bytes=longest))
        async with telling_errors(socket, notes_of(websocket.scope), _error):
            await socket.accept(spoken_subprotocol(websocket.headers))
            try:
                await self._welcome(websocket, socket)
            except RefusedError as refused:
                told = refused.refusal
                await socket.send_json(error_message(told.text) | {"code": told.word})
                await socket.close(told.code, told.word)

    async def _welcome(self, websocket: WebSocket, socket: LiveSocket) -> None:
        self._refuse_if_full()
        caller = await self._let_in(websocket, socket)
        self._refuse_if_full()
        inbox = Inbox()
        client = self._activity.enter(_address(websocket), inbox.end)
        try:
            await socket.send_json(self._greeting())
            talk = Talk(self._context, self._activity, client, caller, websocket, socket, inbox)
            code = CloseCode.GOING_AWAY

            async def talking() -> None:
                nonlocal code
                code = await talk.run()

            await converse(_collect(socket, inbox), talking())
            await socket.close(code)
        finally:
            self._activity.leave(client)

    def _refuse_if_full(self) -> None:
        if self._activity.full():
            text = texts.full(len(self._activity.clients))
            raise RefusedError(Refusal("MAX_CONNECTIONS", CloseCode.TRY_AGAIN_LATER, text))

    async def _let_in(self, websocket: WebSocket, socket: LiveSocket) -> Caller:
        """By a key in the headers, where no key is needed, or by the key in the first message.

        Raises:
            RefusedError: there was none, or none that is good.
            RateLimitedError: a limit of the key is reached.
        """
        try:
            return await admit(websocket, self._context, Scope.LIVE)
        except (UnauthorizedError, ForbiddenError):
            key = await self._key(socket)
        try:
            caller = await admit(websocket, self._context, Scope.LIVE, offered=[key])
        except (UnauthorizedError, ForbiddenError) as error:
            raise RefusedError(FAILED) from error
        await socket.send_json({"type": "auth", "status": "success", "message": texts.AUTH_DONE})
        return caller

    async def _key(self, socket: LiveSocket) -> str:
        """The key in the first message."""
        try:
            message = await socket.receive(self._auth_s)
        except TimeoutError as error:
            raise RefusedError(TIMEOUT) from error
        if isinstance(message, bytes) or len(message) > MAX_TEXT_CHARS:
            raise RefusedError(ERROR)
        try:
            key = parse_object(message).get("api_key")
        except BadRequestError as error:
            raise RefusedError(ERROR) from error
        if not isinstance(key, str):
            raise RefusedError(FAILED)
        return key

    def _greeting(self) -> dict[str, str]:
        model, settings = model_in_use(self._context), self._context.settings
        return {
            "type": "connected",
            "message": texts.CONNECTED,
            "model": model.model if model else model_setting(self._context),
            "device": model.device if model else settings.device,
            "server_load": self._activity.load(),
        }


def _error(error: VerbatimError) -> Message:
    return error_message(error.message)


async def _collect(socket: LiveSocket, inbox: Inbox) -> None:
    """Put what the client sends into its inbox, as long as it is there."""
    while True:
        await inbox.put(await socket.receive())


def _address(websocket: WebSocket) -> str:
    return f"{websocket.client.host}:{websocket.client.port}" if websocket.client else ""
