"""Any recording as mono 16 kHz samples, a block at a time.

What comes in is taken to be hostile. libav (through PyAV) reads the given bytes and nothing else,
only containers and codecs on an allow-list are parsed, and output, rates, channels and the time it
takes are bounded while decoding, not by what a header says. Errors are ours, never libav's.

Times are counted from the start of the presentation, as players show them: audio that starts later
than the video, or leaves a gap, has silence there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import numpy as np

from verbatim.domain.audio import AudioInfo, Samples
from verbatim.domain.errors import (
    BadRequestError,
    EmptyAudioError,
    IncompleteAudioError,
    UndecodableAudioError,
    UnsupportedMediaError,
)
from verbatim.domain.transcript import TranscriptWarning
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.audio_source import (
    AudioSource,
    GuardedFile,
    open_source,
    size_of,
    skip_id3,
    unreadable,
)
from verbatim.stages.containers import (
    MP3_DEMUXER,
    MP4_DEMUXER,
    WAVE_OPTIONS,
    RawEncoding,
    RawFormat,
)
from verbatim.stages.damage import Damage, truncated_warning
from verbatim.stages.decode_limits import Budget, DecodeLimits
from verbatim.stages.index_claims import IndexClaims
from verbatim.stages.mono import MonoConverter, shape_of
from verbatim.stages.outlines import Outline, read_outline
from verbatim.stages.timeline import Timeline
from verbatim.stages.track import NO_OPTIONS, Track

__all__ = [
    "AudioReader",
    "AudioSource",
    "DecodeLimits",
    "RawEncoding",
    "RawFormat",
    "decode_all",
    "open_audio",
]

SHORTFALL_S: Final = 0.1
"""A file that has so much less than its header counted was cut."""


def open_audio(
    source: AudioSource,
    *,
    limits: DecodeLimits | None = None,
    raw: RawFormat | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AudioReader:
    """Open a recording and look at its header.

    Args:
        source: a path, the bytes of a file, or a seekable binary file, which stays open.
        limits: bounds on what comes out and what it costs; the defaults if None.
        raw: the format of headerless PCM; None for a file that says what it is.
        clock: seconds, monotonic; measures the decoder's work.

    Returns:
        The reader; close it, or use it as a context.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: the source cannot be opened, or `raw` makes
            no sense.
        UnsupportedMediaError: no audio that can be read; the subclass says why.
        TooLargeError: opening it takes too long.
    """
    limits = limits or DecodeLimits()
    if raw is not None:
        _check_raw(raw, limits)
    with ExitStack() as opened:
        file = open_source(source, opened)
        try:
            size = size_of(file)
            start = 0 if raw is not None else skip_id3(file)
            if start >= size:
                raise EmptyAudioError(
                    f"The file has {size} bytes and no audio in them. Check that it was sent whole."
                )
            outline = Outline() if raw is not None else read_outline(file, size, start)
        except OSError as error:
            raise unreadable(error) from error
        budget = Budget(limits, clock, size)
        with budget.running():
            guarded = GuardedFile(file, budget.check_time, start)
            guarded.watch = IndexClaims(size).watch
            options = WAVE_OPTIONS if outline.is_wave else NO_OPTIONS
            track = Track(guarded, outline, raw, budget.check_time, options)
        opened.callback(track.close)
        if track.info.container != MP4_DEMUXER:
            guarded.watch = None
        _check_shape(track.info.sample_rate_hz, track.info.channels, limits)
        return AudioReader(track, outline, limits, budget, opened.pop_all())


class AudioReader:
    """Gives a recording as blocks of samples (n,), float32, mono at 16 kHz, within ±1.

    All blocks are `DecodeLimits.block_s` long but the last. Use it in one thread at a time.

    Attributes:
        info: what the header says.
        samples_read: samples given so far.
    """

    def __init__(
        self,
        track: Track,
        outline: Outline,
        limits: DecodeLimits,
        budget: Budget,
        opened: ExitStack,
    ) -> None:
        self.info: Final[AudioInfo] = track.info
        self.samples_read = 0
        self._track = track
        self._outline = outline
        self._limits = limits
        self._budget = budget
        self._opened = opened
        self._damage = Damage()
        self._warnings: tuple[TranscriptWarning, ...] = ()
        self._blocks = self._cut_blocks()

    @property
    def warnings(self) -> tuple[TranscriptWarning, ...]:
        """What is wrong with the file; known once all blocks are read."""
        return self._warnings

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Samples:
        """The next block.

        Raises:
            AudioTooLongError: there is more than the limits allow.
            DecodingTooSlowError: it takes longer than the limits allow.
            EmptyAudioError, IncompleteAudioError, UndecodableAudioError: at the end, nothing came.
            UnsupportedMediaError: a rate or a layout that is not read turned up.
        """
        with self._budget.running():
            block = next(self._blocks)
        self.samples_read += len(block)
        return block

    def close(self) -> None:
        """Free libav's memory, and the file where it was opened here. Twice is fine."""
        self._blocks.close()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _cut_blocks(self) -> Generator[Samples]:
        block_samples = round(self._limits.block_s * SAMPLE_RATE_HZ)
        parts: list[Samples] = []
        held = 0
        for piece in self._pieces(block_samples):
            self._budget.count(len(piece))
            parts.append(piece)
            held += len(piece)
            if held < block_samples:
                continue
            joined = np.concatenate(parts)
            whole = held - held % block_samples
            for first in range(0, whole, block_samples):
                yield joined[first : first + block_samples]
            parts = [joined[whole:].copy()]
            held -= whole
        if held:
            yield np.concatenate(parts)
        self._warnings = self._look_back()

    def _pieces(self, longest: int) -> Iterator[Samples]:
        """Samples as they come, with silence where the timestamps leave a gap."""
        timeline = Timeline(self._track.start_s, self._limits.max_gap_s)
        converter: MonoConverter | None = None
        start_s = 0.0
        failures = 0
        for frame, stamp_s in self._track.frames():
            position_s = start_s + (converter.duration_s if converter else 0.0)
            damaged = self._track.failures > failures
            failures = self._track.failures
            gap_s = timeline.gap_s(stamp_s, position_s, damaged=damaged)
            if damaged or (gap_s and converter is not None):
                self._damage = self._damage.with_hole(position_s, gap_s)
            if gap_s or converter is None or shape_of(frame) != converter.shape:
                if converter is not None:
                    yield from converter.finish()
                yield from _silence(round(gap_s * SAMPLE_RATE_HZ), longest)
                start_s = position_s + gap_s
                _check_shape(frame.sample_rate, frame.layout.nb_channels, self._limits)
                converter = MonoConverter(frame)
            yield from converter.feed(frame)
        if converter is not None:
            yield from converter.finish()

    def _look_back(self) -> tuple[TranscriptWarning, ...]:
        """What there is to say at the end.

        Raises:
            EmptyAudioError, IncompleteAudioError, UndecodableAudioError: nothing came out.
        """
        track, end_s = self._track, self.samples_read / SAMPLE_RATE_HZ
        if not self.samples_read:
            raise self._nothing()
        damaged = self._damage.warning(track.failures - track.failing)
        # Tags after the last frame of an MP3 look like damage and are none.
        broke_off = track.failing > 0 and track.info.container != MP3_DEMUXER
        short = track.counted_s is not None and end_s < track.counted_s - SHORTFALL_S
        cut = self._outline.cut or broke_off or short
        truncated = truncated_warning(end_s, track.counted_s) if cut else None
        return tuple(warning for warning in (damaged, truncated) if warning is not None)

    def _nothing(self) -> UnsupportedMediaError:
        if self._track.failures:
            return UndecodableAudioError(
                "The audio is damaged: no part of it could be decoded. Check that the file plays, "
                "or convert it again from the original."
            )
        if self._outline.cut:
            return IncompleteAudioError(
                "The file is incomplete: it breaks off before any audio. Upload it again."
            )
        return EmptyAudioError("The file has an audio track with nothing in it. Record it again.")


