"""A container (WebM, Ogg, WAV, MP3 …) that arrives piece by piece, decoded as it comes.

libav pulls and a wire pushes, so libav runs in a thread of its own and waits at a pipe. What is
said of hostile files in `decode_audio` holds here too: the same allow-lists, no second file, and
bounds on what comes out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

import av
import numpy as np

from verbatim.domain.audio import Samples
from verbatim.domain.errors import (
    AudioTooLongError,
    EmptyAudioError,
    UnsupportedMediaError,
    VerbatimError,
)
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.containers import LIVE_OPTIONS
from verbatim.stages.outlines import Outline
from verbatim.stages.raw_stream import (
    MAX_CHANNELS,
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    Resampler,
    sanitised,
)
from verbatim.stages.track import LIBAV_FAILURES, Track

MAX_PIPE_BYTES: Final = 256 * 1024
MAX_READY_S: Final = 30.0
"""Decoded audio that nobody took yet; the thread waits beyond it."""
MAX_AUDIO_S_PER_BYTE: Final = 1.0
"""Sound for a byte; speech in Opus at 6 kbit/s has 0.0013, digital silence in FLAC 0.6."""
UNPACK_GRACE_S: Final = 600.0
OPUS_RATE_HZ: Final = 48_000


class _NobodyListensError(Exception):
    """Nobody wants the audio any more."""


class _Pipe:
    """The file that libav reads: blocks until there is something, and cannot seek."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self.total_bytes = 0

    def write(self, data: bytes) -> None:
        """Add bytes; waits while the pipe is full."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < MAX_PIPE_BYTES or self._ended)
            if data and not self._ended:
                self._pieces.append(data)
                self._held += len(data)
                self.total_bytes += len(data)
                self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will be written."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._ended)
            if not self._held:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            self._held -= len(piece)
            self._changed.notify_all()
            return piece

    def raise_failure(self) -> None:
        """Nothing can fail here."""


class ContainerStream:
    """Bytes of one container to samples; calls block, so make them from a thread.

    `feed` gives what was decoded so far, which is behind the bytes by what libav wants to see
    first. `finish` gives all the rest.
    """

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._changed = threading.Condition()
        self._ready: deque[Samples] = deque()
        self._ready_samples = 0
        self._given_samples = 0
        self._failure: VerbatimError | None = None
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="container-stream", daemon=True)
        self._thread.start()

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Take bytes in; gives the blocks (n,) float32 within ±1 at 16 kHz that are ready.

        Raises:
            UnsupportedMediaError: not audio that can be read.
            TooLargeError: it unpacks to more than any recording does.
        """
        for first in range(0, len(data), MAX_PIPE_BYTES):
            self._pipe.write(data[first : first + MAX_PIPE_BYTES])
            yield from self._take()
        self._raise_failure()

    def ready(self) -> Iterator[Samples]:
        """What was decoded and not taken yet. Raises as `feed` does."""
        yield from self._take()
        self._raise_failure()

    def finish(self) -> Iterator[Samples]:
        """The bytes have ended: wait for what is still to come. Raises as `feed` does."""
        self._pipe.end()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._ended)
                over = self._ended and not self._ready
            if over:
                break
            yield from self._take()
        self._raise_failure()

    def close(self) -> None:
        """End the thread; twice is fine."""
        self._pipe.end()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _take(self) -> Iterator[Samples]:
        while True:
            with self._changed:
                if not self._ready:
                    return
                block = self._ready.popleft()
                self._ready_samples -= len(block)
                self._changed.notify_all()
            yield block

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for block in self._blocks():
                self._give(block)
        except _NobodyListensError:
            pass
        except VerbatimError as error:
            self._failure = error
        finally:
            # What is still written has nobody to read it, and must not wait.
            self._pipe.end()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _give(self, block: Samples) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._ready_samples < MAX_READY_S * SAMPLE_RATE_HZ or self._closed
            )
            if self._closed:
                raise _NobodyListensError
            self._ready.append(block)
            self._ready_samples += len(block)
            self._given_samples += len(block)
            given_s = self._given_samples / SAMPLE_RATE_HZ
            self._changed.notify_all()
        if given_s > UNPACK_GRACE_S + MAX_AUDIO_S_PER_BYTE * self._pipe.total_bytes:
            raise AudioTooLongError(
                "The stream unpacks to more sound than any recording does; send it uncompressed."
            )

    def _blocks(self) -> Iterator[Samples]:
        track = Track(self._pipe, Outline(), None, self._go_on, LIVE_OPTIONS)
        try:
            resampler: Resampler | None = None
            rate_hz = 0
            for frame, _ in track.frames():
                if frame.sample_rate != rate_hz:
                    if resampler is not None:
                        yield resampler.flush()
                    rate_hz = frame.sample_rate
                    resampler = Resampler(_checked_rate(rate_hz))
                if resampler is not None:
                    yield resampler.feed(mono(frame))
            if resampler is None:
                raise EmptyAudioError("The stream ended before any audio in it could be decoded.")
            yield resampler.flush()
        finally:
            track.close()

    def _go_on(self) -> None:
        if self._closed:
            raise _NobodyListensError


class OpusPackets:
    """A stream of bare Opus packets (RFC 6716), one in each message, to samples."""

    def __init__(self) -> None:
        self._decoder = av.CodecContext.create("opus", "r")
        self._decoder.sample_rate = OPUS_RATE_HZ
        # Packets of one channel sound on both.
        self._decoder.layout = "stereo"
        self._resampler = Resampler(OPUS_RATE_HZ)

    def feed(self, data: bytes) -> Iterator[Samples]:
        """One packet, to a block (n,) float32 at 16 kHz; an empty one gives nothing.

        Raises:
            UnsupportedMediaError: the bytes are no Opus packet.
        """
        if not data:
            return
        try:
            frames = self._decoder.decode(av.Packet(data))
        except LIBAV_FAILURES as error:
            raise UnsupportedMediaError(
                "A message is no Opus packet; send one packet in each message, or Ogg Opus.",
                code="not_audio",
            ) from error
        for frame in frames:
            yield self._resampler.feed(mono(frame))

    def flush(self) -> Iterator[Samples]:
        """What the resampler held back."""
        yield self._resampler.flush()


def mono(frame: av.AudioFrame) -> Samples:
    """A decoded frame's channels averaged: (n,) float32 within ±1."""
    channels = frame.layout.nb_channels
    if channels > MAX_CHANNELS:
        raise UnsupportedMediaError(
            f"The audio has {channels} channels; up to {MAX_CHANNELS} can be read.",
            code="unsupported_channels",
        )
    values = frame.to_ndarray()
    # Planar formats are (channels, n), packed ones (1, n * channels).
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    if values.dtype.kind == "u":
        scaled = (values.astype(np.float32) - 128.0) / 128.0
    elif values.dtype.kind == "i":
        scaled = values.astype(np.float32) / np.float32(-float(np.iinfo(values.dtype).min))
    else:
        scaled = values.astype(np.float32)
    mixed: Samples = np.ascontiguousarray(scaled.mean(axis=0, dtype=np.float32))
    return sanitised(mixed)


def _checked_rate(rate_hz: int) -> int:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise UnsupportedMediaError(
            f"The audio has {rate_hz} samples a second; from {MIN_RATE_HZ} to {MAX_RATE_HZ} can "
            "be read.",
            code="unsupported_sample_rate",
        )
    return rate_hz
