"""What live dialects share once a client talks: who pays for audio, and how an error ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from verbatim.domain.errors import VerbatimError
from verbatim.pipeline.live import LiveSession
from verbatim.wire.failures import public_error
from verbatim.wire.notes import RequestNotes
from verbatim.wire.websocket import LiveSocket, SocketClosedError, close_code


@asynccontextmanager
async def telling_errors(
    socket: LiveSocket, notes: RequestNotes, message: Callable[[VerbatimError], object]
) -> AsyncIterator[None]:
    """End a connection whose talk ended in an error: tell it in the dialect's words, and close.

    That the client has gone is the end of the talk too, and nothing is raised.

    Args:
        socket: accepted where a VerbatimError can come.
        notes: of the connection.
        message: what the dialect sends of an error, for JSON.
    """
    try:
        try:
            yield
        except VerbatimError as error:
            shown = public_error(error, notes)
            await socket.send_json(message(shown))
            await socket.close(close_code(shown), shown.message)
    except SocketClosedError as gone:
        # To a client that does not read, this is the last try to say so.
        await socket.close(gone.code, gone.reason)


@contextmanager
def charged(session: LiveSession, charge: Callable[[float], None]) -> Iterator[None]:
    """Charge for the audio, in seconds, that the session is fed meanwhile, whatever ends it."""
    before_s = session.fed_s
    try:
        yield
    finally:
        charge(session.fed_s - before_s)
