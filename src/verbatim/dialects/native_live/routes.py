"""The route: who may come in, what they say, what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Depends
from starlette.websockets import WebSocket

from verbatim.dialects.native_live.conversation import Conversation
from verbatim.dialects.native_live.events import LAST_MESSAGE, Message, error_message
from verbatim.dialects.native_live.frames import Resume, Start, Update, first, later
from verbatim.domain.errors import (
    BadRequestError,
    NotFoundError,
    SlowUploadError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaError,
    VerbatimError,
)
from verbatim.domain.keys import Scope
from verbatim.domain.live import SessionEnd
from verbatim.settings import MIB
from verbatim.wire.context import Context
from verbatim.wire.credentials import spoken_subprotocol
from verbatim.wire.dialect import Dialect
from verbatim.wire.guard import Guard, caller_of, guarded_visit
from verbatim.wire.live_audio import open_live_audio
from verbatim.wire.live_talk import charged, telling_errors
from verbatim.wire.notes import notes_of
from verbatim.wire.v1_errors import render_error
from verbatim.wire.websocket import (
    CLOSE_CODE_OF_END,
    CloseCode,
    LiveSocket,
    SocketClosedError,
    check_origin,
    close_code,
    converse,
    parse_object,
)

NAME: Final = "native_live"
PATH: Final = "/v1/live"
MAX_MESSAGE_BYTES: Final = 4 * MIB
"""Two minutes of 16-bit audio at 16 kHz."""
MAX_TEXT_CHARS: Final = 64 * 1024
START_S: Final = 10.0
"""For the first message to come."""
MAX_MISTAKES: Final = 20
"""Messages that make no sense, before the connection is closed."""
FORGIVEN: Final = (BadRequestError, NotFoundError, UnavailableError)
"""What may be wrong with one of them."""
DELIBERATE: Final = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
"""Codes of a client that will not come back."""


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    live = _Live(context)
    router = APIRouter(dependencies=[Depends(Guard(context, Scope.LIVE))])
    router.add_api_websocket_route(PATH, live.serve)
    return Dialect(NAME, (PATH,), router, render_error)


class _Live:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._conversations: dict[str, Conversation] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from its first message to its end."""
        check_origin(websocket, self._context.settings.cors_origins)
        limits = replace(self._context.sockets, max_message_bytes=MAX_MESSAGE_BYTES)
        socket = LiveSocket(websocket, limits)
        async with telling_errors(socket, notes_of(websocket.scope), error_message):
            await socket.accept(spoken_subprotocol(websocket.headers))
            asked = first(parse_object(await _first_message(socket)))
            if isinstance(asked, Start):
                conversation, received = await self._begin(websocket, asked), 0
            else:
                conversation, received = self._find(websocket, asked), asked.received
            await self._talk(websocket, socket, conversation, received)

    async def _begin(self, websocket: WebSocket, asked: Start) -> Conversation:
        caller = caller_of(websocket.scope)
        audio = open_live_audio(asked.audio())
        session = await self._context.service.live.open(asked.live(), caller.owner)

        def forget() -> None:
            del self._conversations[session.id]

        conversation = Conversation(session, audio, caller.key_id, forget)
        self._conversations[session.id] = conversation
        return conversation

    def _find(self, websocket: WebSocket, asked: Resume) -> Conversation:
        conversation = self._conversations.get(asked.session)
        if conversation is None or conversation.key_id != caller_of(websocket.scope).key_id:
            raise NotFoundError(
                "There is no such session any more; begin another one.", code="session_not_found"
            )
        if not conversation.has(asked.received):
            raise BadRequestError(
                f"You cannot go on after message {asked.received}: {conversation.told} were sent, "
                "and the oldest are kept no more. Begin another session.",
                param="received",
            )
        return conversation

    async def _talk(
        self, websocket: WebSocket, socket: LiveSocket, conversation: Conversation, received: int
    ) -> None:
        attachment = conversation.attach()
        talk = _Talk(websocket, socket, conversation, attachment)
        keep_s = 0.0
        try:
            await socket.send_json(self._greeting(conversation))
            await converse(talk.hear(), talk.tell(received))
            if talk.failure is not None:
                await socket.close(close_code(talk.failure), talk.failure.message)
            else:
                end = conversation.ended or SessionEnd.FINISHED
                await socket.close(CLOSE_CODE_OF_END[end], end.value)
        except SocketClosedError as gone:
            if gone.code not in DELIBERATE:
                keep_s = self._context.settings.live_resume_s
            raise
        finally:
            conversation.detach(attachment, keep_s)
            notes = notes_of(websocket.scope)
            notes.model, notes.audio_s = conversation.session.describe().model, talk.audio_s

    def _greeting(self, conversation: Conversation) -> Message:
        description = conversation.session.describe()
        return {
            "type": "ready",
            "session": conversation.session.id,
            "resume_s": self._context.settings.live_resume_s,
            "received_bytes": conversation.received_bytes,
            "model": description.model,
            "warnings": [
                {"code": warning.code.value, "message": warning.message}
                for warning in description.warnings
            ],
        }