def decode_all(
    source: AudioSource,
    *,
    limits: DecodeLimits | None = None,
    raw: RawFormat | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Samples, AudioInfo, tuple[TranscriptWarning, ...]]:
    """A short recording at once: samples (n,), what the header says, and what is wrong with it.

    Takes and raises what `open_audio` and `AudioReader` do.
    """
    with open_audio(source, limits=limits, raw=raw, clock=clock) as reader:
        samples = np.concatenate(list(reader))
        return samples, reader.info, reader.warnings


def _silence(samples: int, longest: int) -> Iterator[Samples]:
    for first in range(0, samples, longest):
        yield np.zeros(min(longest, samples - first), np.float32)


def _check_shape(rate_hz: int, channels: int, limits: DecodeLimits) -> None:
    """Raise for what is out of bounds; 0 means not known yet."""
    if rate_hz and not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise UnsupportedMediaError(
            f"The audio has {rate_hz} samples a second; from {limits.min_rate_hz} to "
            f"{limits.max_rate_hz} can be read. Convert it to 16000.",
            code="unsupported_sample_rate",
        )
    if channels > limits.max_channels:
        raise UnsupportedMediaError(
            f"The audio has {channels} channels; up to {limits.max_channels} can be read. "
            "Convert it to mono.",
            code="unsupported_channels",
        )


def _check_raw(raw: RawFormat, limits: DecodeLimits) -> None:
    if raw.encoding not in set(RawEncoding):
        raise BadRequestError(
            f"'{raw.encoding}' is no encoding of raw audio; use one of {', '.join(RawEncoding)}.",
            param="encoding",
        )
    if not limits.min_rate_hz <= raw.sample_rate_hz <= limits.max_rate_hz:
        raise BadRequestError(
            f"A sample rate of {raw.sample_rate_hz} Hz cannot be read; give one from "
            f"{limits.min_rate_hz} to {limits.max_rate_hz}.",
            param="sample_rate",
        )
    if not 1 <= raw.channels <= limits.max_channels:
        raise BadRequestError(
            f"{raw.channels} channels cannot be read; give a number from 1 to "
            f"{limits.max_channels}.",
            param="channels",
        )
