"""uvicorn's HTTP, with an end to what slow clients may take.

uvicorn waits for ever for a request's head, and for a client to read its answer. Thousands of such
connections cost nothing but memory and descriptors, which is what they are made for.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 20.0
"""From the connection, or from a head's first byte, to its last."""
STALLED_S: Final = 60.0
"""Longest time in which a client reads nothing of what waits for it."""
ABORT_S: Final = 5.0
"""After a goodbye that is not taken."""
_REASON: Final = b"The head of the request took too long. Send it again."
TOO_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_REASON), _REASON)
)


class PatientHttp(H11Protocol):
    """One connection, for uvicorn; its patience ends.

    Attributes:
        head_s: as `HEAD_S`; a class attribute, so that tests need not wait.
        stalled_s: as `STALLED_S`, likewise.
    """

    head_s = HEAD_S
    stalled_s = STALLED_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._answer_untaken = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_head_timer()
        elif self._head_timer is None and self.conn.trailing_data[0]:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        if self._stall_timer is None:
            self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has caught up."""
        self._stop_stall_timer()
        super().resume_writing()
        if self._answer_untaken:
            self._answer_untaken = False
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer was made; a request that was sent behind it waits until it has been taken."""
        if self.flow.write_paused:
            self._answer_untaken = True
        else:
            super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more came on a connection that was kept open."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_s, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        # Browsers open connections ahead of need; a word there would answer their next request.
        if self.conn.trailing_data[0] and self.conn.our_state is h11.IDLE:
            self.transport.write(TOO_SLOW)
        self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def _watch_reader(self, waiting_bytes: int) -> None:
        self._stall_timer = self.loop.call_later(self.stalled_s, self._check_reader, waiting_bytes)

    def _check_reader(self, waiting_bytes: int) -> None:
        """Cut off who took nothing since the last look; nothing is added while writing waits."""
        waits_bytes = self.transport.get_write_buffer_size()
        if waits_bytes >= waiting_bytes:
            self.transport.abort()
        else:
            self._watch_reader(waits_bytes)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
