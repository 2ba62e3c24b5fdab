"""A stream of raw audio, as it comes in pieces of any size, to mono samples at 16 kHz.

What lies across the border of two pieces stays whole: half a sample waits for its other half, and
the resampler's filter goes on where it was. Its low-pass filter keeps what lies above 8 kHz from
coming back as a lower tone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from verbatim.domain.audio import PCM_FULL_SCALE, Samples
from verbatim.domain.errors import BadRequestError
from verbatim.domain.units import SAMPLE_RATE_HZ

MIN_RATE_HZ: Final = 4_000
MAX_RATE_HZ: Final = 192_000
MAX_CHANNELS: Final = 8
BLOCK_S: Final = 1.0
"""Longest block that comes out at once."""
FLOAT_RANGE: Final = 1.5
"""Floating-point audio lies within ±1, clipping aside."""
FLOAT_SHARE: Final = 0.95
SMALLEST_FLOAT: Final = 1e-12
"""No sound is so quiet; two 16-bit samples read as one float often are."""


class StreamEncoding(StrEnum):
    """How a sample is written; little-endian where that matters."""

    PCM16 = "pcm16"
    FLOAT32 = "float32"
    MULAW = "mulaw"
    ALAW = "alaw"


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """Raw audio on a wire; `encoding` None tells 16-bit integers and floats apart by looking."""

    encoding: StreamEncoding | None = StreamEncoding.PCM16
    rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1


def check(raw: StreamFormat) -> None:
    """Refuse a format that cannot be read.

    Raises:
        BadRequestError: which of its parts, and what it may be.
    """
    if not MIN_RATE_HZ <= raw.rate_hz <= MAX_RATE_HZ:
        raise BadRequestError(
            f"A sample rate of {raw.rate_hz} Hz cannot be read; give one from {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ}.",
            param="sample_rate",
        )
    if not 1 <= raw.channels <= MAX_CHANNELS:
        raise BadRequestError(
            f"{raw.channels} channels cannot be read; give a number from 1 to {MAX_CHANNELS}.",
            param="channels",
        )


class Resampler:
    """Mono samples of one rate to 16 kHz, by soxr's high-quality filter.

    Args:
        rate_hz: of what comes in.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._stream = None if rate_hz == SAMPLE_RATE_HZ else _new_stream(rate_hz)
        self._in = self._out = 0

    def feed(self, samples: Samples) -> Samples:
        """Samples (n,) at the given rate -> (m,) at 16 kHz; some are held back by the filter."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        self._in += len(samples)
        self._out += len(out)
        return out

    def flush(self) -> Samples:
        """What was held back; the whole run then has its exact length. A new run may follow."""
        if self._stream is None or self._in == 0:
            return np.zeros(0, np.float32)
        rest: Samples = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        due = round(self._in * SAMPLE_RATE_HZ / self._rate_hz) - self._out
        exact = np.pad(rest[: max(due, 0)], (0, max(due - len(rest), 0)))
        self._stream.clear()
        self._in = self._out = 0
        return exact


def _new_stream(rate_hz: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")


class RawStream:
    """Bytes of one raw stream to samples.

    Args:
        raw: the format; channels are averaged.

    Raises:
        BadRequestError: a format that cannot be read.
    """

    def __init__(self, raw: StreamFormat) -> None:
        check(raw)
        self._raw = raw
        self._encoding = raw.encoding
        self._resampler = Resampler(raw.rate_hz)
        self._rest = b""
        self._zeros = 0

    @property
    def encoding(self) -> StreamEncoding | None:
        """The encoding; None as long as it could not be told."""
        return self._encoding

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Take bytes in; gives blocks (n,) float32 within ±1 at 16 kHz, 1 s at most each."""
        if self._encoding is None:
            self._encoding = tell_encoding(data)
            if self._encoding is None:
                # Digital silence is the same in both; how many samples it is, is told later.
                self._zeros += len(data)
                return
        if self._zeros:
            yield from self._decode(bytes(self._zeros))
            self._zeros = 0
        yield from self._decode(data)

    def flush(self) -> Iterator[Samples]:
        """What the resampler held back, as when the speaker is done; more may follow.

        Half a sample is dropped.
        """
        if self._zeros:
            self._encoding = StreamEncoding.PCM16
            yield from self.feed(b"")
        self._rest = b""
        rest = self._resampler.flush()
        if len(rest):
            yield sanitised(rest)

    def _decode(self, data: bytes) -> Iterator[Samples]:
        encoding = self._encoding or StreamEncoding.PCM16
        frame_bytes = _SAMPLE_BYTES[encoding] * self._raw.channels
        # Whole frames only, in blocks: a huge message does not become many copies of itself.
        block_bytes = frame_bytes * round(self._raw.rate_hz * BLOCK_S)
        view = memoryview(data)
        at = 0
        if self._rest:
            at = min(-len(self._rest) % frame_bytes, len(view))
            joined = self._rest + bytes(view[:at])
            if len(joined) < frame_bytes:
                self._rest = joined
                return
            yield from self._block(joined, encoding)
        whole = at + (len(view) - at) // frame_bytes * frame_bytes
        self._rest = bytes(view[whole:])
        for first in range(at, whole, block_bytes):
            yield from self._block(view[first : min(first + block_bytes, whole)], encoding)

    def _block(self, data: bytes | memoryview, encoding: StreamEncoding) -> Iterator[Samples]:
        values = _values(data, encoding)
        if self._raw.channels > 1:
            values = values.reshape(-1, self._raw.channels).mean(axis=1, dtype=np.float32)
        samples = self._resampler.feed(np.ascontiguousarray(values))
        if len(samples):
            yield sanitised(samples)


