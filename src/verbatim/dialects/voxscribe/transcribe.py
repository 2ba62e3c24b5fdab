"""`POST /transcribe`, for a server on which no other dialect has it."""

from __future__ import annotations

from pydantic import BaseModel, Field
from starlette.requests import Request

from verbatim.domain.transcript import Transcript
from verbatim.render.options import seconds
from verbatim.wire.context import Context
from verbatim.wire.task_form import TaskForm
from verbatim.wire.transcripts import transcript_of
from verbatim.wire.uploads import receive_form, required_file


class SaidSegment(BaseModel):
    """A stretch of text; times are seconds from the start of the recording."""

    start: float
    end: float
    text: str


class Warned(BaseModel):
    """What the reader should know."""

    code: str
    message: str


class Answer(BaseModel):
    """A transcription."""

    text: str
    language: str = Field(description="A code, such as en.")
    segments: list[SaidSegment]
    warnings: list[Warned] | None = Field(None, description="Left out where there are none.")


class TranscribeRoute:
    """The endpoint.

    Args:
        context: of the application.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def serve(self, request: Request) -> Answer:
        """Write down what is said in a file."""
        form = await receive_form(request, self._context)
        try:
            upload = required_file(form)
            wanted = TaskForm.read(form.fields).request()
        except BaseException:
            form.discard()
            raise
        return answer(await transcript_of(request, self._context, upload, wanted))


def answer(transcript: Transcript) -> Answer:
    """A transcript as VoxScribe tells it."""
    return Answer(
        text=transcript.text,
        language=transcript.language,
        segments=[
            SaidSegment(
                start=seconds(segment.start),
                end=max(seconds(segment.start), seconds(segment.end)),
                text=segment.text.strip(),
            )
            for segment in transcript.segments
        ],
        warnings=[Warned(code=w.code.value, message=w.message) for w in transcript.warnings]
        or None,
    )
