"""What the outermost layer of a file says of itself, read before libav sees it.

libav takes a file as long as it is and does not tell when its header speaks of more. The layouts
are read as published: RIFF (Microsoft/IBM 1991), RF64 (EBU Tech 3306), AIFF and CAF (Apple), Wave64
(Sonic Foundry), AU (Sun), ISO/IEC 14496-12, EBML (RFC 8794), Ogg (RFC 3533), FLAC (RFC 9639),
ASF (Microsoft), transport streams (ITU-T H.222.0).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

MAX_CHUNKS: Final = 200_000
"""Looked at before giving up: twelve hours of MP4 in fragments of half a second."""
HEAD_BYTES: Final = 4096
MAX_ASF_HEADER_BYTES: Final = 1024 * 1024
UNKNOWN_SIZE_32: Final = 0x7FFF_0000
"""Programs that write a WAV to a pipe put a size from here up, meaning that they cannot know."""
UNKNOWN_SIZE_64: Final = 1 << 62
OGG_PAGE_HEADER_BYTES: Final = 27
OGG_MAX_PAGE_BYTES: Final = OGG_PAGE_HEADER_BYTES + 255 + 255 * 255
BOX_HEADER_BYTES: Final = 8
LARGE_BOX_HEADER_BYTES: Final = 16
W64_GUID_TAIL: Final = bytes.fromhex("f3acd3118cd100c04f8edb8a")
ASF_GUID: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_ENCRYPTION_GUIDS: Final = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
EBML_ID: Final = bytes.fromhex("1a45dfa3")
SEGMENT_ID: Final = bytes.fromhex("18538067")
FLAC_BLOCK_HEADER_BYTES: Final = 4
FLAC_LAST_BLOCK_FLAG: Final = 0x80
MP3_COUNT_TAGS: Final = (b"Xing", b"Info", b"VBRI")
"""In the frame, silent otherwise, that says how many follow."""
TS_PACKET_BYTES: Final = 188
BOX_TYPES_AT_START: Final = frozenset((b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide"))


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file says of itself.

    Attributes:
        cut: that it is longer than it is.
        lacks_index: an MP4 without the part that tells where its samples are.
        counts_frames: an MP3 whose first frame says how many follow.
        protected: that its audio is encrypted.
        is_wave: a WAV.
    """

    cut: bool = False
    lacks_index: bool = False
    counts_frames: bool = False
    protected: bool = False
    is_wave: bool = False


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How a container lines up its chunks: an id and a size, then that many bytes."""

    header: struct.Struct
    first: int
    alignment: int
    data_id: bytes
    unknown_size: int
    size_counts_header: bool = False


_RIFF: Final = _Chunks(struct.Struct("<4sI"), 12, 2, b"data", UNKNOWN_SIZE_32)
_RF64: Final = _Chunks(struct.Struct("<4sI"), 12, 2, b"data", UNKNOWN_SIZE_64)
_AIFF: Final = _Chunks(struct.Struct(">4sI"), 12, 2, b"SSND", UNKNOWN_SIZE_32)
_CAF: Final = _Chunks(struct.Struct(">4sQ"), 8, 1, b"data", UNKNOWN_SIZE_64)
_W64: Final = _Chunks(
    struct.Struct("<16sQ"), 40, 8, b"data" + W64_GUID_TAIL, UNKNOWN_SIZE_64, size_counts_header=True
)


def read_outline(file: BinaryIO, size: int, start: int = 0) -> Outline:
    """Read the outermost layer; the position goes back to the start.

    Args:
        file: seekable, binary.
        size: its length in bytes.
        start: where it begins, after tags.
    """
    file.seek(start)
    head = file.read(HEAD_BYTES)
    reader = _reader(head)
    outline = Outline() if reader is None else reader(file, size, head)
    file.seek(0)
    return outline


def _reader(head: bytes) -> Callable[[BinaryIO, int, bytes], Outline] | None:
    magics: tuple[tuple[bool, Callable[[BinaryIO, int, bytes], Outline]], ...] = (
        (head[:4] == b"RIFF", _read_riff),
        (head[:4] in {b"RF64", b"BW64"}, _read_rf64),
        (head[:4] == b"FORM", lambda file, size, _: _read_chunks(file, size, _AIFF)),
        (head[:4] == b"caff", lambda file, size, _: _read_chunks(file, size, _CAF)),
        (head[:4] == b"riff", lambda file, size, _: _read_chunks(file, size, _W64)),
        (head[:4] == b".snd", _read_au),
        (head[:4] == b"OggS", _read_ogg),
        (head[:4] == EBML_ID, _read_ebml),
        (head[:16] == ASF_GUID, _read_asf),
        (head[4:8] in BOX_TYPES_AT_START, _read_boxes),
        (head[:4] == b"fLaC", _read_flac),
        (head[:1] == head[TS_PACKET_BYTES:][:1] == b"\x47", _read_ts),
        (head[:1] == b"\xff", _read_mpeg),
    )
    return next((reader for matches, reader in magics if matches), None)


def _read_chunks(
    file: BinaryIO, size: int, kind: _Chunks, data_bytes: int | None = None
) -> Outline:
    """Whether the chunk that holds the samples ends behind the file's end.

    Args:
        file: the file.
        size: its length.
        kind: how its chunks are written.
        data_bytes: what stands elsewhere about that chunk's size, instead of its own claim.
    """
    position = kind.first
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, kind.header.size, size)
        if len(header) < kind.header.size:
            return Outline(cut=position > size)
        name, body = kind.header.unpack(header)
        if kind.size_counts_header:
            body = max(body - kind.header.size, 0)
        position += kind.header.size
        if name == kind.data_id:
            claim = body if data_bytes is None else data_bytes
            return Outline(cut=claim < kind.unknown_size and position + claim > size)
        position += body + -body % kind.alignment
    return Outline()


def _read_at(file: BinaryIO, position: int, count: int, size: int) -> bytes:
    if position >= size:
        return b""
    file.seek(position)
    return file.read(count)


def _read_riff(file: BinaryIO, size: int, head: bytes) -> Outline:
    if head[8:12] == b"AVI ":
        return Outline(cut=8 + int.from_bytes(head[4:8], "little") > size)
    return replace(_read_chunks(file, size, _RIFF), is_wave=True)


def _read_rf64(file: BinaryIO, size: int, head: bytes) -> Outline:
    told = head[12:16] == b"ds64"
    data_bytes = int.from_bytes(head[28:36], "little") if told else UNKNOWN_SIZE_64
    return replace(_read_chunks(file, size, _RF64, data_bytes), is_wave=True)


def _read_au(_: BinaryIO, size: int, head: bytes) -> Outline:
    offset, data_bytes = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
    return Outline(cut=data_bytes < UNKNOWN_SIZE_32 and offset + data_bytes > size)


def _read_ogg(file: BinaryIO, size: int, _: bytes) -> Outline:
    """Whether the last page stops in its middle; not every program marks the last one as such."""
    start = max(size - OGG_MAX_PAGE_BYTES, 0)
    file.seek(start)
    tail = file.read(OGG_MAX_PAGE_BYTES)
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if not page.startswith(b"OggS"):
        return Outline()
    if len(page) < OGG_PAGE_HEADER_BYTES:
        return Outline(cut=True)
    segments = page[OGG_PAGE_HEADER_BYTES - 1]
    lacing = page[OGG_PAGE_HEADER_BYTES:][:segments]
    complete = len(lacing) == segments and len(page) >= OGG_PAGE_HEADER_BYTES + segments + sum(
        lacing
    )
    return Outline(cut=not complete)


def _read_ebml(_: BinaryIO, size: int, head: bytes) -> Outline:
    """Whether the segment, which holds everything, ends behind the file's end."""
    header_bytes, position = _ebml_size(head, len(EBML_ID))
    position += header_bytes or 0
    if header_bytes is None or head[position:][: len(SEGMENT_ID)] != SEGMENT_ID:
        return Outline(cut=position > size)
    segment_bytes, position = _ebml_size(head, position + len(SEGMENT_ID))
    return Outline(cut=segment_bytes is not None and position + segment_bytes > size)


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """A size (None for an unknown one) and the position after it (RFC 8794, 4 and 6)."""
    first = data[position] if position < len(data) else 0
    if first == 0:
        return None, position
    length = 9 - first.bit_length()
    bits = 7 * length
    value = int.from_bytes(data[position : position + length].ljust(length, b"\0"), "big")
    value &= (1 << bits) - 1
    return (None if value == (1 << bits) - 1 else value), position + length