def tell_encoding(data: bytes) -> StreamEncoding | None:
    """Whether bytes are floats or 16-bit integers; None where all are zero.

    They are floats where they come in fours and nearly all of them lie within ±1.5, none of them
    far below what can be heard.
    """
    if data.count(0) == len(data):
        return None
    if len(data) % 4:
        return StreamEncoding.PCM16
    sizes = np.abs(np.frombuffer(data, "<f4"))
    usual = (sizes == 0) | ((sizes >= SMALLEST_FLOAT) & (sizes <= FLOAT_RANGE))
    return StreamEncoding.FLOAT32 if usual.mean() >= FLOAT_SHARE else StreamEncoding.PCM16


def sanitised(samples: Samples) -> Samples:
    """Within ±1 and finite: a stream of floats can hold anything."""
    if samples.max(initial=0.0) <= 1.0 and samples.min(initial=0.0) >= -1.0:
        return samples
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    clipped: Samples = np.clip(finite, -1.0, 1.0)
    return clipped


def _values(data: bytes | memoryview, encoding: StreamEncoding) -> Samples:
    if encoding is StreamEncoding.FLOAT32:
        # A filter that is fed a single NaN gives nothing else for ever.
        return sanitised(np.frombuffer(data, "<f4").astype(np.float32))
    if encoding is StreamEncoding.PCM16:
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(PCM_FULL_SCALE)
    table = _MULAW if encoding is StreamEncoding.MULAW else _ALAW
    values: Samples = table[np.frombuffer(data, np.uint8)]
    return values


def _mulaw_table() -> Samples:
    """ITU-T G.711, µ-law: code (256,) to a value within ±1."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    size = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return _signed(size, negative=code >= 0x80)


def _alaw_table() -> Samples:
    """ITU-T G.711, A-law: code (256,) to a value within ±1."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    lowest = (mantissa << 4) + 8
    size = np.where(exponent > 0, (lowest + 0x100) << np.maximum(exponent - 1, 0), lowest)
    return _signed(size, negative=code < 0x80)


def _signed(size: NDArray[np.int32], *, negative: NDArray[np.bool_]) -> Samples:
    return (np.where(negative, -size, size) / PCM_FULL_SCALE).astype(np.float32)


_SAMPLE_BYTES: Final = {
    StreamEncoding.PCM16: 2,
    StreamEncoding.FLOAT32: 4,
    StreamEncoding.MULAW: 1,
    StreamEncoding.ALAW: 1,
}
_MULAW: Final = _mulaw_table()
_ALAW: Final = _alaw_table()
