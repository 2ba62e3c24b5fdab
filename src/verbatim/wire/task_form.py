"""The fields of `POST /transcribe`, which two of the older servers have."""

from __future__ import annotations

from pydantic import Field

from verbatim.domain.request import Task
from verbatim.wire.decode_form import DecodeForm


class TaskForm(DecodeForm):
    """The fields beside the file."""

    task: Task = Field(Task.TRANSCRIBE, description="The words as spoken, or in English.")
    return_segments: bool = Field(
        True, description="Understood, and of no effect: the answer always has its segments."
    )

    def wanted_task(self) -> Task:
        """What to write down."""
        return self.task
