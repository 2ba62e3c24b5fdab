"""Files that mean harm: they refer to other files, or claim what they do not hold."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Self

from verbatim.stages.index_claims import MAX_INDEX_ENTRIES

RATE_HZ = 44_100
CHANNELS = 2
MATRIX_BYTES = 60
IN_OPEN = 0x20
ALIS_HEAD_BYTES = 10 + 1 + 27 + 12 + 1 + 63 + 16


def playlist(target: str) -> bytes:
    """An HLS playlist of one piece."""
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n"
        f"#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
    ).encode()


def concat_script(target: str) -> bytes:
    """A script of libav's concat demuxer."""
    return f"ffconcat version 1.0\nfile '{target}'\n".encode()


def manifest(target: str) -> bytes:
    """A DASH manifest."""
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT10S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
        '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ).encode()


def session_description(port: int) -> bytes:
    """An SDP file that asks for packets at a port of this machine."""
    return (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\n"
    ).encode()


def mov_with_its_sound_elsewhere(target: Path) -> bytes:
    """A QuickTime file whose samples lie in another file, named by an alias."""
    path = str(target).encode() + b"\0" * (len(str(target)) % 2)
    alias = bytes(ALIS_HEAD_BYTES) + struct.pack(">HH", 0, 0) + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">hH", -1, 0)
    reference = _full(b"dref", _u32(1), _box(b"alis", _u32(0), alias.ljust(160, b"\0")))
    tables = _full(b"stts", _u32(1, 1_000, 1)) + _full(b"stsc", _u32(1, 1, 1_000, 1))
    tables += _full(b"stsz", _u32(4, 1_000)) + _full(b"stco", _u32(1, 44))
    return _mp4(_track(1, b"sowt", tables, reference))


def mp4_index_bomb(samples: int, tracks: int = 1) -> bytes:
    """Claims `samples` samples in each track, in a file of a few hundred bytes a track."""
    tables = _full(b"stts", _u32(2, 1, 1_024, samples - 1, 1_024))
    tables += _full(b"stsc", _u32(1, 1, samples, 1))
    tables += _full(b"stsz", _u32(4, samples)) + _full(b"stco", _u32(1, 32))
    return _mp4(b"".join(_track(number + 1, b"mp4a", tables) for number in range(tracks)))


def mp4_fragment_bomb(samples: int, tracks: int = 1) -> bytes:
    """The same in a fragment, whose samples cost no byte either."""
    empty = b"".join(_full(name, _u32(0)) for name in (b"stts", b"stsc", b"stco"))
    empty += _full(b"stsz", _u32(0, 0))
    numbers = range(1, tracks + 1)
    extends = _box(b"mvex", *(_full(b"trex", _u32(n, 1, 1_024, 4, 0)) for n in numbers))
    runs = (
        _box(b"traf", _full(b"tfhd", _u32(n), flags=0x20000), _full(b"trun", _u32(samples)))
        for n in numbers
    )
    moof = _box(b"moof", _full(b"mfhd", _u32(1)), *runs)
    head = _mp4(b"".join(_track(n, b"mp4a", empty) for n in numbers) + extends, media=b"")
    return head + moof + _box(b"mdat", bytes(64))


def mp4_edit_bomb(edits: int, samples: int) -> bytes:
    """A track put together from far too many pieces of itself."""
    pieces = _full(b"elst", _u32(edits), *(struct.pack(">IiHH", 1, 0, 1, 0) for _ in range(edits)))
    tables = _full(b"stts", _u32(2, 1, 1_024, samples - 1, 1_024))
    tables += _full(b"stsc", _u32(1, 1, samples, 1))
    tables += _full(b"stsz", _u32(4, samples)) + _full(b"stco", _u32(1, 32))
    return _mp4(_track(1, b"mp4a", tables, edits=_box(b"edts", pieces)))


LARGEST_INDEX = MAX_INDEX_ENTRIES - 1


class OpenWatch:
    """Tells whether a file was opened, by anyone, while this is entered (Linux: inotify)."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._libc.inotify_init1(os.O_NONBLOCK)
        if self._libc.inotify_add_watch(self._queue, os.fsencode(path), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def opened(self) -> bool:
        """Whether it was since the last call."""
        try:
            return bool(os.read(self._queue, 4096))
        except BlockingIOError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._queue)


def _mp4(tracks: bytes, media: bytes | None = None) -> bytes:
    header = _full(b"mvhd", _u32(0, 0, 1_000, 1_000), bytes(80))
    samples = _box(b"mdat", bytes(64)) if media is None else media
    return _box(b"ftyp", b"isom", _u32(0), b"isom") + samples + _box(b"moov", header, tracks)


def _track(
    number: int, codec: bytes, tables: bytes, references: bytes = b"", edits: bytes = b""
) -> bytes:
    sound = struct.pack(">HHHHI", CHANNELS, 16, 0, 0, RATE_HZ << 16)
    entry = _box(codec, bytes(6), b"\0\1", bytes(8), sound)
    here = references or _full(b"dref", _u32(1), _full(b"url ", flags=1))
    table = _box(b"stbl", _full(b"stsd", _u32(1), entry), tables)
    media = _box(
        b"mdia",
        _full(b"mdhd", _u32(0, 0, RATE_HZ, RATE_HZ), bytes(4)),
        _full(b"hdlr", _u32(0), b"soun", bytes(12), b"\0"),
        _box(b"minf", _full(b"smhd", bytes(4)), _box(b"dinf", here), table),
    )
    head = _full(b"tkhd", _u32(0, 0, number, 0, 0), bytes(MATRIX_BYTES), flags=7)
    return _box(b"trak", head, edits, media)


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name) + body


def _full(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, _u32(flags), *parts)


def _u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)
