"""uvicorn's WebSockets, held to bounds where it leaves them open.

Messages are not compressed: audio gains nothing by it, and what inflates has no bound before it is
inflated.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

MAX_FRAGMENTS: Final = 1024
"""Of one message: empty ones would cost memory and never count as bytes."""
CLOSE_S: Final = 5.0
"""For the other side to say goodbye too."""
ABORT_S: Final = CLOSE_S + 2.0
"""After which a connection is gone, also one that takes no more bytes."""


class BoundedWebSockets(WebSocketsSansIOProtocol):
    """One connection, for uvicorn."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.close_timeout = CLOSE_S

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The answer to a handshake that is too long, which uvicorn would keep to itself.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.handshake_complete = self.close_sent = True
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """A piece of a message."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            self._abort_later()
            return
        super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        """The other side does not answer."""
        super().keepalive_timeout()
        self._abort_later()

    async def send(self, message: Any) -> None:
        """A message of the application."""
        await super().send(message)
        # Else every refusal would be logged as an application that forgot to answer.
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        """Serve the connection, and see it off."""
        try:
            await super().run_asgi()
        finally:
            self._abort_later()

    def _abort_later(self) -> None:
        # Closing waits for what is still to be sent, which a client that stopped reading never is.
        self.loop.call_later(ABORT_S, self.transport.abort)
