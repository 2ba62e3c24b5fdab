"""One client's talk with the server, once it was let in."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.websockets import WebSocket

from verbatim.dialects.fastwhisper import texts
from verbatim.dialects.fastwhisper.activity import Activity, Client
from verbatim.dialects.fastwhisper.commands import FileCommand, StartCommand
from verbatim.dialects.fastwhisper.inbox import Inbox
from verbatim.dialects.fastwhisper.received_file import ReceivedFile
from verbatim.dialects.fastwhisper.recording import (
    Recording,
    error_message,
    event_message,
    status_message,
)
from verbatim.dialects.fastwhisper.results import file_message, wanted
from verbatim.domain.errors import BadRequestError, ForbiddenError, VerbatimError
from verbatim.domain.keys import Caller, Scope
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.live import LiveOptions, SessionEnd, SessionEnded
from verbatim.pipeline.service import Recording as Upload
from verbatim.wire.context import Context
from verbatim.wire.failures import public_error
from verbatim.wire.guard import guarded_visit
from verbatim.wire.json_body import fit
from verbatim.wire.live_audio import open_live_audio
from verbatim.wire.notes import notes_of
from verbatim.wire.websocket import CloseCode, LiveSocket, converse, parse_object

MAX_TEXT_CHARS: Final = 64 * 1024
"""Of a JSON message."""


class Talk:
    """Listens to a client and tells it things, until it leaves or the server stops.

    Args:
        context: of the application.
        activity: counts.
        client: who it is.
        caller: whose key they have.
        websocket: of the connection.
        socket: the same, accepted.
        inbox: what the client sends is put there by who serves the connection.
    """

    def __init__(
        self,
        context: Context,
        activity: Activity,
        client: Client,
        caller: Caller,
        websocket: WebSocket,
        socket: LiveSocket,
        inbox: Inbox,
    ) -> None:
        self._context = context
        self._activity = activity
        self._client = client
        self._caller = caller
        self._socket = socket
        self._inbox = inbox
        self._notes = notes_of(websocket.scope)
        self._visit = guarded_visit(websocket.scope)
        self._start = StartCommand()
        self._recording: Recording | None = None
        self._recordings: asyncio.Queue[Recording | None] = asyncio.Queue()
        self._file: ReceivedFile | None = None
        self._close_code = CloseCode.GOING_AWAY

    async def run(self) -> CloseCode:
        """Talk until the inbox ends; says with which code to close.

        Raises:
            SocketClosedError: the client has gone.
        """
        try:
            await converse(self._work(), self._tell())
        finally:
            self._drop_file()
            await self._drop_recording()
        return self._close_code

    async def _work(self) -> None:
        """Take in what the client sends, in order; what makes no sense is answered so."""
        while True:
            try:
                message = await self._inbox.get(self._file.idle_s if self._file else None)
                if message is None:
                    break
                if isinstance(message, bytes):
                    await self._take(message)
                else:
                    await self._obey(message)
            except TimeoutError:
                self._drop_file()
                await self._say_error(texts.FILE_TIMEOUT)
            except VerbatimError as error:
                await self._say_error(public_error(error, self._notes).message)
        if self._recording is not None:
            await self._recording.stop()
        self._recordings.put_nowait(None)

    async def _tell(self) -> None:
        """Send what the recordings tell, one after another."""
        while (recording := await self._recordings.get()) is not None:
            async for event in recording.session.events():
                message = event_message(event, recording.session.options)
                if message is not None:
                    await self._socket.send_json(message)
                if isinstance(event, FinalEvent) and message is not None:
                    self._activity.count(self._client)
                if isinstance(event, SessionEnded):
                    recording.on_end(event.reason)
                    if event.reason is SessionEnd.FAILED:
                        self._close_code = CloseCode.INTERNAL
                        self._inbox.end()

    async def _take(self, data: bytes) -> None:
        """A binary message: of a file, of a recording, or of nothing that was announced."""
        if self._file is not None:
            await self._take_of_file(self._file, data)
        elif self._recording is not None:
            if self._recording.ended in {SessionEnd.IDLE, SessionEnd.TOO_LONG}:
                # A client that paused for long knows nothing of it, and goes on.
                await self._begin()
            await self._recording.hear(data)

    async def _take_of_file(self, file: ReceivedFile, data: bytes) -> None:
        try:
            await file.write(data)
        except VerbatimError:
            self._drop_file()
            raise

    async def _obey(self, text: str) -> None:
        command = _parsed(text)
        match command.get("command"):
            case "start":
                await self._start_recording(command)
            case "stop":
                await self._stop_recording()
                await self._say(texts.STOPPED)
            case "clear":
                self._drop_file()
                if self._recording is not None:
                    await self._recording.clear()
            case "transcribe_file":
                await self._start_file(command)
            case "transcribe_file_end":
                await self._end_file()

    async def _start_recording(self, command: dict[str, Any]) -> None:
        start = fit(command, StartCommand)
        options = self._options(start)
        self._drop_file()
        await self._stop_recording()
        self._start = start
        await self._begin()
        shown = texts.started(options.language, start.audio_format, start.silence_s)
        await self._say(shown)

    async def _begin(self) -> None:
        """Open a session as the last `start` said."""
        await self._drop_recording()
        options = self._options(self._start)
        session = await self._context.service.live.open(options, self._caller.owner)
        recording = Recording(session, open_live_audio(self._start.audio()), self._charge)
        self._notes.model = session.describe().model
        self._recording = recording
        self._recordings.put_nowait(recording)

    def _options(self, start: StartCommand) -> LiveOptions:
        return start.live(self._context.settings.max_utterance_s)

    async def _stop_recording(self) -> None:
        """Tell everything that was said, if somebody spoke."""
        if self._recording is not None:
            await self._recording.stop()
            await self._drop_recording()

    async def _start_file(self, command: dict[str, Any]) -> None:
        if Scope.TRANSCRIBE not in self._caller.scopes:
            raise ForbiddenError(
                "This key is for live audio only; an administrator can make one for files as well.",
                code="insufficient_scope",
            )
        asked = wanted(fit(command, FileCommand).language)
        self._drop_file()
        if self._recording is not None:
            await self._stop_recording()
            await self._say(texts.STOPPED)
        self._file = ReceivedFile(self._context, asked)
        await self._say(texts.file_mode(asked.decode.language))

    async def _end_file(self) -> None:
        file = self._file
        if file is None:
            raise BadRequestError(texts.NO_FILE)
        try:
            upload = await file.finish()
        finally:
            self._drop_file()
        try:
            await self._say(texts.file_received(upload.size_bytes))
        except BaseException:
            upload.release()
            raise
        self._notes.upload_bytes += upload.size_bytes
        recording = Upload(upload.path, upload.digest, upload.release)
        run = await self._context.service.start(recording, file.wanted, self._caller.owner)
        try:
            transcript = await run.result()
        finally:
            run.leave()
        self._charge(transcript.duration_s)
        self._activity.count(self._client)
        await self._socket.send_json(file_message(transcript))

    def _charge(self, audio_s: float) -> None:
        self._notes.audio_s = (self._notes.audio_s or 0.0) + audio_s
        self._visit.charge(audio_s)

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None

    async def _drop_recording(self) -> None:
        if self._recording is not None:
            recording, self._recording = self._recording, None
            await recording.aclose()

    async def _say(self, text: str) -> None:
        await self._socket.send_json(status_message(text))

    async def _say_error(self, text: str) -> None:
        await self._socket.send_json(error_message(text))


def _parsed(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BadRequestError: it is none, or far too long for one.
    """
    try:
        if len(text) > MAX_TEXT_CHARS:
            raise BadRequestError(texts.BAD_JSON)
        return parse_object(text)
    except BadRequestError as error:
        raise BadRequestError(texts.BAD_JSON) from error
