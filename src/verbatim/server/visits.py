"""Ends every visit: its place is free again, its audio is charged, its limits are told."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verbatim.wire.guard import limit_headers, visit_of
from verbatim.wire.notes import notes_of

STARTS: Final = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)
"""Messages that carry headers."""


class Visits:
    """Lies around all routes with a guard."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def send_with_limits(message: Message) -> None:
            visit = visit_of(scope) if message["type"] in STARTS else None
            if visit is not None and (allowance := visit.allowance()) is not None:
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(limit_headers(allowance))
            await send(message)

        try:
            await self._app(scope, receive, send_with_limits)
        finally:
            if (visit := visit_of(scope)) is not None:
                # A live session charges as it goes, and notes nothing here.
                if scope["type"] == "http" and (audio_s := notes_of(scope).audio_s):
                    visit.charge(audio_s)
                visit.leave()