def _read_asf(file: BinaryIO, size: int, head: bytes) -> Outline:
    header_bytes = int.from_bytes(head[16:24], "little")
    if header_bytes >= size:
        return Outline(cut=True)
    file.seek(0)
    header = file.read(min(header_bytes, MAX_ASF_HEADER_BYTES))
    file.seek(header_bytes + len(ASF_GUID))
    data_bytes = int.from_bytes(file.read(8), "little")
    return Outline(
        cut=data_bytes < UNKNOWN_SIZE_64 and header_bytes + data_bytes > size,
        protected=any(guid in header for guid in ASF_ENCRYPTION_GUIDS),
    )


def _read_boxes(file: BinaryIO, size: int, _: bytes) -> Outline:
    """Whether the last box ends behind the file's end, and whether there is an index."""
    indexed, end = False, 0
    for name, end in _boxes(file, size):  # noqa: B007 - the last end is looked at
        indexed = indexed or name == b"moov"
    return Outline(cut=end > size, lacks_index=not indexed)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The outermost boxes' types and ends, until what follows is no box."""
    position = 0
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, LARGE_BOX_HEADER_BYTES, size)
        if len(header) < BOX_HEADER_BYTES:
            return
        box_bytes, name = int.from_bytes(header[:4], "big"), header[4:8]
        if not (name.isascii() and name.strip().isalnum()):
            return
        if box_bytes == 0:
            box_bytes = size - position
        elif box_bytes == 1:
            box_bytes = int.from_bytes(header[8:], "big")
        if box_bytes < BOX_HEADER_BYTES:
            return
        position += box_bytes
        yield name, position


def _read_flac(file: BinaryIO, size: int, __: bytes) -> Outline:
    """Whether the blocks before the audio are whole; libav tells how much audio there should be."""
    position = len(b"fLaC")
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, FLAC_BLOCK_HEADER_BYTES, size)
        position += FLAC_BLOCK_HEADER_BYTES + int.from_bytes(header[1:], "big")
        if position >= size:
            return Outline(cut=True)
        if header[0] & FLAC_LAST_BLOCK_FLAG:
            break
    return Outline()


def _read_ts(_: BinaryIO, size: int, __: bytes) -> Outline:
    return Outline(cut=size % TS_PACKET_BYTES != 0)


def _read_mpeg(_: BinaryIO, __: int, head: bytes) -> Outline:
    return Outline(counts_frames=any(tag in head for tag in MP3_COUNT_TAGS))
