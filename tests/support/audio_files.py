"""Audio files for tests, made in memory with PyAV's encoders: every format that Verbatim reads."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
"""(n,) or (channels, n), within ±1."""

FRAME_SAMPLES = 1024
VIDEO_FRAMES_PER_S = 10
VIDEO_PIXELS = 64
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class AudioFormat:
    """A container and codec, and what the pair can hold.

    Attributes:
        name: what tests call the pair.
        muxer: libav's name of the container.
        codec: libav's name of the encoder.
        sample_format: what the encoder takes.
        rate_hz: a rate that it takes.
        options: the muxer's.
        lossy: whether samples come back changed.
        min_channels: fewer are repeated.
    """

    name: str
    muxer: str
    codec: str
    sample_format: str
    rate_hz: int = 44_100
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    lossy: bool = True
    min_channels: int = 1


FORMATS: tuple[AudioFormat, ...] = (
    AudioFormat("wav-u8", "wav", "pcm_u8", "u8"),
    AudioFormat("wav-s16", "wav", "pcm_s16le", "s16", lossy=False),
    AudioFormat("wav-s24", "wav", "pcm_s24le", "s32", lossy=False),
    AudioFormat("wav-s32", "wav", "pcm_s32le", "s32", lossy=False),
    AudioFormat("wav-f32", "wav", "pcm_f32le", "flt", lossy=False),
    AudioFormat("wav-f64", "wav", "pcm_f64le", "dbl", lossy=False),
    AudioFormat("wav-mulaw", "wav", "pcm_mulaw", "s16"),
    AudioFormat("wav-alaw", "wav", "pcm_alaw", "s16"),
    AudioFormat("wav-adpcm-ima", "wav", "adpcm_ima_wav", "s16p"),
    AudioFormat("wav-adpcm-ms", "wav", "adpcm_ms", "s16"),
    AudioFormat("rf64", "wav", "pcm_s16le", "s16", options={"rf64": "always"}, lossy=False),
    AudioFormat("w64", "w64", "pcm_s16le", "s16", lossy=False),
    AudioFormat("aiff", "aiff", "pcm_s16be", "s16", lossy=False),
    AudioFormat("au", "au", "pcm_s16be", "s16", lossy=False),
    AudioFormat("caf", "caf", "pcm_s16le", "s16", lossy=False),
    AudioFormat("flac", "flac", "flac", "s16", lossy=False),
    AudioFormat("mp3", "mp3", "libmp3lame", "s16p", bit_rate=64_000),
    AudioFormat("ogg-vorbis", "ogg", "vorbis", "fltp", min_channels=2),
    AudioFormat("ogg-opus", "ogg", "libopus", "flt", 48_000, bit_rate=48_000),
    AudioFormat("ogg-flac", "ogg", "flac", "s16", lossy=False),
    AudioFormat("m4a", "ipod", "aac", "fltp", bit_rate=64_000),
    AudioFormat("m4a-alac", "ipod", "alac", "s16p", lossy=False),
    AudioFormat("mp4", "mp4", "aac", "fltp", bit_rate=64_000),
    AudioFormat(
        "mp4-fragmented",
        "mp4",
        "aac",
        "fltp",
        bit_rate=64_000,
        options={
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": "500000",
        },
    ),
    AudioFormat("mov", "mov", "pcm_s16le", "s16", lossy=False),
    AudioFormat("3gp", "3gp", "aac", "fltp", bit_rate=64_000),
    AudioFormat("adts", "adts", "aac", "fltp", bit_rate=64_000),
    AudioFormat("mkv", "matroska", "aac", "fltp", bit_rate=64_000),
    AudioFormat("webm", "webm", "libopus", "flt", 48_000, bit_rate=48_000),
    AudioFormat("wma", "asf", "wmav2", "fltp", bit_rate=64_000),
    AudioFormat("amr", "amr", "libopencore_amrnb", "s16", 8_000, bit_rate=12_200),
    AudioFormat("avi", "avi", "libmp3lame", "s16p", bit_rate=64_000),
    AudioFormat("flv", "flv", "aac", "fltp", bit_rate=64_000),
    AudioFormat("mpegts", "mpegts", "aac", "fltp", bit_rate=64_000),
)
BY_NAME: Mapping[str, AudioFormat] = {f.name: f for f in FORMATS}


def tone(seconds: float, rate_hz: int, frequency_hz: float = 440.0, gain: float = 0.5) -> Waveform:
    """A sine, (n,)."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    wave: Waveform = (gain * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)
    return wave


