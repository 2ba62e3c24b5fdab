"""What live dialects share: an error is told before the end, and audio is charged in any case."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from starlette.websockets import WebSocket
from tests.support.spoken import live_service

from verbatim.domain.errors import ErrorKind, InternalError, NotFoundError, VerbatimError
from verbatim.domain.live import LiveOptions
from verbatim.engine.fake import FakeEngine
from verbatim.wire.live_talk import charged, telling_errors
from verbatim.wire.notes import RequestNotes
from verbatim.wire.websocket import CloseCode, LiveSocket, SocketClosedError, SocketLimits

RATE = 16_000


async def accepted(told: list[MutableMapping[str, Any]]) -> LiveSocket:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    scope = {"type": "websocket", "path": "/", "headers": []}
    socket = LiveSocket(WebSocket(scope, receive, send), SocketLimits())
    await socket.accept()
    del told[:]
    return socket


def message(error: VerbatimError) -> dict[str, str]:
    return {"said": error.message}


async def test_an_error_is_told_and_then_the_connection_is_closed() -> None:
    told: list[MutableMapping[str, Any]] = []
    notes = RequestNotes(request_id="7")
    async with telling_errors(await accepted(told), notes, message):
        raise NotFoundError("There is none.")
    said, closed = told
    assert json.loads(said["text"]) == {"said": "There is none."}
    assert (closed["code"], closed["reason"]) == (CloseCode.POLICY, "There is none.")
    assert notes.error is ErrorKind.NOT_FOUND


async def test_a_fault_of_ours_is_told_by_its_request_id_alone() -> None:
    told: list[MutableMapping[str, Any]] = []
    async with telling_errors(await accepted(told), RequestNotes(request_id="7"), message):
        raise InternalError("secret")
    assert "secret" not in str(told)
    assert "request id 7" in told[0]["text"]
    assert told[1]["code"] == CloseCode.INTERNAL


async def test_a_client_that_has_gone_is_the_end() -> None:
    told: list[MutableMapping[str, Any]] = []
    async with telling_errors(await accepted(told), RequestNotes(), message):
        raise SocketClosedError(CloseCode.POLICY, "You do not read fast enough.")
    (closed,) = told
    assert (closed["type"], closed["code"]) == ("websocket.close", CloseCode.POLICY)


async def test_what_is_no_error_of_ours_goes_on() -> None:
    told: list[MutableMapping[str, Any]] = []
    with pytest.raises(ZeroDivisionError):
        async with telling_errors(await accepted(told), RequestNotes(), message):
            raise ZeroDivisionError
    assert told == []


async def test_audio_is_charged_also_where_feeding_it_ended_in_an_error() -> None:
    charges: list[float] = []
    async with (
        live_service(FakeEngine()) as service,
        aclosing(await service.open(LiveOptions())) as session,
    ):
        with pytest.raises(ZeroDivisionError), charged(session, charges.append):
            await session.feed(np.zeros(RATE, np.float32))
            raise ZeroDivisionError
        with charged(session, charges.append):
            await session.feed(np.zeros(RATE // 2, np.float32))
    assert charges == [1.0, 0.5]
