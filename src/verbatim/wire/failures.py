"""What of a failure is told to a client, and what only to the log."""

from __future__ import annotations

import structlog

from verbatim.domain.errors import ErrorKind, InternalError, VerbatimError
from verbatim.wire.notes import RequestNotes

log = structlog.stdlib.get_logger(__name__)


def public_error(error: Exception, notes: RequestNotes) -> VerbatimError:
    """The error as a client may see it, noted down.

    A fault of ours is logged in full, and told as no more than the request's id.
    """
    shown = error if isinstance(error, VerbatimError) else None
    if shown is None or shown.kind is ErrorKind.INTERNAL:
        log.error("request failed", exc_info=error)
        shown = InternalError(
            "The server failed at this request. Its log tells more under the request id "
            f"{notes.request_id}."
        )
    notes.error = shown.kind
    return shown
