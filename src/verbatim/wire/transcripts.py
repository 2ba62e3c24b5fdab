"""From an upload to its transcript, the same for every dialect."""

from __future__ import annotations

from starlette.requests import Request

from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.pipeline.service import Recording, Run
from verbatim.wire.caching import caching_of
from verbatim.wire.context import Context
from verbatim.wire.disconnect import while_connected
from verbatim.wire.guard import caller_of
from verbatim.wire.notes import notes_of
from verbatim.wire.spool import Upload


async def start_run(
    request: Request, context: Context, upload: Upload, wanted: TranscriptionRequest
) -> Run:
    """Have an upload transcribed for the caller of a guarded route; the upload is released.

    What the request says of kept results is heeded, and what came of it is noted: the server
    tells it in a header.

    Raises:
        VerbatimError: as `TranscriptionService.start`.
    """
    recording = Recording(upload.path, upload.digest, upload.release)
    owner, caching = caller_of(request.scope).owner, caching_of(request.headers)
    run = await context.service.start(recording, wanted, owner, caching)
    notes_of(request.scope).cache = run.outcome
    return run


async def transcript_of(
    request: Request, context: Context, upload: Upload, wanted: TranscriptionRequest
) -> Transcript:
    """Transcribe an upload for the caller of a guarded route, unless they leave first.

    The upload is released in every case, and the request's notes are filled in.

    Raises:
        VerbatimError: as `start_run` and `Run.events`.
        ClientDisconnect: the client left.
    """
    started_s = context.clock()
    run = await start_run(request, context, upload, wanted)
    try:
        transcript = await while_connected(request.receive, run.result())
    finally:
        run.leave()
    notes_of(request.scope).on_transcript(transcript, context.clock() - started_s)
    return transcript
