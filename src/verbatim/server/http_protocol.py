"""uvicorn's HTTP, with an end to what slow clients may take.

uvicorn waits for ever for a request's head, and for a client to read its answer. Thousands of such
connections cost nothing but memory and descriptors, which is what they are made for.

It is built on httptools, which is C: a crowd that arrives is paid for by those who are served
already. What h11 would refuse and httptools lets pass is refused here.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S: Final = 20.0
"""From the connection, or from a head's first byte, to its last."""
STALLED_S: Final = 60.0
"""Longest time in which a client reads nothing of what waits for it."""
ABORT_S: Final = 5.0
"""After a goodbye that is not taken."""
HEAD_BYTES: Final = 32 * 1024
"""The most that a head may have; nginx's number."""
UNTAKEN_BYTES: Final = 16 * 1024
"""Of answers, waiting here for the system to take them; the next answer is not made before."""
HEAD_END: Final = b"\r\n\r\n"
"""Ends a head, and the last chunk of a body; what comes behind it may be another request."""
VERSIONS: Final = frozenset({"1.0", "1.1"})
CHUNKED: Final = b"chunked"
NO_NAME: Final = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9a-z]")
"""What no header's name may hold (RFC 9110, 5.6.2)."""
NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f]")
"""What may be in no header's value; older clients send the rest of what RFC 9110, 5.5, forbids."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is said to a client whose request cannot be given to the application."""

    status: HTTPStatus
    reason: str

    def answer(self) -> bytes:
        """The response; the connection ends behind it."""
        reason = self.reason.encode()
        return (
            b"HTTP/1.1 %d %b\r\nconnection: close\r\n"
            b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%b"
        ) % (self.status, self.status.phrase.encode(), len(reason), reason)


TOO_SLOW: Final = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "The head of the request took too long. Send it again."
)
TOO_LONG: Final = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The head of the request is longer than {HEAD_BYTES // 1024} KiB. Send fewer or shorter "
    "headers.",
)
NO_HTTP: Final = Refusal(
    HTTPStatus.BAD_REQUEST, "This is no valid HTTP/1.1 request. Send it through an HTTP client."
)
OTHER_VERSION: Final = Refusal(
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1. Send the request so."
)
NO_HOST: Final = Refusal(HTTPStatus.BAD_REQUEST, "The request needs one Host header.")
OTHER_CODING: Final = Refusal(
    HTTPStatus.NOT_IMPLEMENTED,
    "Of transfer encodings, this server knows chunked only. Send the request so, or with a "
    "Content-Length.",
)
OTHER_METHOD: Final = Refusal(
    HTTPStatus.NOT_IMPLEMENTED, "This server does not know the request's method. See /docs."
)


class _RefusedError(Exception):
    """Ends parsing; what is said to the client lies in the connection."""