def frames(waveform: Waveform, rate_hz: int, start: int = 0) -> Iterator[av.AudioFrame]:
    """The waveform as interleaved float frames with their timestamps."""
    channels = np.atleast_2d(waveform)
    for first in range(0, channels.shape[1], FRAME_SAMPLES):
        block = channels[:, first : first + FRAME_SAMPLES].T.reshape(1, -1)
        packed = np.ascontiguousarray(block, np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=LAYOUTS[len(channels)])
        frame.sample_rate = rate_hz
        frame.pts = start + first
        frame.time_base = Fraction(1, rate_hz)
        yield frame


def encode(
    audio_format: AudioFormat,
    waveform: Waveform,
    rate_hz: int | None = None,
    pieces: Sequence[tuple[float, Waveform]] = (),
) -> bytes:
    """The file's bytes; `pieces` follow the waveform, each at its own time in seconds."""
    rate = rate_hz or audio_format.rate_hz
    count = max(len(np.atleast_2d(waveform)), audio_format.min_channels)
    file = io.BytesIO()
    with av.open(file, "w", format=audio_format.muxer, options=dict(audio_format.options)) as out:
        stream = out.add_stream(
            audio_format.codec,
            rate=rate,
            layout=LAYOUTS[count],
            options={"strict": "experimental"},  # libav calls its Vorbis encoder that
        )
        stream.format = audio_format.sample_format
        if audio_format.bit_rate:
            stream.bit_rate = audio_format.bit_rate
        for start_s, piece in ((0.0, waveform), *pieces):
            channels = np.broadcast_to(np.atleast_2d(piece), (count, np.shape(piece)[-1]))
            for frame in frames(channels, rate, round(start_s * rate)):
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def encode_video(
    waveform: Waveform | None,
    rate_hz: int = 48_000,
    *,
    muxer: str = "mp4",
    audio_codec: str = "aac",
    video_codec: str = "mpeg4",
    audio_start_s: float = 0.0,
    seconds: float = 2.0,
    options: Mapping[str, str] | None = None,
) -> bytes:
    """A film of moving grey with a sound track, or with none."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer, options=dict(options or {})) as out:
        video = out.add_stream(video_codec, rate=VIDEO_FRAMES_PER_S)
        video.width, video.height, video.pix_fmt = VIDEO_PIXELS, VIDEO_PIXELS, "yuv420p"
        audio = None
        if waveform is not None:
            channels = np.atleast_2d(waveform)
            audio = out.add_stream(audio_codec, rate=rate_hz, layout=LAYOUTS[len(channels)])
        for index in range(round(seconds * VIDEO_FRAMES_PER_S)):
            grey = np.full((VIDEO_PIXELS, VIDEO_PIXELS, 3), index % 256, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        out.mux(video.encode(None))
        if waveform is not None and audio is not None:
            for frame in frames(channels, rate_hz, round(audio_start_s * rate_hz)):
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return file.getvalue()


def moov_first(mp4: bytes) -> bytes:
    """The same MP4 with its index before its samples, as for playing while it arrives."""
    boxes: dict[bytes, bytes] = {}
    position = 0
    while position < len(mp4):
        size, name = struct.unpack(">I4s", mp4[position : position + 8])
        boxes[name] = mp4[position : position + size]
        position += size
    moov = bytearray(boxes[b"moov"])
    table = moov.index(b"stco") + 8
    (count,) = struct.unpack(">I", moov[table : table + 4])
    for entry in range(table + 4, table + 4 + 4 * count, 4):
        (offset,) = struct.unpack(">I", moov[entry : entry + 4])
        moov[entry : entry + 4] = struct.pack(">I", offset + len(moov))
    rest = b"".join(data for name, data in boxes.items() if name not in {b"ftyp", b"moov"})
    return boxes[b"ftyp"] + bytes(moov) + rest


class LongWav(io.RawIOBase):
    """Hours of an 8 kHz, 8 bit WAV that lies nowhere: its bytes are made when they are read."""

    RATE_HZ = 8_000

    def __init__(self, seconds: int) -> None:
        super().__init__()
        samples = seconds * self.RATE_HZ
        pcm = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, self.RATE_HZ, self.RATE_HZ, 1, 8)
        body = b"WAVE" + pcm + struct.pack("<4sI", b"data", samples)
        self._header = struct.pack("<4sI", b"RIFF", len(body) + samples) + body
        self._size = len(self._header) + samples
        self._second = (tone(1, self.RATE_HZ) * 127 + 128).astype(np.uint8).tobytes()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        size = min(size, self._size - self._position)
        if self._position < len(self._header):
            block = self._header[self._position :][:size]
        else:
            first = (self._position - len(self._header)) % self.RATE_HZ
            seconds = (first + size) // self.RATE_HZ + 1
            block = (self._second * seconds)[first : first + size]
        self._position += len(block)
        return block
