"""What an MP4 claims of its index, watched as libav reads it.

A few bytes of an MP4 can say that millions of samples follow, in every one of many tracks, and
libav makes an index entry of each claim before it looks at the data. So every block that goes to
libav is searched for such claims first, wherever in the file it comes from; nothing is parsed a
second time that libav could parse differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verbatim.domain.errors import UndecodableAudioError

INDEX_ENTRY_BYTES: Final = 24
"""libav's AVIndexEntry; the arrays beside it are smaller."""
MAX_ALLOCATION_BYTES: Final = 64 * 1024 * 1024
"""Largest single piece of memory that libav may take: the index of 12 h of video at 60 frames/s."""
MAX_INDEX_ENTRIES: Final = MAX_ALLOCATION_BYTES // INDEX_ENTRY_BYTES
"""libav fails to make a larger index, so a larger claim costs nothing (long PCM tracks have it)."""
ALLOWED_ENTRIES: Final = 8_000_000
"""All tracks of 12 h of video have about five million."""
BYTES_PER_ENTRY: Final = 2
"""Short PCM tracks count every sample: two bytes at least, in any number of tracks."""
MAX_EDITS: Final = 4096
"""Pieces that a track may be put together from; libav's work grows with edits times samples."""
COUNT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class _Claim:
    """A box with a count, which stands `offset` bytes after the box's type."""

    box: bytes
    offset: int
    is_edit: bool = False


_CLAIMS: Final = (
    _Claim(b"stsz", 12),
    _Claim(b"stz2", 12),
    _Claim(b"trun", 8),
    _Claim(b"elst", 8, is_edit=True),
)
_OVERLAP_BYTES: Final = max(claim.offset for claim in _CLAIMS) + COUNT_BYTES - 1


class IndexClaims:
    """Adds up the claims in the blocks that it is shown.

    Args:
        file_bytes: the file's length.
    """

    def __init__(self, file_bytes: int) -> None:
        self._allowed = max(ALLOWED_ENTRIES, file_bytes // BYTES_PER_ENTRY)
        self._entries = 0
        self._edits = 0
        self._end = 0
        self._tail = b""

    def watch(self, position: int, block: bytes) -> None:
        """Look at a block on its way to libav.

        Args:
            position: where in the file it begins.
            block: its bytes.

        Raises:
            UndecodableAudioError: more is claimed than the file can hold.
        """
        before = self._tail if position == self._end else b""
        data = before + block
        for claim in _CLAIMS:
            self._add(claim, data, len(before))
        self._end = position + len(block)
        self._tail = data[-_OVERLAP_BYTES:]
        if self._entries > self._allowed or self._edits > MAX_EDITS:
            raise UndecodableAudioError(
                "The file's index claims far more than the file can hold: it is damaged. Convert it"
                " again from the original."
            )

    def _add(self, claim: _Claim, data: bytes, seen: int) -> None:
        found = data.find(claim.box)
        while found >= 0:
            end = found + claim.offset + COUNT_BYTES
            if seen < end <= len(data):
                count = int.from_bytes(data[end - COUNT_BYTES : end], "big")
                if claim.is_edit:
                    self._edits += count
                elif count <= MAX_INDEX_ENTRIES:
                    self._entries += count
            found = data.find(claim.box, found + 1)
