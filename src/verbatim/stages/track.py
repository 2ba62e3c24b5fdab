"""The audio track of a file, opened by libav under guard."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NoReturn, Protocol

import av
import av.error
import av.frame
import av.stream

from verbatim.domain.audio import AudioInfo
from verbatim.domain.errors import (
    EncryptedAudioError,
    IncompleteAudioError,
    NoAudioTrackError,
    NotAudioError,
    UnsupportedCodecError,
    UnsupportedMediaError,
)
from verbatim.stages.containers import (
    CODECS,
    CONTAINERS,
    FLAC_DEMUXER,
    IO_BYTES,
    MP3_DEMUXER,
    RawFormat,
    libav_options,
)
from verbatim.stages.index_claims import MAX_ALLOCATION_BYTES
from verbatim.stages.outlines import MP3_COUNT_TAGS, Outline

MAX_DEMUX_FAILURES: Final = 16
"""Failures to find the next packet, one after the other, before the file is taken to end."""
LIBAV_FAILURES: Final = (av.FFmpegError, ValueError, MemoryError)
"""What PyAV raises on bytes that make no sense to it."""
ENCRYPTED_TAGS: Final = frozenset({"drms", "aavd"})
"""Sample entries of bought music (Apple) and audio books (Audible)."""
MP3_TAGS: Final = (b"ID3", *MP3_COUNT_TAGS)
MICROSECONDS: Final = 1_000_000
NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class Readable(Protocol):
    """What libav reads from; one that has `seek` and `tell` too can be read in any order."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end; raises nothing."""
        ...

    def raise_failure(self) -> None:
        """Raise what a read met, if it did."""
        ...


