"""The audio of a live wire, whatever its format, as samples for a session.

    async with open_live_audio(LiveFormat(LiveEncoding.MULAW, 8_000)) as audio:
        async for samples in audio.feed(message):
            await session.feed(samples)
        ...
        async for samples in audio.flush():   # before session.commit()
            await session.feed(samples)
        ...
        async for samples in audio.finish():  # before session.finish()
            await session.feed(samples)

Resamplers hold some audio back, up to a tenth of a second; `flush` brings it out, so that a commit
covers everything that was sent before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, Self

from verbatim.domain.audio import Samples
from verbatim.domain.errors import UnsupportedMediaError
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.container_stream import ContainerStream, OpusPackets
from verbatim.stages.raw_stream import RawStream, StreamEncoding, StreamFormat

OGG_MAGIC: Final = b"OggS"


class LiveEncoding(StrEnum):
    """How a wire's audio is coded."""

    AUTO = "auto"
    """16-bit integers or floats, told apart by looking at them."""
    PCM16 = "pcm16"
    FLOAT32 = "float32"
    MULAW = "mulaw"
    ALAW = "alaw"
    OPUS = "opus"
    """Ogg Opus, or one bare packet in each message."""
    CONTAINER = "container"
    """A file as it is written: WebM, Ogg, WAV, MP3, FLAC …; says its rate itself."""


@dataclass(frozen=True, slots=True)
class LiveFormat:
    """What comes over the wire. Rate and channels count for raw audio only."""

    encoding: LiveEncoding = LiveEncoding.PCM16
    rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1


class _Decoder(Protocol):
    """Bytes to blocks of samples; may block for as long as decoding takes."""

    def feed(self, data: bytes) -> Iterator[Samples]: ...

    def flush(self) -> Iterator[Samples]: ...

    def finish(self) -> Iterator[Samples]: ...

    def close(self) -> None: ...


class LiveAudio:
    """One stream from bytes to samples, (n,) float32 within ±1, mono at 16 kHz.

    Use it from one task. It does its work in threads where that may take long.
    """

    def __init__(self, decoder: _Decoder, *, in_thread: bool) -> None:
        self._decoder = decoder
        self._in_thread = in_thread

    async def feed(self, data: bytes) -> AsyncGenerator[Samples]:
        """Take a message in; gives blocks of at most about a second, none that are empty.

        Raises:
            UnsupportedMediaError: not audio of the declared format.
            TooLargeError: it unpacks to more than any recording does.
        """
        async for block in self._blocks(self._decoder.feed(data)):
            yield block

    async def flush(self) -> AsyncGenerator[Samples]:
        """What was held back of what was fed; more may follow. Raises as `feed` does.

        Of a container it is only what could be decoded so far.
        """
        async for block in self._blocks(self._decoder.flush()):
            yield block

    async def finish(self) -> AsyncGenerator[Samples]:
        """The stream has ended: all that is left of it. Raises as `feed` does."""
        async for block in self._blocks(self._decoder.finish()):
            yield block

    async def aclose(self) -> None:
        """Free the decoder; twice is fine."""
        await asyncio.to_thread(self._decoder.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def _blocks(self, blocks: Iterator[Samples]) -> AsyncGenerator[Samples]:
        while True:
            if self._in_thread:
                block = await asyncio.to_thread(next, blocks, None)
            else:
                block = next(blocks, None)
            if block is None:
                return
            if len(block):
                yield block


def open_live_audio(form: LiveFormat) -> LiveAudio:
    """A decoder for one stream of this format; close it, or use it as a context.

    Raises:
        BadRequestError: a rate or a number of channels that cannot be read.
    """
    if form.encoding is LiveEncoding.CONTAINER:
        return LiveAudio(_Container(), in_thread=True)
    if form.encoding is LiveEncoding.OPUS:
        return LiveAudio(_Opus(), in_thread=True)
    encoding = None if form.encoding is LiveEncoding.AUTO else StreamEncoding(form.encoding.value)
    return LiveAudio(_Raw(StreamFormat(encoding, form.rate_hz, form.channels)), in_thread=False)


class _Raw:
    def __init__(self, form: StreamFormat) -> None:
        self._stream = RawStream(form)

    def feed(self, data: bytes) -> Iterator[Samples]:
        return self._stream.feed(data)

    def flush(self) -> Iterator[Samples]:
        return self._stream.flush()

    def finish(self) -> Iterator[Samples]:
        return self._stream.flush()

    def close(self) -> None:
        """Nothing is held."""


class _Container:
    """Begins with the first bytes, so that a stream which never has any costs no thread."""

    def __init__(self) -> None:
        self._stream: ContainerStream | None = None
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Samples]:
        if self._ended:
            raise UnsupportedMediaError(
                "The container has ended; open another stream for more audio.", code="stream_ended"
            )
        if self._stream is None and data:
            self._stream = ContainerStream()
        if self._stream is not None:
            yield from self._stream.feed(data)

    def flush(self) -> Iterator[Samples]:
        if self._stream is not None:
            yield from self._stream.ready()

    def finish(self) -> Iterator[Samples]:
        if self._stream is not None and not self._ended:
            self._ended = True
            yield from self._stream.finish()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class _Opus:
    """Looks at the first message to tell Ogg from bare packets."""

    def __init__(self) -> None:
        self._container: _Container | None = None
        self._packets: OpusPackets | None = None

    def feed(self, data: bytes) -> Iterator[Samples]:
        if self._container is None and self._packets is None and data:
            if data.startswith(OGG_MAGIC):
                self._container = _Container()
            else:
                self._packets = OpusPackets()
        if self._container is not None:
            yield from self._container.feed(data)
        elif self._packets is not None:
            yield from self._packets.feed(data)

    def flush(self) -> Iterator[Samples]:
        if self._container is not None:
            yield from self._container.flush()
        elif self._packets is not None:
            yield from self._packets.flush()

    def finish(self) -> Iterator[Samples]:
        if self._container is not None:
            yield from self._container.finish()
        elif self._packets is not None:
            yield from self._packets.flush()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
