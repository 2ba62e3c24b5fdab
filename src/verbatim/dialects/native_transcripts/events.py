"""A running transcription as events, from the line it waits in to its transcript."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pydantic import TypeAdapter

from verbatim.domain.events import Finished, Progress, SegmentReady, Started, TranscriptionEvent
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.service import Run
from verbatim.render.full_json import (
    SegmentJson,
    TranscriptJson,
    segment_json,
    transcript_json,
)
from verbatim.render.options import seconds
from verbatim.wire import sse
from verbatim.wire.context import Context
from verbatim.wire.dialect import STATUS_OF_KIND
from verbatim.wire.failures import public_error
from verbatim.wire.notes import RequestNotes
from verbatim.wire.v1_errors import error_fields

LOOK_S: Final = 1.0
"""How often a request that waits looks at its place in the line."""


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """It waits; told again whenever its place changes. The next one's is 1."""

    position: int
    type: Literal["queued"] = "queued"


@dataclass(frozen=True, slots=True)
class StartedEvent:
    """The model is loaded and the recording open."""

    model: str
    duration_s: float | None
    joined: bool
    type: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far it is, in seconds of the recording."""

    done_s: float
    total_s: float | None
    type: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class SegmentEvent:
    """The next segment, which will not change."""

    segment: SegmentJson
    type: Literal["segment"] = "segment"


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The end, with everything."""

    transcript: TranscriptJson
    type: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class ErrorJson:
    """What went wrong, as in every error under `/v1`."""

    message: str
    type: str
    param: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The end, without a transcript."""

    error: ErrorJson
    type: Literal["error"] = "error"


Event: TypeAlias = (
    QueuedEvent | StartedEvent | ProgressEvent | SegmentEvent | DoneEvent | ErrorEvent
)
EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)


class RunEvents:
    """The events of one run, as one client is told them.

    Args:
        run: followed to its end.
        notes: filled in.
        context: of the application.
    """

    def __init__(self, run: Run, notes: RequestNotes, context: Context) -> None:
        self._run = run
        self._notes = notes
        self._context = context
        self._begun_s = context.clock()
        self._silent_since_s = self._begun_s
        self._position = 0

    async def told(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events, and comments where a proxy could take the silence for the end.

        Raises:
            VerbatimError: it failed before anything was told.
        """
        anything = False
        # As often as its place in the line is looked at.
        pause_s = min(LOOK_S, self._context.heartbeat_s)
        try:
            if (queued := self._queued()) is not None:
                anything = True
                yield queued
            async for happened in sse.with_pauses(self._run.events(), pause_s):
                part = self._idle() if happened is None else await self._told(happened)
                if part is not None:
                    anything = True
                    self._silent_since_s = self._context.clock()
                    yield part
        except Exception as error:
            if not anything:
                raise
            yield _written(self._failed(error))
        finally:
            self._run.leave()

    def _queued(self) -> bytes | None:
        """Its place in the line, where it waits and that is new."""
        position = self._run.position()
        if position in {0, self._position}:
            return None
        self._position = position
        return _written(QueuedEvent(position))

    def _idle(self) -> bytes | None:
        """What is told when nothing happened for a while."""
        if (queued := self._queued()) is not None:
            return queued
        silent_s = self._context.clock() - self._silent_since_s
        return sse.HEARTBEAT if silent_s >= self._context.heartbeat_s else None

    async def _told(self, happened: TranscriptionEvent) -> bytes:
        if isinstance(happened, Finished):
            took_s = self._context.clock() - self._begun_s
            self._notes.on_transcript(happened.transcript, took_s)
            # The words of hours take a moment, for which others would have to wait.
            return await asyncio.to_thread(_done, happened.transcript, took_s)
        return _written(self._event(happened))

    def _event(self, happened: Started | Progress | SegmentReady) -> Event:
        match happened:
            case Started(model, duration_s):
                known = None if duration_s is None else seconds(duration_s)
                return StartedEvent(model, known, self._run.joined)
            case Progress(done_s, duration_s):
                known = None if duration_s is None else seconds(duration_s)
                return ProgressEvent(seconds(done_s), known)
            case SegmentReady(segment):
                return SegmentEvent(segment_json(segment))

    def _failed(self, error: Exception) -> ErrorEvent:
        # The status was sent long ago.
        shown = public_error(error, self._notes)
        return ErrorEvent(ErrorJson(**error_fields(shown, STATUS_OF_KIND[shown.kind])))


def _done(transcript: Transcript, took_s: float) -> bytes:
    return _written(DoneEvent(transcript_json(transcript, took_s)))


def _written(told: Event) -> bytes:
    return sse.written(EVENT.dump_json(told))
