"""The form of `POST /v1/transcripts`."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from verbatim.domain.request import Task
from verbatim.wire.decode_form import HintedForm
from verbatim.wire.sse import EVENT_STREAM

FILE_HELP: Final = (
    "The recording: wav, mp3, flac, ogg, opus, m4a, aac, mp4, mov, mkv, webm, wma, amr, aiff."
)


class TranscriptForm(HintedForm):
    """What may be asked."""

    task: Task = Field(
        Task.TRANSCRIBE, description="The words as spoken, or their English translation."
    )
    word_timestamps: bool = Field(True, description="Find each word's time.")
    stream: bool | None = Field(
        None,
        description="Answer with events while the text is written; if not given, as the header "
        f"Accept says ({EVENT_STREAM}).",
    )

    def wanted_task(self) -> Task:
        """What to write down."""
        return self.task

    def streams(self, accept: str) -> bool:
        """Whether events are asked for, given the header `Accept`."""
        return EVENT_STREAM in accept.lower() if self.stream is None else self.stream
