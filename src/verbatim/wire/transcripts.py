"""From an upload to its transcript, for dialects that answer once, with the whole."""

from __future__ import annotations

from starlette.requests import Request

from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.service import Recording
from verbatim.wire.context import Context
from verbatim.wire.disconnect import while_connected
from verbatim.wire.guard import caller_of
from verbatim.wire.notes import notes_of
from verbatim.wire.spool import Upload


async def transcript_of(
    request: Request, context: Context, upload: Upload, wanted: TranscriptionRequest
) -> Transcript:
    """Transcribe an upload for the caller of a guarded route, unless they leave first.

    The upload is released in every case, and the request's notes are filled in.

    Raises:
        VerbatimError: as `TranscriptionService.start` and `Run.events`.
        ClientDisconnect: the client left.
    """
    started_s = context.clock()
    recording = Recording(upload.path, upload.digest, upload.release)
    run = await context.service.start(recording, wanted, caller_of(request.scope).owner)
    try:
        transcript = await while_connected(request.receive, run.result())
    finally:
        run.leave()
    notes_of(request.scope).on_transcript(transcript, context.clock() - started_s)
    return transcript
