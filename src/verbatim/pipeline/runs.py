"""A transcription in flight, and those who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verbatim.domain.errors import InternalError, VerbatimError
from verbatim.domain.events import (
    Finished,
    Progress,
    SegmentReady,
    Started,
    TranscriptionEvent,
)
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.result_cache import CacheOutcome
from verbatim.scheduling.admission import Place


def nothing() -> None:
    """Do so."""
    return


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio to transcribe.

    Attributes:
        source: a file, or the bytes of one.
        digest: SHA-256 of the bytes, hexadecimal; two recordings in flight with the same digest
            and equal requests are transcribed once. None: never joined.
        release: called exactly once when the audio is no longer needed.
    """

    source: Path | bytes
    digest: str | None = None
    release: Callable[[], None] = nothing


class Work:
    """One transcription in flight, told to all who follow it."""

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self.events: list[TranscriptionEvent] = []
        self.error: VerbatimError | None = None
        self.ended = False
        self.followers = 0
        self.task: asyncio.Task[None] | None = None
        self.forget: Callable[[], None] = nothing
        self._changed = asyncio.Event()

    def add(self, event: TranscriptionEvent) -> None:
        """Tell it to all followers, also those to come."""
        self.events.append(event)
        self._wake()

    def finish(self, transcript: Transcript) -> None:
        """Tell at once what a run would have told."""
        duration_s = transcript.duration_s
        self.events = [
            Started(transcript.model, duration_s),
            *(SegmentReady(segment) for segment in transcript.segments),
            Progress(duration_s, duration_s),
            Finished(transcript),
        ]
        self.end(None)

    def end(self, error: VerbatimError | None) -> None:
        """Nothing more comes; None where it ended well."""
        self.ended, self.error = True, error
        self._wake()

    def leave(self) -> None:
        """One follower less; after the last one the work is cancelled."""
        self.followers -= 1
        if not self.followers and not self.ended and self.task is not None:
            # Nobody may join what is about to stop.
            self.forget()
            self.task.cancel()

    async def changed(self) -> None:
        """Until there is something new."""
        await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Run:
    """A transcription that was admitted, as one caller follows it; others may follow it too.

    A caller that does not read it to its end must `leave`; when the last one has left, the work is
    cancelled. Closing the iterator of `events`, or cancelling `result`, leaves.
    """

    def __init__(self, work: Work, outcome: CacheOutcome) -> None:
        self._work = work
        self._left = False
        self.outcome: Final = outcome
        """Whether it was in flight for somebody else, or known from before."""
        work.followers += 1

    @property
    def joined(self) -> bool:
        """Whether it was already in flight for somebody else."""
        return self.outcome is CacheOutcome.JOINED

    def position(self) -> int:
        """Its place in the line of transcriptions that wait, the next one's being 1; else 0."""
        return self._work.place.position() if self._work.place else 0

    async def events(self) -> AsyncGenerator[TranscriptionEvent]:
        """Everything from the start on, ending with `Finished`.

        Raises:
            VerbatimError: the transcription failed; every follower gets it.
        """
        work = self._work
        seen = 0
        try:
            while True:
                # What there is comes first: who joins late still sees everything.
                while seen < len(work.events):
                    seen += 1
                    yield work.events[seen - 1]
                if work.error is not None:
                    raise work.error
                if work.ended:
                    return
                await work.changed()
        finally:
            self.leave()

    async def result(self) -> Transcript:
        """Wait for the whole transcript; raises as `events` does."""
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.transcript
        raise InternalError("The transcription ended without a result; see the server's log.")

    def leave(self) -> None:
        """Stop following; a second call does nothing."""
        if not self._left:
            self._left = True
            self._work.leave()