class _Talk:
    """One client's talk with its session, over one connection."""

    def __init__(
        self,
        websocket: WebSocket,
        socket: LiveSocket,
        conversation: Conversation,
        attachment: int,
    ) -> None:
        self._visit = guarded_visit(websocket.scope)
        self._socket = socket
        self._conversation = conversation
        self._attachment = attachment
        self.failure: VerbatimError | None = None
        """What was wrong with the audio."""
        self.audio_s = 0.0
        """How much audio came over this connection."""

    async def hear(self) -> None:
        """Take in what the client sends, as long as it is there.

        A message that makes no sense is answered and forgotten. Audio that makes none is the end;
        what was said before it is still told.
        """
        mistakes = 0
        while self.failure is None:
            message = await self._socket.receive()
            self._conversation.check(self._attachment)
            try:
                with charged(self._conversation.session, self._charge):
                    if isinstance(message, bytes):
                        await self._conversation.hear(message)
                    else:
                        await self._obey(message)
            except FORGIVEN as error:
                mistakes += 1
                if mistakes >= MAX_MISTAKES:
                    raise
                await self._socket.send_json(error_message(error))
            except UnsupportedMediaError as error:
                self.failure = error
                await self._socket.send_json(error_message(error))
                await self._conversation.session.finish()

    async def tell(self, after: int) -> None:
        """Send what the session tells, from the message after this one to the last."""
        while True:
            after, message = await self._conversation.next_message(after, self._attachment)
            await self._socket.send_json(message)
            if message["type"] == LAST_MESSAGE:
                return

    async def _obey(self, text: str) -> None:
        if len(text) > MAX_TEXT_CHARS:
            raise TooLargeError(
                f"A text message may have {MAX_TEXT_CHARS} characters. Send audio as binary "
                "messages.",
                code="message_too_large",
            )
        asked = later(parse_object(text))
        conversation = self._conversation
        if isinstance(asked, Update):
            options = asked.live(conversation.session.options)
            await conversation.session.update(options)
        elif asked.type == "commit":
            await conversation.commit()
        elif asked.type == "clear":
            await conversation.session.clear()
        else:
            await conversation.finish()

    def _charge(self, audio_s: float) -> None:
        self.audio_s += audio_s
        self._visit.charge(audio_s)


async def _first_message(socket: LiveSocket) -> str:
    try:
        message = await socket.receive(START_S)
    except TimeoutError as error:
        raise SlowUploadError(
            f"No message came in {START_S:g} s. Begin with a JSON message of type start.",
            code="no_start",
        ) from error
    if isinstance(message, bytes):
        raise UnsupportedMediaError(
            "Audio came before anything was said about it. Begin with a JSON message of type "
            "start, as text.",
            code="no_start",
        )
    return message
