"""What a dialect notes about a request, for the log and the metrics."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from verbatim.domain.errors import ErrorKind
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.result_cache import CacheOutcome

NOTES_KEY: Final = "verbatim.notes"
"""Where the notes lie in the ASGI scope."""


@dataclass(slots=True)
class RequestNotes:
    """Filled in while a request is served, read once at its end. Never text or file names."""

    request_id: str = ""
    dialect: str = ""
    key_id: str | None = None
    error: ErrorKind | None = None
    upload_bytes: int = 0
    audio_s: float | None = None
    transcription_s: float | None = None
    model: str | None = None
    language: str | None = None
    cache: CacheOutcome | None = None

    def on_transcript(self, transcript: Transcript, took_s: float) -> None:
        """Note what was transcribed, and in what time, waiting included."""
        self.audio_s = transcript.duration_s
        self.transcription_s = took_s
        self.model = transcript.model
        self.language = transcript.language


def notes_of(scope: MutableMapping[str, Any]) -> RequestNotes:
    """The notes of this request; made where nobody did so far."""
    notes = scope.setdefault(NOTES_KEY, RequestNotes())
    if not isinstance(notes, RequestNotes):
        raise TypeError(f"{NOTES_KEY} holds a {type(notes).__name__}")
    return notes
