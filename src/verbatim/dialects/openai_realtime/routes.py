"""The routes: the WebSocket, and the client secrets with which browsers come to it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.websockets import WebSocket

from verbatim.access.service import ClientSecret
from verbatim.dialects.openai_realtime.bodies import (
    DEFAULT_LIFE_S,
    BetaSessionAnswer,
    MadeSecret,
    SecretAnswer,
    SecretToMake,
)
from verbatim.dialects.openai_realtime.config import BetaSession, Config, Session
from verbatim.dialects.openai_realtime.connection import Connection
from verbatim.dialects.openai_realtime.server_events import error_event, new_id
from verbatim.dialects.openai_realtime.session_objects import beta_session_object, session_object
from verbatim.domain.errors import BadRequestError
from verbatim.domain.keys import Scope
from verbatim.pipeline.live.options import check_options
from verbatim.settings import MIB
from verbatim.wire.context import Context
from verbatim.wire.credentials import spoken_subprotocol
from verbatim.wire.dialect import Dialect
from verbatim.wire.forms import inlined_schema
from verbatim.wire.guard import Guard, caller_of
from verbatim.wire.json_body import JSON_TYPE, read_json
from verbatim.wire.live_talk import telling_errors
from verbatim.wire.model_list import model_setting
from verbatim.wire.notes import notes_of
from verbatim.wire.v1_errors import ERROR_RESPONSES, render_error
from verbatim.wire.websocket import (
    CLOSE_CODE_OF_END,
    LiveSocket,
    check_origin,
    converse,
)

NAME: Final = "openai_realtime"
PATH: Final = "/v1/realtime"
MAX_MESSAGE_BYTES: Final = 21 * MIB
"""The 15 MiB of audio that an event may have, in base64, and something around it."""
TRANSCRIPTION: Final = "transcription"
BETA_HEADER: Final = "openai-beta"
BETA_VALUE: Final = "realtime=v1"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    realtime = _Realtime(context)
    router = APIRouter(tags=["realtime"], dependencies=[Depends(Guard(context, Scope.LIVE))])
    router.add_api_websocket_route(PATH, realtime.serve)
    secrets_path, beta_path = f"{PATH}/client_secrets", f"{PATH}/transcription_sessions"
    _add(router, secrets_path, realtime.client_secret, SecretToMake, SecretAnswer)
    _add(router, beta_path, realtime.transcription_session, BetaSession, BetaSessionAnswer)
    return Dialect(NAME, (PATH,), router, render_error)


def _add(
    router: APIRouter, path: str, endpoint: Any, body: type[BaseModel], answer: type[BaseModel]
) -> None:
    content = {JSON_TYPE: {"schema": inlined_schema(body)}}
    router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        response_model=answer,
        response_model_exclude_unset=True,
        responses=ERROR_RESPONSES,
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )


class _Realtime:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, which is one session."""
        check_origin(websocket, self._context.settings.cors_origins)
        limits = replace(self._context.sockets, max_message_bytes=MAX_MESSAGE_BYTES)
        socket = LiveSocket(websocket, limits)
        async with telling_errors(socket, notes_of(websocket.scope), error_event):
            await socket.accept(spoken_subprotocol(websocket.headers))
            await self._serve_session(websocket, socket)

    async def _serve_session(self, websocket: WebSocket, socket: LiveSocket) -> None:
        caller = caller_of(websocket.scope)
        config = _config(websocket, caller.grant)
        live = self._context.service.live
        async with (
            aclosing(await live.open(config.options(), caller.owner)) as session,
            aclosing(
                Connection(websocket, socket, session, config, beta=_is_beta(websocket))
            ) as connection,
        ):
            try:
                await connection.greet()
                await converse(connection.hear(), connection.tell())
            finally:
                notes = notes_of(websocket.scope)
                notes.model, notes.audio_s = session.describe().model, session.fed_s
            await socket.close(CLOSE_CODE_OF_END[connection.ended], connection.ended.value)

    async def client_secret(self, request: Request) -> SecretAnswer:
        """Make a short-lived secret with which a browser can open transcription sessions."""
        asked = await read_json(request, self._context.pace, SecretToMake, whole_place=True)
        session = asked.session or Session()
        made, config = await self._mint(request, session, asked.life_s)
        told = session_object(config, new_id("sess"), model_setting(self._context))
        return SecretAnswer(value=made.secret, expires_at=_unix(made), session=told)

    async def transcription_session(self, request: Request) -> BetaSessionAnswer:
        """Make a short-lived secret, in the beta's words."""
        asked = await read_json(request, self._context.pace, BetaSession, whole_place=True)
        made, config = await self._mint(request, asked.released(), DEFAULT_LIFE_S)
        secret = MadeSecret(value=made.secret, expires_at=_unix(made))
        told = beta_session_object(
            config, new_id("sess"), model_setting(self._context), secret=secret.model_dump()
        )
        return BetaSessionAnswer.model_validate(told)

    async def _mint(
        self, request: Request, session: Session, life_s: float
    ) -> tuple[ClientSecret, Config]:
        config = Config().changed(session)
        check_options(config.options())
        grant = session.model_dump_json(exclude_unset=True)
        made = await self._context.access.mint(caller_of(request.scope), life_s, grant)
        return made, config


def _config(websocket: WebSocket, grant: str | None) -> Config:
    """What holds at the beginning: the client secret's settings, then the address's.

    Raises:
        BadRequestError: the address asks for something else than transcription.
    """
    query = websocket.query_params
    if query.get("intent", TRANSCRIPTION) != TRANSCRIPTION:
        raise BadRequestError(
            f"This server transcribes only; connect with intent={TRANSCRIPTION}.",
            param="intent",
            code="invalid_value",
        )
    config = Config()
    if grant is not None:
        config = config.changed(Session.model_validate_json(grant))
    model = query.get("model")
    return config.with_model(model) if model else config


def _is_beta(websocket: WebSocket) -> bool:
    offered: list[str] = websocket.scope.get("subprotocols", [])
    headers = websocket.headers.getlist(BETA_HEADER)
    return BETA_SUBPROTOCOL in offered or any(BETA_VALUE in value for value in headers)


def _unix(secret: ClientSecret) -> int:
    return int(secret.expires_at.timestamp())
