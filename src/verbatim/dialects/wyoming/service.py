"""The port: who may use it, and how a connection goes on."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from importlib import metadata
from typing import Final

import structlog

from verbatim.access.policy import is_loopback
from verbatim.dialects.wyoming.events import error_event, info, live_options, pong, transcript_end
from verbatim.dialects.wyoming.frames import Event, read_event, to_bytes
from verbatim.dialects.wyoming.transcription import Transcription
from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions
from verbatim.engine.known_models import AUTO, DEMO_LANGUAGES, DEMO_NAME, find_known
from verbatim.settings import Settings
from verbatim.stages.language_names import LANGUAGE_NAMES
from verbatim.wire.context import Context
from verbatim.wire.failures import public_error
from verbatim.wire.notes import RequestNotes
from verbatim.wire.tcp import TcpConnection, TcpDialect
from verbatim.wire.websocket import SocketClosedError, converse

NAME: Final = "wyoming"
DISTRIBUTION: Final = "verbatim-stt"
IDLE_S: Final = 300.0
"""Between two transcriptions on one connection."""
MORE_CONNECTIONS: Final = 64
"""Besides those with a session: they ask what there is, or wait."""
ENGLISH: Final = ("en",)

log = structlog.stdlib.get_logger(__name__)


def dialect(context: Context) -> TcpDialect | None:
    """The dialect, ready to listen; None where it is switched off.

    Raises:
        BadRequestError: it would let in who needs a key elsewhere, and nobody said so.
    """
    settings = context.settings
    if settings.wyoming_port is None:
        return None
    host = settings.host if settings.wyoming_host is None else settings.wyoming_host
    _check_open(settings, host, keys_required=context.access.policy.required)
    return TcpDialect(
        NAME,
        host,
        settings.wyoming_port,
        "wyoming_",
        settings.max_live_sessions + MORE_CONNECTIONS,
        lambda connection: _Client(context, connection).run(),
    )


def _check_open(settings: Settings, host: str, *, keys_required: bool) -> None:
    if settings.wyoming_open or settings.no_auth:
        return
    if keys_required or not is_loopback(host):
        raise BadRequestError(
            f"Wyoming knows no keys: everybody who can reach port {settings.wyoming_port} of "
            f"{host} could have speech transcribed. To have that, say --wyoming-open "
            "(VERBATIM_WYOMING_OPEN=true), and let only Home Assistant reach the port; or leave "
            "wyoming_port away.",
            param="wyoming_port",
        )


class _Client:
    """One connection."""

    def __init__(self, context: Context, connection: TcpConnection) -> None:
        self._context = context
        self._connection = connection
        self._request_id = uuid.uuid4().hex
        self._options = LiveOptions(manual=True)

    async def run(self) -> None:
        """Answer what comes, until the client leaves, says nothing for long, or makes no sense."""
        with structlog.contextvars.bound_contextvars(request_id=self._request_id):
            going_on = True
            while going_on:
                notes = RequestNotes(request_id=self._request_id, dialect=NAME)
                try:
                    going_on = await self._serve_next(notes)
                except TimeoutError:
                    return
                except SocketClosedError:
                    raise
                except Exception as error:  # noqa: BLE001 - told to the client, and logged if ours
                    await self._end_with(error, notes)
                    return
                finally:
                    if notes.audio_s is not None or notes.error is not None:
                        self._connection.report(notes)

    async def _serve_next(self, notes: RequestNotes) -> bool:
        """Answer the next event; False where there is none."""
        event = await read_event(self._connection, IDLE_S)
        if event is not None:
            await self._answer(event, notes)
        return event is not None

    async def _end_with(self, error: Exception, notes: RequestNotes) -> None:
        """Tell an error; what follows on the connection would make no sense."""
        shown = public_error(error, notes)
        log.info("wyoming error", kind=shown.kind.value, code=shown.code)
        await self._connection.send(to_bytes(error_event(shown)))
        await self._connection.dismiss()

    async def _answer(self, event: Event, notes: RequestNotes) -> None:
        match event.type:
            case "transcribe":
                self._options = live_options(event.data)
            case "audio-start" | "audio-chunk":
                with self._connection.busy():
                    await self._transcribe(event, notes)
                self._options = LiveOptions(manual=True)
            case "audio-stop":
                # Of no audio at all; whoever waits for a transcript gets one.
                whole, stop = transcript_end("", None)
                await self._connection.send(to_bytes(whole) + to_bytes(stop))
            case _:
                await self._aside(event)

    async def _aside(self, event: Event) -> None:
        """Answer what is not about audio. Events that are not known are dropped, as agreed."""
        if event.type == "describe":
            await self._connection.send(to_bytes(await self._info()))
        elif event.type == "ping":
            await self._connection.send(to_bytes(pong(event.data)))

    async def _transcribe(self, first: Event, notes: RequestNotes) -> None:
        clock = self._context.clock
        began_s = clock()
        async with aclosing(await self._context.service.live.open(self._options)) as session:
            talk = Transcription(self._connection, session, self._aside)
            outcome = "failed"
            try:
                await converse(talk.hear(first), talk.tell())
                outcome = "done"
            except SocketClosedError:
                outcome = "left"
                raise
            finally:
                notes.audio_s, notes.language = session.fed_s, talk.language
                notes.model = session.describe().model
                log.info(
                    "wyoming transcription",
                    outcome=outcome,
                    model=notes.model,
                    language=notes.language,
                    audio_s=round(notes.audio_s, 2),
                    duration_s=round(clock() - began_s, 3),
                )

    async def _info(self) -> Event:
        # It looks at the disk.
        found = await asyncio.to_thread(self._context.catalog.resolve, AUTO)
        loaded = {each.model: each for each in self._context.service.loaded_models()}
        known = find_known(found.name)
        languages: tuple[str, ...] = tuple(LANGUAGE_NAMES)
        if found.name == DEMO_NAME:
            languages = DEMO_LANGUAGES
        elif found.name in loaded:
            languages = loaded[found.name].languages
        elif known is not None and known.english_only:
            languages = ENGLISH
        return info(found.name, languages, metadata.version(DISTRIBUTION))