class PatientHttp(HttpToolsProtocol):
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
        self._in_head = False
        self._head_bytes = 0
        self._body_left = 0
        self._last_bytes = b""
        self._behind = b""
        self._refusal = NO_HTTP
        self._repeating = False
        self.parser = self._new_parser()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNTAKEN_BYTES)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        self._take(self._behind + data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._repeating:
            return
        super().on_message_begin()
        # Only now: the rest of a body that nobody wants any more keeps no connection open.
        self._unset_keepalive_if_required()
        self._in_head = True
        self._head_bytes = self._body_left = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, complete."""
        if self._repeating:
            return
        value = value.rstrip(b" \t")
        super().on_header(name, value)
        if self.headers[-1][0] == b"content-length":
            self._body_left = int(value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self._repeating:
            return
        self._in_head = False
        self._stop_head_timer()
        refusal = self._objection()
        if refusal is not None:
            self._refusal = refusal
            raise _RefusedError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._body_left = max(0, self._body_left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        if not (self._repeating or (self._passes_over_upgrade() and self._framing())):
            super().on_message_complete()

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
            return
        super().on_response_complete()
        if self._behind and not self.transport.is_closing():
            self._take(self._behind)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more came on a connection that was kept open."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def _take(self, data: bytes) -> None:
        """Parse what came, request by request: one that is behind another waits for its turn."""
        begin = 0
        while begin < len(data):
            if self._answering():
                self._behind = data[begin:]
                self.flow.pause_reading()
                return
            end = self._end_of_piece(data, begin)
            if not self._parse(data[begin:end]):
                return
            begin = end
        self._behind = b""
        if self._in_head and self._head_timer is None:
            self._expect_head()

    def _answering(self) -> bool:
        """Whether a request has come to its end, and its answer has not."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return False
        return self._answer_untaken or not (cycle.more_body or cycle.response_complete)

    def _end_of_piece(self, data: bytes, begin: int) -> int:
        """How far data may be parsed so that no two requests are parsed at once."""
        if not self._in_head and self._body_left:
            return min(len(data), begin + self._body_left)
        # The end of a head may come in two parts.
        joint = self._last_bytes + data[begin : begin + len(HEAD_END) - 1]
        if (found := joint.find(HEAD_END)) >= 0:
            return begin + found + len(HEAD_END) - len(self._last_bytes)
        found = data.find(HEAD_END, begin)
        return len(data) if found < 0 else found + len(HEAD_END)

    def _parse(self, piece: bytes) -> bool:
        """Parse one; says whether this connection takes more."""
        last = (self._last_bytes + piece)[-len(HEAD_END) :]
        self._last_bytes = b"" if last == HEAD_END else last[1 - len(HEAD_END) :]
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return False
            self._go_on_without_upgrade()
        except httptools.HttpParserInvalidMethodError:
            self._say_goodbye(OTHER_METHOD)
            return False
        except httptools.HttpParserError:
            self._say_goodbye(self._refusal)
            return False
        if self._in_head:
            self._head_bytes += len(piece)
            if self._head_bytes > HEAD_BYTES:
                self._say_goodbye(TOO_LONG)
                return False
        return True

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # It would refuse values that h11 lets pass; names and values are looked at here instead.
        parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_headers=True)
        return parser

    def _passes_over_upgrade(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade()

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """The headers that say that a body follows."""
        return [
            (name, value)
            for name, value in self.headers
            if name == b"transfer-encoding" or (name == b"content-length" and self._body_left)
        ]

    def _go_on_without_upgrade(self) -> None:
        """Parse what follows a head whose offer of another protocol is not taken.

        To httptools the request ends there, and its body would be the other protocol; so a new
        parser is told of a head that has the same body and makes no offer.
        """
        self.parser = self._new_parser()
        headers = b"".join(b"%b: %b\r\n" % header for header in self._framing())
        self._repeating = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + headers + b"\r\n")
        self._repeating = False

    def _objection(self) -> Refusal | None:
        """What keeps a head that could be parsed from the application."""
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            return OTHER_VERSION
        names = [name for name, _ in self.headers]
        values = [value for _, value in self.headers]
        if NO_NAME.search(b"".join(names)) or NO_VALUE.search(b"".join(values)):
            return NO_HTTP
        hosts = names.count(b"host")
        if hosts > 1 or (not hosts and version == "1.1"):
            return NO_HOST
        if b"transfer-encoding" in names:
            codings = [value for name, value in self.headers if name == b"transfer-encoding"]
            if [coding.lower() for coding in codings] != [CHUNKED]:
                return OTHER_CODING
        return None

    def _say_goodbye(self, refusal: Refusal | None) -> None:
        """Close the connection; with a word, unless that would end up in an answer."""
        self._stop_head_timer()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                refusal = None
        if refusal is not None:
            self.transport.write(refusal.answer())
        self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_s, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        # Browsers open connections ahead of need; a word there would answer their next request.
        self._say_goodbye(TOO_SLOW if self._in_head else None)

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
