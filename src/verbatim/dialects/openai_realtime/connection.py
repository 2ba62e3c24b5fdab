"""One client's talk with its session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.websockets import WebSocket

from verbatim.dialects.openai_realtime.client_events import (
    COMMIT,
    Append,
    BetaUpdate,
    ClientEvent,
    Order,
    Update,
    client_event,
    event_id_of,
    read_object,
)
from verbatim.dialects.openai_realtime.config import Config
from verbatim.dialects.openai_realtime.server_events import (
    Event,
    Narrator,
    error_event,
    new_id,
    server_event,
)
from verbatim.dialects.openai_realtime.session_objects import beta_session_object, session_object
from verbatim.domain.audio import Samples
from verbatim.domain.errors import (
    BadRequestError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    VerbatimError,
)
from verbatim.domain.live import SessionEnd, SessionEnded
from verbatim.pipeline.live import LiveSession
from verbatim.wire.guard import guarded_visit
from verbatim.wire.live_audio import open_live_audio
from verbatim.wire.live_talk import charged
from verbatim.wire.websocket import LiveSocket

SHORTEST_COMMIT_S: Final = 0.1
"""Of audio, without which a commit is an error, as published."""
ROUNDING_S: Final = 1e-6
FORGIVEN: Final = (BadRequestError, NotFoundError, UnavailableError, OverloadedError)
"""What may be wrong with an event; the connection stays open."""
TRANSCRIPTION_PLACE: Final = {
    "model": "model",
    "language": "language",
    "languages": "languages",
    "prompt": "prompt",
    "hotwords": "keywords",
}
"""Fields of `transcription`, by the name of the option that they set."""


class Connection:
    """One client, one session.

    Args:
        websocket: accepted.
        socket: the same, bounded.
        session: closed by who opened it.
        config: with which it was opened.
        beta: the client speaks the beta's words.
    """

    def __init__(
        self,
        websocket: WebSocket,
        socket: LiveSocket,
        session: LiveSession,
        config: Config,
        *,
        beta: bool,
    ) -> None:
        self._visit = guarded_visit(websocket.scope)
        self._socket = socket
        self._session = session
        self._config = config
        self._beta = beta
        self._id = new_id("sess")
        self._audio = open_live_audio(config.format.live())
        self._narrator = Narrator(config, beta=beta)
        self.ended = SessionEnd.FINISHED
        """Why the session ended, once `tell` has returned."""

    async def greet(self) -> None:
        """Tell that there is a session, and what holds for it."""
        kind = "transcription_session.created" if self._beta else "session.created"
        await self._socket.send_json(self._described(kind, beta=self._beta))

    async def hear(self) -> None:
        """Do what the client's events ask, as long as it is there. A mistake is answered."""
        while True:
            message = await self._socket.receive()
            event_id = None
            try:
                said = read_object(message)
                event_id = event_id_of(said)
                await self._obey(client_event(said))
            except FORGIVEN as error:
                await self._socket.send_json(error_event(error, event_id))

    async def tell(self) -> None:
        """Tell what happens, until the session has ended."""
        async for happened in self._session.events():
            for event in self._narrator.tell(happened):
                await self._socket.send_json(event)
            if isinstance(happened, SessionEnded):
                self.ended = happened.reason

    async def aclose(self) -> None:
        """Free what the connection holds."""
        await self._audio.aclose()

    async def _obey(self, event: ClientEvent) -> None:
        match event:
            case Append():
                await self._feed(self._audio.feed(event.data()))
            case Order() if event.type == COMMIT:
                await self._commit()
            case Order():
                await self._clear()
            case Update():
                await self._update(self._config.changed(event.session), beta=False)
            case BetaUpdate():
                await self._update(self._config.changed(event.session.released()), beta=True)

    async def _feed(self, blocks: AsyncIterator[Samples]) -> None:
        with charged(self._session, self._visit.charge):
            async for samples in blocks:
                await self._session.feed(samples)

    async def _commit(self) -> None:
        await self._feed(self._audio.flush())
        buffered_s = self._session.fed_s - self._narrator.buffer_start_s
        if buffered_s < SHORTEST_COMMIT_S - ROUNDING_S:
            raise BadRequestError(
                f"There are {buffered_s:.3f} s of audio to commit; {SHORTEST_COMMIT_S:g} s are the "
                "least. Append more before you commit; with turn detection on, it commits too.",
                code="input_audio_buffer_commit_empty",
            )
        self._narrator.buffer_start_s = self._session.fed_s
        await self._session.commit()

    async def _clear(self) -> None:
        await self._feed(self._audio.flush())
        self._narrator.buffer_start_s = self._session.fed_s
        await self._session.clear()

    async def _update(self, config: Config, *, beta: bool) -> None:
        try:
            options = config.options()
            if options != self._session.options:
                await self._session.update(options)
        except VerbatimError as error:
            error.param = _place(error.param, beta=beta)
            raise
        if config.format != self._config.format:
            await self._feed(self._audio.flush())
            await self._audio.aclose()
            self._audio = open_live_audio(config.format.live())
        self._config = self._narrator.config = config
        kind = "transcription_session.updated" if beta else "session.updated"
        await self._socket.send_json(self._described(kind, beta=beta))

    def _described(self, kind: str, *, beta: bool) -> Event:
        described = self._session.describe()
        tell = beta_session_object if beta else session_object
        session = tell(self._config, self._id, described.model, described.warnings)
        return server_event(kind, session=session)


def _place(param: str | None, *, beta: bool) -> str:
    """Where in the client's event an option was set."""
    if param in TRANSCRIPTION_PLACE:
        around = "input_audio_transcription" if beta else "audio.input.transcription"
        return f"session.{around}.{TRANSCRIPTION_PLACE[param]}"
    return "session"
