"""The bounded WebSocket: why a connection ended is known, whoever noticed it first."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from starlette.websockets import WebSocket

from verbatim.wire.websocket import CloseCode, LiveSocket, SocketClosedError, SocketLimits, converse

Message = MutableMapping[str, Any]
ABNORMAL = 1006


class Client:
    """The other side, as the web server shows it."""

    def __init__(self, said: Sequence[Message]) -> None:
        self._said = [{"type": "websocket.connect"}, *said]
        self.told: list[Message] = []
        self.gone = False

    async def receive(self) -> Message:
        return self._said.pop(0)

    async def send(self, message: Message) -> None:
        if self.gone:
            raise OSError
        self.told.append(message)


async def accepted(client: Client) -> LiveSocket:
    scope = {"type": "websocket", "path": "/", "headers": []}
    socket = LiveSocket(WebSocket(scope, client.receive, client.send), SocketLimits())
    await socket.accept()
    return socket


def disconnect(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


@pytest.mark.parametrize("code", [ABNORMAL, CloseCode.GOING_AWAY])
async def test_a_break_that_sending_noticed_is_told_to_who_receives(code: int) -> None:
    client = Client([disconnect(code, "why")])
    socket = await accepted(client)
    client.gone = True
    with pytest.raises(SocketClosedError) as while_sending:
        await socket.send("text")
    assert while_sending.value.code == ABNORMAL
    for _ in range(2):
        with pytest.raises(SocketClosedError) as while_receiving:
            await socket.receive()
        assert (while_receiving.value.code, while_receiving.value.reason) == (code, "why")


async def test_audio_that_came_before_a_break_is_received() -> None:
    client = Client([{"type": "websocket.receive", "bytes": b"ab"}, disconnect(ABNORMAL)])
    socket = await accepted(client)
    client.gone = True
    with pytest.raises(SocketClosedError):
        await socket.send("text")
    assert await socket.receive() == b"ab"


async def test_both_ways_end_with_the_reason_that_the_client_gave() -> None:
    client = Client([disconnect(CloseCode.GOING_AWAY)])
    socket = await accepted(client)
    client.gone = True

    async def hear() -> None:
        while True:
            await socket.receive()

    with pytest.raises(SocketClosedError) as ended:
        await converse(hear(), socket.send("text"))
    assert ended.value.code == CloseCode.GOING_AWAY


async def test_after_our_own_close_nothing_is_sent_or_received() -> None:
    client = Client([])
    socket = await accepted(client)
    await socket.close(CloseCode.POLICY, "no")
    await socket.close(CloseCode.NORMAL)
    for attempt in (socket.receive(), socket.send("text")):
        with pytest.raises(SocketClosedError) as ended:
            await attempt
        assert ended.value.code == CloseCode.NORMAL
    closes = [message for message in client.told if message["type"] == "websocket.close"]
    assert [message["code"] for message in closes] == [CloseCode.POLICY]
