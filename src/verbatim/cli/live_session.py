"""A live session of `verbatim live`: with a model in this process, or on a server."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from verbatim.cli.live_screen import Message, Screen
from verbatim.cli.live_sources import Source
from verbatim.dialects.native_live.events import LAST_MESSAGE, event_message
from verbatim.domain.audio import to_pcm
from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.domain.live import LiveOptions, SessionEnd
from verbatim.engine.catalog import Catalog
from verbatim.pipeline.live import LiveSession
from verbatim.pipeline.local_service import open_service
from verbatim.settings import Settings

LIVE_PATH: Final = "/v1/live"
SOCKET_SCHEMES: Final = MappingProxyType({"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"})
EARLY_ENDS: Final = MappingProxyType(
    {
        SessionEnd.IDLE: "No audio came for so long that the server ended the session.",
        SessionEnd.TOO_LONG: "The session lasted as long as the server allows; begin another.",
        SessionEnd.DRAINING: "The server is stopping; begin again in a moment.",
        SessionEnd.FAILED: "The session failed; the log says why. Begin another.",
    }
)
"""What is told where a session ended before its audio did."""


async def listen_here(
    settings: Settings, options: LiveOptions, source: Source, screen: Screen
) -> None:
    """Decode in this process until the source ends, or Ctrl-C.

    Raises:
        VerbatimError: the model cannot be had, the source fails, or the session does.
    """
    async with (
        open_service(settings, Catalog(settings)) as service,
        aclosing(await service.live.open(options)) as session,
    ):
        described = session.describe()
        told = [{"code": each.code.value, "message": each.message} for each in described.warnings]
        screen.show(
            {"type": "ready", "session": session.id, "model": described.model, "warnings": told}
        )
        async with _until_interrupted(_feed(session, source)) as feeding:
            async for event in session.events():
                message = event_message(event)
                screen.show(message)
                await _end_with(message, feeding)


async def listen_there(
    url: str, key: str | None, options: LiveOptions, source: Source, screen: Screen
) -> None:
    """Send the audio to a server until the source ends, or Ctrl-C.

    Raises:
        BadRequestError: the address is none.
        UnavailableError: the server cannot be reached, refuses, or goes away.
        VerbatimError: the source fails.
    """
    async with await _connected(url, key) as socket:
        await socket.send(json.dumps({"type": "start", **_said(options)}))
        async with _until_interrupted(_send(socket, source)) as sending:
            async for message in _messages(socket):
                if message["type"] == "error":
                    raise UnavailableError(str(message["error"]["message"]))
                screen.show(message)
                await _end_with(message, sending)


def live_url(url: str) -> str:
    """The address of the live route of a server, whose own may be of HTTP or a WebSocket.

    Raises:
        BadRequestError: it is no such address.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in SOCKET_SCHEMES or not parts.netloc:
        raise _no_address(url)
    path = parts.path.rstrip("/") or LIVE_PATH
    return f"{SOCKET_SCHEMES[parts.scheme]}://{parts.netloc}{path}"


def _no_address(url: str) -> BadRequestError:
    return BadRequestError(
        f"{url} is no address of a server; give one such as http://localhost:8000.", param="url"
    )


async def _connected(url: str, key: str | None) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key}"} if key else None
    address = live_url(url)
    try:
        return await connect(address, additional_headers=headers, compression=None, max_size=None)
    except (InvalidURI, ValueError) as error:
        raise _no_address(url) from error
    except InvalidStatus as error:
        raise UnavailableError(f"The server at {url} refuses: {_refusal(error)}") from error
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise UnavailableError(
            f"The server at {url} cannot be reached: {error}. Is it running, and is the address "
            "right?"
        ) from error


def _refusal(error: InvalidStatus) -> str:
    """What the server says about it, in its own words where it has some."""
    response = error.response
    try:
        return str(json.loads(response.body or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}".rstrip()


async def _messages(socket: ClientConnection) -> AsyncIterator[Message]:
    """What the server tells.

    Raises:
        UnavailableError: the connection ended before all was told.
    """
    try:
        while True:
            message: Message = json.loads(await socket.recv())
            yield message
            if message["type"] == LAST_MESSAGE:
                return
    except (ConnectionClosed, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"The server ended the session: {error}") from error


def _said(options: LiveOptions) -> dict[str, Any]:
    """What differs from the defaults, as the wire has it."""
    usual = asdict(LiveOptions())
    return {name: value for name, value in asdict(options).items() if value != usual[name]}


async def _end_with(message: Message, source: asyncio.Task[None]) -> None:
    """At the last message see how the source ended.

    Raises:
        UnavailableError: the session ended by itself.
        VerbatimError: the source failed, which ended it.
    """
    if message["type"] != LAST_MESSAGE:
        return
    reason = SessionEnd(message["reason"])
    if reason in EARLY_ENDS:
        raise UnavailableError(EARLY_ENDS[reason])
    await source


async def _feed(session: LiveSession, source: Source) -> None:
    try:
        async with aclosing(source.listen()) as blocks:
            async for samples in blocks:
                await session.feed(samples)
    finally:
        await session.finish()


async def _send(socket: ClientConnection, source: Source) -> None:
    # That the connection is gone is told by who reads from it.
    with suppress(ConnectionClosed):
        try:
            async with aclosing(source.listen()) as blocks:
                async for samples in blocks:
                    await socket.send(to_pcm(samples).tobytes())
        finally:
            await socket.send(json.dumps({"type": "finish"}))


@asynccontextmanager
async def _until_interrupted(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do some work beside; the first Ctrl-C ends only that, the second everything.

    The task that is given can be awaited: it raises what went wrong, not that it was ended.
    """

    async def guarded() -> None:
        with suppress(asyncio.CancelledError):
            await work

    task = asyncio.create_task(guarded())
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield task
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        task.cancel()
        await asyncio.wait({task})
        # Seen here, or asyncio would log it as forgotten.
        task.exception()
