"""What lies around every request: its id, the log line, the metrics, the last resort for errors."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verbatim.domain.errors import UnavailableError
from verbatim.server.drain import Drain
from verbatim.server.errors import ErrorResponder
from verbatim.server.metrics import Metrics
from verbatim.server.visits import STARTS
from verbatim.wire.caching import CACHE_HEADER
from verbatim.wire.dialect import CLIENT_GONE_STATUS, Dialect, owner_of
from verbatim.wire.notes import NOTES_KEY, RequestNotes

RawHeader: TypeAlias = tuple[bytes, bytes]
"""As ASGI has it: the name in small letters."""

log = structlog.stdlib.get_logger("verbatim.request")

REQUEST_ID_HEADER: Final = "x-request-id"
REQUEST_ID_NAME: Final = REQUEST_ID_HEADER.encode()
CACHE_NAME: Final = CACHE_HEADER.encode()
SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
NORMAL_CLOSURE: Final = 1000
ABNORMAL_CLOSURE: Final = 1006
"""What is logged where a WebSocket ended without a word (RFC 6455, 7.1.5)."""
INTERNAL_ERROR: Final = 1011
NO_DIALECT: Final = "none"
NO_ROUTE: Final = "unmatched"
OPERATION_PATHS: Final = frozenset({"/health", "/ready", "/metrics"})
"""Asked by machines, often: answered to the end, and logged as debug."""
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""On every response that does not say otherwise itself: what is answered here is private."""


class Observe:
    """Outermost: gives each request its id, adds headers, writes one log line, counts."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        dialects: Sequence[Dialect],
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._dialects = dialects
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        owner = owner_of(self._dialects, scope["path"])
        dialect = owner.name if owner else NO_DIALECT
        notes = RequestNotes(request_id=_request_id(scope), dialect=dialect)
        scope[NOTES_KEY] = notes
        status = CLIENT_GONE_STATUS
        started_s = self._clock()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.close":
                status = message.get("code", NORMAL_CLOSURE)
            elif message["type"] in STARTS:
                status = message.get("status", ABNORMAL_CLOSURE)
                message["headers"] = _with_ours(message.get("headers", ()), notes)
            await send(message)

        async def receive_and_see() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect" and status == ABNORMAL_CLOSURE:
                status = message.get("code") or ABNORMAL_CLOSURE
            return message

        with structlog.contextvars.bound_contextvars(request_id=notes.request_id):
            try:
                await self._app(scope, receive_and_see, send_with_headers)
            finally:
                self._report(scope, notes, status, self._clock() - started_s)

    def _report(self, scope: Scope, notes: RequestNotes, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        method: str = scope.get("method", "WEBSOCKET")
        if scope["type"] == "http":
            self._metrics.on_request(notes, route, method, status, seconds)
        else:
            self._metrics.on_websocket(notes, route, status)
        if scope["path"] not in OPERATION_PATHS:
            self._metrics.activity.on_end(notes)
        facts: dict[str, object] = {
            "method": method,
            "route": route,
            "status": status,
            "duration_s": round(seconds, 3),
            "error": notes.error,
            "key": notes.key_id,
            "upload_bytes": notes.upload_bytes or None,
            "model": notes.model,
            "language": notes.language,
            "cache": notes.cache and notes.cache.value,
        }
        if notes.audio_s is not None:
            facts["audio_s"] = round(notes.audio_s, 2)
        if notes.audio_s and notes.transcription_s is not None:
            facts["real_time_factor"] = round(notes.transcription_s / notes.audio_s, 4)
        write = log.debug if scope["path"] in OPERATION_PATHS else log.info
        write("request", **{name: fact for name, fact in facts.items() if fact is not None})


class ErrorBoundary:
    """Innermost: no exception gets past it, and no new work gets in while draining."""

    def __init__(self, app: ASGIApp, *, errors: ErrorResponder, drain: Drain) -> None:
        self._app = app
        self._errors = errors
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if self._drain.draining and scope["path"] not in OPERATION_PATHS:
            await self._errors.respond(scope, _stopping())(scope, receive, send)
            return
        answer = _Answer(send)
        response: Response
        try:
            with self._drain.request():
                await self._app(scope, receive, answer.send)
            return
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._drain.aborted or task is None:
                raise
            task.uncancel()
            response = self._errors.respond(scope, _stopping())
        except Exception as error:  # noqa: BLE001 - the last resort: logged and told as a 500
            response = self._errors.respond(scope, error)
        if not answer.started:
            await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await answer.close()


class _Answer:
    """What is sent to a client. What has begun cannot become an error's response any more."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._accepted = False
        self._closed = False
        self.started = False

    async def send(self, message: Message) -> None:
        """Send a message of ASGI."""
        if self._accepted and message["type"].startswith("websocket.http.response."):
            # An error's response, on a WebSocket that was accepted long ago.
            await self.close()
            return
        self.started = True
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self._closed = self._closed or message["type"] == "websocket.close"
        await self._send(message)

    async def close(self) -> None:
        """Close a WebSocket because of an error; twice is fine."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError, RuntimeError):  # It may be gone already.
            await self._send({"type": "websocket.close", "code": INTERNAL_ERROR})


def _with_ours(given: Iterable[RawHeader], notes: RequestNotes) -> list[RawHeader]:
    """The headers of an answer, as bytes throughout: this is done for every one of them."""
    ours = [(REQUEST_ID_NAME, notes.request_id.encode())]
    if notes.cache is not None:
        ours.append((CACHE_NAME, notes.cache.value.encode()))
    replaced = {name for name, _ in ours}
    headers = [header for header in given if header[0] not in replaced]
    said = {name for name, _ in headers}
    return [*headers, *ours, *(header for header in SECURITY_HEADERS if header[0] not in said)]


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _stopping() -> UnavailableError:
    return UnavailableError("The server is stopping. Send the request again in a moment.")