class Track:
    """Reads the packets of a file's first audio track and decodes them.

    Args:
        file: what libav reads.
        outline: what the file says of itself.
        raw: the format of headerless PCM, if it is that.
        guard: called for every packet; raises to end the work.
        options: of libav's demuxer, over those that hold for every file.

    Raises:
        UnsupportedMediaError: there is no audio that can be read; the subclass says why.
    """

    def __init__(
        self,
        file: Readable,
        outline: Outline,
        raw: RawFormat | None,
        guard: Callable[[], None],
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> None:
        self._file = file
        self._guard = guard
        self._outline = outline
        self._container = _open(file, outline, raw, options)
        try:
            self._stream = _choose(self._container, outline)
            self._decoder = self._stream.codec_context
            # Audio decoders have no use for threads, and requests run next to one another.
            self._decoder.thread_count = 1
            self.info: Final = _describe(self._container, self._stream)
        except BaseException:
            self._container.close()
            raise
        self.failures = 0
        """Packets that were lost or could not be decoded."""
        self.failing = 0
        """How many of them came after the last frame."""

    @property
    def start_s(self) -> float | None:
        """The timestamp of the presentation's start: the earliest of all tracks."""
        start = self._container.start_time
        return None if start is None else start / MICROSECONDS

    @property
    def counted_s(self) -> float | None:
        """The length in seconds where the header counted samples, and did not guess."""
        trusted = self.info.container == FLAC_DEMUXER or self._outline.counts_frames
        return self.info.duration_s if trusted else None

    def frames(self) -> Iterator[tuple[av.AudioFrame, float | None]]:
        """Decoded frames, each with its timestamp in seconds."""
        time_base = self._stream.time_base
        unit_s = None if time_base is None else float(time_base)
        for packet in self._packets():
            frames = self._decode(packet)
            for frame in frames:
                if not (frame.samples and frame.sample_rate and frame.layout.nb_channels):
                    continue
                pts = frame.pts
                yield frame, (None if pts is None or unit_s is None else pts * unit_s)
                # What the drained decoder still gives is older than the failure.
                self.failing = self.failing if packet is None else 0

    def close(self) -> None:
        """Free libav's memory."""
        self._container.close()

    def _packets(self) -> Iterator[av.Packet | None]:
        """The track's packets, then None to drain the decoder."""
        failed, first = 0, True
        while failed < MAX_DEMUX_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    self._guard()
                    if first:
                        _check_clear(packet)
                    failed, first = 0, False
                    # An empty packet would tell the decoder that this is the end.
                    if packet.size:
                        yield packet
                break
            except IndexError:
                # PyAV drains tracks that appeared on the way, and does not find them.
                break
            except LIBAV_FAILURES:
                failed += 1
                self._count_failure()
        self._file.raise_failure()
        yield None

    def _decode(self, packet: av.Packet | None) -> list[av.AudioFrame]:
        try:
            frames: list[av.AudioFrame] = self._decoder.decode(packet)
        except LIBAV_FAILURES:
            _check_clear(packet)
            if not self._is_tag(packet):
                self._count_failure()
            return []
        return frames

    def _is_tag(self, packet: av.Packet | None) -> bool:
        """Whether it is a tag or the count of frames of an MP3: joined files have them inside."""
        if packet is None or self.info.container != MP3_DEMUXER:
            return False
        data = bytes(packet)
        return any(tag in data for tag in MP3_TAGS)

    def _count_failure(self) -> None:
        self._file.raise_failure()
        self.failures += 1
        self.failing += 1


def _open(
    file: Readable, outline: Outline, raw: RawFormat | None, options: Mapping[str, str]
) -> av.container.InputContainer:
    _bound_allocations()
    if outline.protected:
        raise _encrypted()
    try:
        container = av.open(
            file,
            "r",
            format=None if raw is None else str(raw.encoding),
            container_options=libav_options(raw) | dict(options),
            metadata_errors="replace",
            buffer_size=IO_BYTES,
            io_open=_refuse_to_open,
        )
    except LIBAV_FAILURES as error:
        file.raise_failure()
        raise _unopened(outline) from error
    try:
        file.raise_failure()
        # The second line behind libav's own check of the allow-list.
        if raw is None and _short_name(container) not in CONTAINERS:
            raise _unopened(outline)
    except BaseException:
        container.close()
        raise
    return container


def _encrypted() -> EncryptedAudioError:
    return EncryptedAudioError(
        "The audio is encrypted (DRM) and cannot be decoded. Send an unprotected copy."
    )


def _unopened(outline: Outline) -> UnsupportedMediaError:
    if outline.lacks_index:
        return IncompleteAudioError(
            "The file is incomplete: it is an MP4 whose index is missing, as when a recording or an"
            " upload was broken off. Record or upload it again."
        )
    if outline.cut:
        return IncompleteAudioError(
            "The file is incomplete: it breaks off before any audio. Upload it again."
        )
    *most, last = sorted(CONTAINERS.values())
    return NotAudioError(
        f"This is not audio or video in a format that is read here ({', '.join(most)} and {last}). "
        "Convert it, for example with: ffmpeg -i FILE out.wav"
    )


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """The way to a second file. The address stays out of the message: it is the sender's."""
    del url, flags, options
    raise NotAudioError(
        "The file refers to another file or address, which is never opened. Send the audio itself."
    )


def _choose(container: av.container.InputContainer, outline: Outline) -> av.AudioStream:
    """The first audio track that can be decoded; libav skips the others unread."""
    tracks = container.streams.audio
    known = [track for track in tracks if _codec_name(track) in CODECS]
    if outline.cut and not known:
        raise _unopened(outline)
    if not tracks:
        raise NoAudioTrackError(
            "The file has no audio track, only pictures or text. Send one with sound."
        )
    if any(_is_encrypted(track) for track in known[:1] or tracks[:1]):
        raise _encrypted()
    if not known:
        raise UnsupportedCodecError(
            f"The audio is coded in a way that is not read here ({_codec_name(tracks[0])}). "
            "Convert it, for example with: ffmpeg -i FILE out.wav"
        )
    for stream in container.streams:
        if stream.index != known[0].index:
            stream.discard = av.stream.Discard.all
    return known[0]


def _check_clear(packet: av.Packet | None) -> None:
    """Raise for a packet that MP4's common encryption protects; noise would come out of it."""
    if packet is not None and packet.has_sidedata("encryption_info"):
        raise _encrypted()


def _is_encrypted(track: av.AudioStream) -> bool:
    # Matroska's demuxer tells the key's id so.
    if "enc_key_id" in track.metadata:
        return True
    try:
        tag: str = track.codec_context.codec_tag
    except (UnicodeDecodeError, AttributeError):
        return False
    return tag in ENCRYPTED_TAGS


def _codec_name(track: av.AudioStream) -> str:
    """The decoder's name in libav; "unknown" where it has none."""
    decoder = track.codec_context
    return "unknown" if decoder is None else str(decoder.name)


def _short_name(container: av.container.InputContainer) -> str:
    """The demuxer's first name: Matroska's is "matroska,webm"."""
    return str(container.format.name).partition(",")[0]


def _describe(container: av.container.InputContainer, stream: av.AudioStream) -> AudioInfo:
    duration_s: float | None = None
    if stream.duration is not None and stream.time_base is not None:
        begun = (stream.start_time or 0) * stream.time_base
        late_s = float(begun) - (container.start_time or 0) / MICROSECONDS
        duration_s = float(stream.duration * stream.time_base) + max(late_s, 0.0)
    elif container.duration is not None:
        duration_s = container.duration / MICROSECONDS
    return AudioInfo(
        container=_short_name(container),
        codec=_codec_name(stream),
        sample_rate_hz=stream.codec_context.sample_rate,
        channels=stream.codec_context.layout.nb_channels,
        duration_s=duration_s if duration_s is not None and duration_s > 0 else None,
    )


@functools.cache
def _bound_allocations() -> None:
    """Let no field of a file make libav take more memory at once than any real one needs.

    libav reserves an MP4's index by the number of samples that a header claims. PyAV has no name
    for `av_max_alloc`, which holds for the whole process, but is linked to the library that has it.
    """
    libav = ctypes.CDLL(av.frame.__file__)
    libav.av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))
