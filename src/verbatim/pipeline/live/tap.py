"""What a live session hears, written down for who looks for a fault."""

from __future__ import annotations

import asyncio
import io
import os
import wave
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from verbatim.domain.audio import Pcm
from verbatim.domain.errors import UnavailableError
from verbatim.domain.units import SAMPLE_RATE_HZ

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
"""Nobody else's ears."""
SAMPLE_BYTES: Final = 2
ID_CHARS: Final = 8
"""Of a session's id; all of it would let whoever lists the folder resume the session."""

log = structlog.stdlib.get_logger(__name__)


def open_folder(folder: Path) -> None:
    """Make the folder where there is none.

    Raises:
        UnavailableError: nothing can be written there.
    """
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "" if writable else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise UnavailableError(
            f"What live sessions hear cannot be written to {folder}: {reason}. Set debug_audio to "
            "another folder, or leave it out."
        )


class AudioTap:
    """One session's audio as a WAV file, which is whole at any time, 16 kHz mono.

    A disk that fails ends the file, not the session.

    Args:
        folder: from `open_folder`.
        session_id: part of it is in the file's name.
    """

    def __init__(self, folder: Path, session_id: str) -> None:
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        self._path = folder / f"{stamp}-{session_id[:ID_CHARS]}.wav"
        self._file: io.FileIO | None = None
        self._wave: wave.Wave_write | None = None
        self._over = False

    async def write(self, pcm: Pcm) -> None:
        """Append what was heard, (n,) int16."""
        await self._do(lambda: self._append(pcm))

    async def aclose(self) -> None:
        """End the file; what is written later is left out."""
        await self._do(self._close)
        self._over = True

    async def _do(self, work: Callable[[], None]) -> None:
        if self._over:
            return
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            self._over = True
            log.warning("the audio of a session is not written any more", reason=error.strerror)

    def _append(self, pcm: Pcm) -> None:
        if self._wave is None:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            self._file = io.FileIO(handle, "wb")
            self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - `_close` does it
            self._wave.setnchannels(1)
            self._wave.setsampwidth(SAMPLE_BYTES)
            self._wave.setframerate(SAMPLE_RATE_HZ)
        # Also brings the header's length up to date.
        self._wave.writeframes(pcm.astype("<i2", copy=False).tobytes())

    def _close(self) -> None:
        # It does not close a file that it was given.
        for part in (self._wave, self._file):
            if part is not None:
                part.close()
