"""A file that comes over the WebSocket, in as many messages as the client likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verbatim.dialects.fastwhisper import texts
from verbatim.domain.errors import BadRequestError, SlowUploadError, TooLargeError
from verbatim.domain.request import TranscriptionRequest
from verbatim.wire.context import Context
from verbatim.wire.spool import SpoolWriter, Upload


@dataclass(frozen=True, slots=True)
class _Begun:
    writer: SpoolWriter
    at_s: float


class ReceivedFile:
    """Takes a place in the spool from its first byte on; `finish` or `discard` it.

    Args:
        context: the spool, the limits and the pace.
        wanted: how to transcribe it.
    """

    def __init__(self, context: Context, wanted: TranscriptionRequest) -> None:
        self._context = context
        self.wanted: Final = wanted
        self._begun: _Begun | None = None

    @property
    def idle_s(self) -> float | None:
        """How long the next message may take; before the first it costs nothing to wait."""
        return self._context.pace.idle_s if self._begun else None

    async def write(self, data: bytes) -> None:
        """More of it.

        Raises:
            TooLargeError: it is over the limit of uploads.
            SlowUploadError: the client all but stopped sending.
            OverloadedError: there are too many uploads.
            StorageFullError: the disk is full.
        """
        if not data:
            return
        if self._begun is None:
            self._begun = _Begun(self._context.spool.open(), self._context.clock())
        writer, pace = self._begun.writer, self._context.pace
        limit = self._context.settings.max_upload_bytes
        if writer.size_bytes + len(data) > limit:
            raise TooLargeError(texts.too_large(limit))
        await writer.write(data)
        elapsed_s = self._context.clock() - self._begun.at_s
        if elapsed_s > pace.grace_s and writer.size_bytes < elapsed_s * pace.floor_bytes_per_s:
            raise SlowUploadError(texts.FILE_TIMEOUT)

    async def finish(self) -> Upload:
        """All of it, which the caller releases.

        Raises:
            BadRequestError: nothing came.
            StorageFullError: the disk is full.
        """
        if self._begun is None:
            raise BadRequestError(texts.NO_FILE)
        upload = await self._begun.writer.finish()
        self._begun = None
        return upload

    def discard(self) -> None:
        """Forget it, unless it was finished."""
        if self._begun is not None:
            self._begun.writer.discard()
            self._begun = None
