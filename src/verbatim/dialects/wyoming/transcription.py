"""One transcription: from the start of the audio to its transcript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from verbatim.dialects.wyoming.events import (
    audio_format,
    to_pcm16,
    transcript_chunk,
    transcript_end,
    transcript_start,
)
from verbatim.dialects.wyoming.frames import Event, read_event, to_bytes
from verbatim.domain.errors import SlowUploadError
from verbatim.domain.live import Failed, Partial, SessionEnd, SessionEnded
from verbatim.domain.live import Final as FinalEvent
from verbatim.pipeline.live import LiveSession
from verbatim.stages.language_names import WRITTEN_WITHOUT_SPACES
from verbatim.wire.live_audio import LiveAudio, LiveFormat, open_live_audio
from verbatim.wire.tcp import ABNORMAL_CLOSURE, TcpConnection
from verbatim.wire.websocket import SocketClosedError

EARLY_ENDS: Final = {
    SessionEnd.IDLE: "No audio came for too long. End it with audio-stop.",
    SessionEnd.TOO_LONG: "The audio is longer than this server takes live.",
}


class Transcription:
    """A client's audio and what it says; run `hear` and `tell` at the same time.

    Args:
        connection: to the client.
        session: what it is said to; closed by the caller.
        aside: answers events that are about something else.
    """

    def __init__(
        self,
        connection: TcpConnection,
        session: LiveSession,
        aside: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._session = session
        self._aside = aside
        self._audio: LiveAudio | None = None
        self._form: LiveFormat | None = None
        self._started = False
        self._text = ""
        self._utterance = 0
        self.language: str | None = session.options.language

    async def hear(self, first: Event) -> None:
        """Take in the audio, from this event on, until it stops.

        Raises:
            SocketClosedError: the client left before that.
            BadRequestError, TooLargeError: what came is no audio, or no event.
        """
        event: Event | None = first
        try:
            while event is not None and event.type != "audio-stop":
                if event.type in {"audio-start", "audio-chunk"}:
                    await self._take(event)
                else:
                    await self._aside(event)
                event = await read_event(self._connection)
            if event is None:
                raise SocketClosedError(ABNORMAL_CLOSURE)
            await self._flush()
            await self._session.finish()
        finally:
            if self._audio is not None:
                await self._audio.aclose()

    async def tell(self) -> None:
        """Send the text as it is committed, and all of it at the end.

        Raises:
            VerbatimError: it could not be decoded, or ended before the client ended it.
        """
        async for event in self._session.events():
            match event:
                case Partial() | FinalEvent():
                    self.language = event.language or self.language
                    await self._grow(event.delta, event.utterance)
                case Failed(error=error):
                    raise error
                case SessionEnded(reason=reason):
                    await self._end()
                    if reason in EARLY_ENDS:
                        raise SlowUploadError(EARLY_ENDS[reason], code=reason.value)

    async def _take(self, event: Event) -> None:
        form, width = audio_format(event.data)
        if form != self._form or self._audio is None:
            await self._flush()
            self._audio, self._form = open_live_audio(form), form
        async for samples in self._audio.feed(to_pcm16(event.payload, width)):
            await self._session.feed(samples)

    async def _flush(self) -> None:
        """Bring out what the resampler holds back."""
        if self._audio is not None:
            async for samples in self._audio.finish():
                await self._session.feed(samples)

    async def _grow(self, delta: str, utterance: int) -> None:
        if not delta:
            return
        # What is very long is several utterances, and each one's text begins without a space.
        parted = self._text and utterance != self._utterance
        if parted and self.language not in WRITTEN_WITHOUT_SPACES:
            delta = f" {delta}"
        self._utterance = utterance
        self._text += delta
        await self._start()
        await self._connection.send(to_bytes(transcript_chunk(delta)))

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            await self._connection.send(to_bytes(transcript_start(self.language)))

    async def _end(self) -> None:
        await self._start()
        whole, stop = transcript_end(self._text, self.language)
        # At once: who knows no chunks leaves when it has the transcript.
        await self._connection.send(to_bytes(whole) + to_bytes(stop))
