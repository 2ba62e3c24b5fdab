"""Which containers and codecs are read, and the options that hold libav to them.

Uploads are hostile: libav is given an allow-list of demuxers and decoders, refuses everything else
before it parses a byte, and has no way to open a second file or an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FLAC_DEMUXER: Final = "flac"
MP3_DEMUXER: Final = "mp3"
MP4_DEMUXER: Final = "mov"
CONTAINERS: Final[Mapping[str, str]] = {
    "wav": "WAV",
    "w64": "Wave64",
    "aiff": "AIFF",
    "au": "AU",
    "caf": "CAF",
    FLAC_DEMUXER: "FLAC",
    MP3_DEMUXER: "MP3",
    "aac": "AAC",
    "ogg": "Ogg",
    MP4_DEMUXER: "MP4",
    "matroska": "Matroska",
    "asf": "WMA",
    "amr": "AMR",
    "avi": "AVI",
    "flv": "FLV",
    "mpegts": "MPEG-TS",
}
"""libav's demuxers that are allowed (the first of a demuxer's names), and what people call them."""

LISTENING_CODECS: Final = frozenset(
    {"aac", "aac_latm", "ac3", "alac", "dca", "eac3", "flac", "mp1", "mp1float", "mp2", "mp2float"}
    | {"mp3", "mp3float", "opus", "speex", "vorbis", "wmalossless", "wmapro", "wmav1", "wmav2"}
)
TELEPHONE_CODECS: Final = frozenset(
    {"adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha", "amrnb", "amrwb"}
    | {"g722", "g723_1", "g726", "g726le", "gsm", "gsm_ms", "libopencore_amrnb"}
    | {"libopencore_amrwb", "nellymoser", "pcm_alaw", "pcm_mulaw", "truespeech", "wmavoice"}
)
PCM_CODECS: Final = frozenset(
    {"pcm_s8", "pcm_s8_planar", "pcm_u8"}
    | {f"pcm_{kind}{bits}{end}" for kind in "su" for bits in (16, 24, 32) for end in ("le", "be")}
    | {f"pcm_s{kind}_planar" for kind in ("16le", "16be", "24le", "32le")}
    | {f"pcm_{kind}{end}" for kind in ("s64", "f32", "f64") for end in ("le", "be")}
    | {"pcm_f16le", "pcm_f24le"}
)
CODECS: Final = LISTENING_CODECS | TELEPHONE_CODECS | PCM_CODECS
"""libav's decoders that are allowed. No video decoder is among them, so none is ever opened."""

MAX_STREAMS: Final = 64
PROBE_BYTES: Final = 5_000_000
"""libav's own default, written down: what it may read to find out what a file holds."""
PCM_PACKET_BYTES: Final = 16_384
"""Larger ones cost more in fresh memory than they save in calls."""
IO_BYTES: Final = 65_536

WAVE_OPTIONS: Final[Mapping[str, str]] = {"max_probe_packets": "1"}
"""libav looks for DTS in the first packets of a WAV. In more than one that costs as much time as
decoding minutes of it."""
LIVE_OPTIONS: Final[Mapping[str, str]] = {
    "probesize": "2048",
    "max_probe_packets": "1",
    "analyzeduration": "100000",
    # WAV: packets of 50 ms at 16 kHz.
    "max_size": "1600",
}
"""For a stream that is still being spoken: begin as soon as it is known what it is."""


class RawEncoding(StrEnum):
    """How a sample of headerless PCM is written; the names are libav's."""

    S16LE = "s16le"
    S16BE = "s16be"
    S24LE = "s24le"
    S32LE = "s32le"
    F32LE = "f32le"
    U8 = "u8"
    MULAW = "mulaw"
    ALAW = "alaw"


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Headerless PCM, as the caller says it is; `encoding` is a `RawEncoding` or its name."""

    encoding: RawEncoding | str
    sample_rate_hz: int
    channels: int = 1


def libav_options(raw: RawFormat | None) -> dict[str, str]:
    """The demuxer's options: what it may open, and how much it may read to begin with."""
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(sorted(CODECS)),
        "protocol_whitelist": "none",
        "max_streams": str(MAX_STREAMS),
        "probesize": str(PROBE_BYTES),
        # MP4: never follow a track to another file (also libav's default).
        "enable_drefs": "0",
        "use_absolute_path": "0",
        # WAV: packets of one size, not of 40 ms whatever the rate.
        "max_size": str(PCM_PACKET_BYTES),
    }
    if raw is not None:
        options["format_whitelist"] = str(raw.encoding)
        options["sample_rate"] = str(raw.sample_rate_hz)
        options["ch_layout"] = f"{raw.channels} channels"
    return options
