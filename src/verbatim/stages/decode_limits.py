"""How much a file may cost: seconds of sound, seconds of work, and sound for its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from verbatim.domain.errors import AudioTooLongError, DecodingTooSlowError
from verbatim.domain.units import SAMPLE_RATE_HZ

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds on what is decoded; they hold for what comes out, whatever a header claims."""

    max_duration_s: float = 12 * HOUR_S
    min_rate_hz: int = 8_000
    max_rate_hz: int = 384_000
    max_channels: int = 64
    max_work_s_per_s: float = 0.25
    """Seconds of decoding for a second of sound; 0.003 is usual, ten times that under load."""
    work_grace_s: float = 30.0
    """Seconds of decoding that any file gets."""
    max_audio_s_per_byte: float = 1.0
    """Sound for a byte of the file; digital silence in FLAC reaches 0.6."""
    unpack_grace_s: float = 600.0
    """Seconds of sound that any file may unpack to."""
    max_gap_s: float = 600.0
    """A longer jump of the timestamps is taken for an error in them, not for silence."""
    block_s: float = 10.0
    """Length of the blocks that come out."""


class Budget:
    """What a file has cost so far. Only time inside `running` counts, not the caller's.

    Args:
        limits: the bounds.
        clock: seconds, monotonic.
        file_bytes: the file's length.
    """

    def __init__(self, limits: DecodeLimits, clock: Callable[[], float], file_bytes: int) -> None:
        self._limits = limits
        self._clock = clock
        self._file_bytes = file_bytes
        self._samples = 0
        self._worked_s = 0.0
        self._since_s: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """While this is entered, work is done on the file."""
        self._since_s = self._clock()
        try:
            yield
        finally:
            self._worked_s += self._clock() - self._since_s
            self._since_s = None

    def check_time(self) -> None:
        """Raise when the work is out of proportion to the sound.

        Raises:
            DecodingTooSlowError: it is.
        """
        running_s = 0.0 if self._since_s is None else self._clock() - self._since_s
        worked_s, audio_s = self._worked_s + running_s, self._samples / SAMPLE_RATE_HZ
        if worked_s > self._limits.work_grace_s + self._limits.max_work_s_per_s * audio_s:
            raise DecodingTooSlowError(
                f"Decoding was stopped after {worked_s:.0f} s of work for {audio_s:.0f} s of sound:"
                " the file is damaged, or the server is far too busy. Convert the file to WAV or "
                "FLAC and try again."
            )

    def count(self, samples: int) -> None:
        """Add samples that came out.

        Raises:
            AudioTooLongError: there are more than may be, in all or for the file's size.
        """
        self._samples += samples
        audio_s = self._samples / SAMPLE_RATE_HZ
        if audio_s > self._limits.max_duration_s:
            raise AudioTooLongError(
                f"The audio is longer than {_spoken(self._limits.max_duration_s)}, the most that is"
                " accepted here. Split it into shorter files, or ask for a higher limit "
                "(max_audio_s)."
            )
        unpacked_s = self._limits.max_audio_s_per_byte * self._file_bytes
        if audio_s > self._limits.unpack_grace_s + unpacked_s:
            raise AudioTooLongError(
                f"The file has only {self._file_bytes} bytes and unpacks to more than "
                f"{_spoken(audio_s)} of sound, which no recording does. Convert it to WAV or FLAC "
                "and try again."
            )


def _spoken(seconds: float) -> str:
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or f"{seconds:g} s"
