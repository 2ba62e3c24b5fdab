"""Bodies that come slowly, clients that leave, and streams that say nothing for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Scope

from verbatim.domain.errors import SlowUploadError, UnsupportedMediaError
from verbatim.wire.body import Pace, body_chunks
from verbatim.wire.disconnect import while_connected
from verbatim.wire.sse import EventStream, event, with_pauses


class Client:
    """The other end of a request: what it sends, and when it leaves."""

    def __init__(self, *chunks: bytes, complete: bool = True) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self.received: list[Message] = []
        for i, chunk in enumerate(chunks, start=1):
            self.send_chunk(chunk, more=i < len(chunks) or not complete)

    def send_chunk(self, chunk: bytes, *, more: bool) -> None:
        self._messages.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        return await self._messages.get()

    async def take(self, message: Message) -> None:
        self.received.append(message)

    def request(self, **headers: str) -> Request:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        }
        return Request(scope, self.receive)


async def test_the_body_comes_piece_by_piece() -> None:
    chunks = [chunk async for chunk in body_chunks(Client(b"a", b"b", b"c").request(), Pace())]
    assert chunks == [b"a", b"b", b"c"]


async def test_a_client_that_stops_sending_is_given_up() -> None:
    client = Client(b"a", complete=False)
    chunks = body_chunks(client.request(), Pace(idle_s=0.05))
    assert await anext(chunks) == b"a"
    with pytest.raises(SlowUploadError):
        await anext(chunks)


async def test_a_client_that_all_but_stops_is_given_up() -> None:
    times_s = iter([0.0, 9.0, 9.9, 10.1, 14.0, 25.0])
    client = Client(*[b"a" * 200] * 8)
    pace = Pace(grace_s=10, floor_bytes_per_s=50)
    chunks = body_chunks(client.request(), pace, lambda: next(times_s))
    for _ in range(4):
        await anext(chunks)
    with pytest.raises(SlowUploadError):
        await anext(chunks)


async def test_a_client_that_leaves_while_sending() -> None:
    client = Client(b"a", complete=False)
    client.leave()
    chunks = body_chunks(client.request(), Pace())
    await anext(chunks)
    with pytest.raises(ClientDisconnect):
        await anext(chunks)


async def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(UnsupportedMediaError, match="Content-Encoding"):
        await anext(body_chunks(Client(b"x").request(content_encoding="gzip"), Pace()))


async def test_work_is_done_for_a_client_that_waits() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await while_connected(Client().receive, work()) == 7


async def test_an_error_of_the_work_is_passed_on() -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await while_connected(Client().receive, work())


async def test_work_ends_when_its_client_leaves() -> None:
    client = Client()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    asyncio.get_running_loop().call_later(0.01, client.leave)
    with pytest.raises(ClientDisconnect):
        await while_connected(client.receive, work())
    assert ended.is_set()


async def test_an_error_while_the_work_is_ended_is_not_forgotten() -> None:
    client = Client()
    client.leave()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while ending")

    with pytest.raises(ClientDisconnect):
        await while_connected(client.receive, work())


async def test_cancelling_cancels_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(while_connected(Client().receive, work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_pauses_are_told() -> None:
    go_on = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        yield 0
        await go_on.wait()
        yield 1
        yield 2

    told: list[int | None] = []
    async for item in with_pauses(numbers(), 0.05):
        told.append(item)
        if told[-2:] == [None, None]:
            go_on.set()
    assert told[:3] == [0, None, None]
    assert [item for item in told if item is not None] == [0, 1, 2]


async def test_an_error_of_the_source_is_passed_on() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise ValueError("mine")

    paused = with_pauses(source(), 1)
    assert await anext(paused) == 1
    with pytest.raises(ValueError, match="mine"):
        await anext(paused)


@pytest.mark.parametrize("pause_s", [0.01, 10])
async def test_closing_closes_the_source_whatever_it_waits_for(pause_s: float) -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    paused = with_pauses(source(), pause_s)
    await anext(paused)
    if pause_s < 1:
        assert await anext(paused) is None
    await paused.aclose()
    assert closed.is_set()


def test_an_event_is_one_line_whatever_the_text() -> None:
    told = event({"delta": "a\nb\r\n\u2028전사"})
    assert told.startswith(b"data: {")
    assert told.endswith(b"}\n\n")
    assert told.count(b"\n") == 2
    assert b"\r" not in told


async def told_events() -> AsyncGenerator[bytes, None]:
    yield b"1"
    yield b"2"


async def test_a_stream_sends_what_comes_and_ends() -> None:
    client = Client()
    rest = told_events()
    stream = EventStream(await anext(rest), rest)
    await stream({"type": "http"}, client.receive, client.take)
    start, *parts = client.received
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers
    assert [part["body"] for part in parts] == [b"1", b"2", b""]
    assert [part["more_body"] for part in parts] == [True, True, False]


async def test_a_client_that_leaves_closes_the_stream() -> None:
    client = Client()
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            client.leave()
            await asyncio.Event().wait()
        finally:
            closed.set()

    rest = endless()
    stream = EventStream(await anext(rest), rest)
    with pytest.raises(ClientDisconnect):
        await stream({"type": "http"}, client.receive, client.take)
    assert closed.is_set()
