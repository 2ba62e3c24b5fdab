"""What of a failure is told to a client, and what only to the log."""

from __future__ import annotations

import structlog

from verbatim.domain.errors import ErrorKind, InternalError, VerbatimError
from verbatim.wire.notes import RequestNotes

log = structlog.stdlib.get_logger(__name__)


def public_error(error: Exception, notes: RequestNotes) -> VerbatimError:
    """The error as a client may see it, noted down.

    A fault of ours is logged in full. It is told with the request's id; with what it says itself
    only where it has a code, which is given to what is known and has a message for users.
    """
    shown = error if isinstance(error, VerbatimError) else None
    if shown is None or shown.kind is ErrorKind.INTERNAL:
        log.error("request failed", exc_info=error)
        code = shown.code if shown else None
        what = shown.message if shown and code else "The server failed at this request."
        shown = InternalError(
            f"{what} The server's log tells more under the request id {notes.request_id}.",
            code=code,
        )
    notes.error = shown.kind
    return shown
