"""Where every request for a transcription enters, whichever wire it came by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from verbatim.domain.events import TranscriptionEvent
from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript


def _nothing() -> None:
    return None


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
    release: Callable[[], None] = _nothing


class Run:
    """A transcription that was admitted. Several callers may follow the same one."""

    def events(self) -> AsyncIterator[TranscriptionEvent]:
        """Everything from the start on, ending with `Finished`.

        A follower that stops early (closes the iterator, is cancelled) leaves; when the last one
        has left, the work is cancelled.

        Raises:
            VerbatimError: the transcription failed; every follower gets it.
        """
        raise NotImplementedError

    async def result(self) -> Transcript:
        """Wait for the whole transcript; raises as `events` does."""
        raise NotImplementedError


class TranscriptionService:
    """Admits, joins, runs and cancels transcriptions."""

    async def start(self, recording: Recording, request: TranscriptionRequest) -> Run:
        """Admit the request and start it, or join an identical one in flight.

        `recording.release` is called in every case, also when this raises.

        Raises:
            OverloadedError: every place in the queue is taken.
            ModelNotFoundError: no such model.
            BadRequestError: the options do not fit the model.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop admitting, let what runs finish within the drain time, then free the models."""
        raise NotImplementedError
