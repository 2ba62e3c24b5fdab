"""One client's talk with its session."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
from starlette.websockets import WebSocket

from verbatim.dialects.deepgram.errors import error_message
from verbatim.dialects.deepgram.query import WORDS_JOINT, LiveQuery
from verbatim.dialects.deepgram.results import Narrator
from verbatim.dialects.deepgram.words import time
from verbatim.domain.audio import Samples
from verbatim.domain.errors import BadRequestError, UnsupportedMediaError, VerbatimError
from verbatim.domain.live import SessionEnd, SessionEnded
from verbatim.pipeline.live import LiveSession
from verbatim.wire.guard import guarded_visit
from verbatim.wire.live_audio import LiveAudio
from verbatim.wire.live_talk import charged
from verbatim.wire.websocket import LiveSocket, parse_object

NOT_UNDERSTOOD: Final = "SchemaError"
NOT_AUDIO: Final = "DATA-0000"
NOTHING: Final = np.zeros(0, np.int16)
KNOWN_TYPES: Final = "KeepAlive, Finalize, CloseStream, Configure"


class Connection:
    """One client, one session.

    Args:
        websocket: accepted.
        socket: the same, bounded.
        session: closed by who opened it.
        audio: decodes the binary messages; closed by who opened it too.
        query: what the client asked for.
        request_id: of the connection.
    """

    def __init__(
        self,
        websocket: WebSocket,
        socket: LiveSocket,
        session: LiveSession,
        audio: LiveAudio,
        query: LiveQuery,
        request_id: str,
    ) -> None:
        self._visit = guarded_visit(websocket.scope)
        self._socket = socket
        self._session = session
        self._audio = audio
        self._request_id = request_id
        self._narrator = Narrator(query, session.describe(), request_id)
        self._digest = hashlib.sha256()
        self._finished = False
        self.failure: VerbatimError | None = None
        """What was wrong with the audio."""
        self.ended = SessionEnd.FINISHED
        """Why the session ended, once `tell` has returned."""
        self.audio_s = 0.0
        """How much the session heard, once `tell` has returned."""

    @property
    def sha256(self) -> str:
        """Of all audio that came."""
        return self._digest.hexdigest()

    async def hear(self) -> None:
        """Take in what the client sends, as long as it is there.

        A text message that makes no sense is answered and forgotten. Audio that makes none is the
        end; what was said before it is still told.
        """
        while self.failure is None:
            message = await self._socket.receive()
            try:
                if isinstance(message, bytes):
                    await self._take_audio(message)
                else:
                    await self._obey(parse_object(message))
            except BadRequestError as error:
                await self._socket.send_json(error_message(NOT_UNDERSTOOD, error.message))
            except UnsupportedMediaError as error:
                self.failure = error
                await self._socket.send_json(error_message(NOT_AUDIO, error.message))
                await self._session.finish()

    async def tell(self) -> None:
        """Tell what happens, until the session has ended."""
        async for happened in self._session.events():
            for told in self._narrator.tell(happened):
                await self._socket.send_json(told)
            if isinstance(happened, SessionEnded):
                self.ended, self.audio_s = happened.reason, time(happened.audio_s)

    async def _take_audio(self, data: bytes) -> None:
        if not data:
            await self._finish()  # As older clients say that they are done.
        elif not self._finished:
            # What was listened to before this message was told by now.
            heard_s = self._session.heard_s
            self._digest.update(data)
            await self._feed(self._audio.feed(data))
            await self._tell_gaps(heard_s)

    async def _tell_gaps(self, heard_s: float) -> None:
        for told in self._narrator.heard(heard_s):
            await self._socket.send_json(told)

    async def _obey(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "KeepAlive":
                # No audio, but somebody who will send some.
                await self._session.feed(NOTHING)
                await self._tell_gaps(self._session.heard_s)
            case "Finalize":
                if not self._finished:
                    await self._feed(self._audio.flush())
                    await self._session.commit()
            case "CloseStream":
                await self._finish()
            case "Configure":
                await self._configure(message)
            case _:
                raise BadRequestError(f"A message has one of these types: {KNOWN_TYPES}.")

    async def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            await self._feed(self._audio.finish())
            await self._session.finish()

    async def _configure(self, message: dict[str, Any]) -> None:
        told: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        keyterms = message.get("keyterms")
        if keyterms is not None:
            if not isinstance(keyterms, list) or not all(
                isinstance(each, str) for each in keyterms
            ):
                raise BadRequestError("keyterms is a list of texts.", param="keyterms")
            hotwords = WORDS_JOINT.join(keyterms) or None
            await self._session.update(replace(self._session.options, hotwords=hotwords))
            told["keyterms"] = keyterms
        await self._socket.send_json(told)

    async def _feed(self, blocks: AsyncIterator[Samples]) -> None:
        with charged(self._session, self._visit.charge):
            async for samples in blocks:
                await self._session.feed(samples)
