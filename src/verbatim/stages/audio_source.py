"""The bytes of a recording as libav gets to see them: read-only, guarded, and nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    InternalError,
    NotFoundError,
    VerbatimError,
)

AudioSource: TypeAlias = Path | bytes | BinaryIO
"""A file, the bytes of one, or a seekable binary file."""

ID3_HEADER_BYTES: Final = 10
ID3_FOOTER_FLAG: Final = 0x10
MAX_ID3_TAGS: Final = 16
READ_FAILED: Final = -1


class GuardedFile:
    """A file that libav reads through, which never raises into native code.

    It has no name, so that nothing can be looked up beside it. A failure (the disk, or `guard`
    saying that enough is enough) reads as the end of the file; `raise_failure` tells it afterwards.

    Args:
        file: seekable, binary.
        guard: called before every read; raises a `VerbatimError` to end the reading.
        start: where the file begins for libav.

    Attributes:
        watch: shown every block with its position; raises a `VerbatimError` to end the reading.
    """

    def __init__(self, file: BinaryIO, guard: Callable[[], None], start: int = 0) -> None:
        self.watch: Callable[[int, bytes], None] | None = None
        self._file = file
        self._guard = guard
        self._start = start
        self._failure: VerbatimError | None = None
        file.seek(start)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, or after a failure."""
        if self._failure is not None:
            return b""
        try:
            self._guard()
            position = self._file.tell() if self.watch else 0
            block = self._file.read(size)[:size]
            if self.watch:
                self.watch(position, block)
            return block
        except VerbatimError as error:
            self._failure = error
        except (OSError, ValueError) as error:
            self._failure = unreadable(error)
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position, or `READ_FAILED` for a place that is not in any file."""
        try:
            if whence == os.SEEK_SET:
                return (
                    READ_FAILED
                    if offset < 0
                    else self._file.seek(offset + self._start) - self._start
                )
            return max(self._file.seek(offset, whence) - self._start, READ_FAILED)
        except (OSError, ValueError, OverflowError):
            return READ_FAILED

    def tell(self) -> int:
        """The position."""
        return self._file.tell() - self._start

    def raise_failure(self) -> None:
        """Raise what a read met, if it did."""
        if self._failure is not None:
            raise self._failure


def open_source(source: AudioSource, opened: ExitStack) -> BinaryIO:
    """The source as a file at its start.

    Args:
        source: where the bytes are.
        opened: closes what is opened here; a file that was given stays open.

    Raises:
        NotFoundError: there is no such file.
        ForbiddenError: it may not be read.
        BadRequestError: not a regular file, or one that cannot seek.
    """
    if isinstance(source, bytes):
        return opened.enter_context(io.BytesIO(source))
    if isinstance(source, Path):
        return opened.enter_context(_open_path(source))
    try:
        source.seek(0)
    except (OSError, ValueError) as error:
        raise BadRequestError(
            "The audio can only be read once; save it to a file and give that."
        ) from error
    return source


def _open_path(path: Path) -> BinaryIO:
    try:
        # A pipe or a device would wait or flow for ever.
        if path.exists() and not path.is_file():
            raise BadRequestError(f"{path} is not a file; give the path of an audio or video file.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}; check the path.") from error
    except PermissionError as error:
        raise ForbiddenError(f"{path} may not be read; check its permissions.") from error
    except OSError as error:
        raise BadRequestError(f"{path} cannot be opened: {error.strerror}.") from error


def size_of(file: BinaryIO) -> int:
    """Length in bytes; the position goes back to the start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def skip_id3(file: BinaryIO) -> int:
    """Where the audio begins after the ID3v2 tags at the file's start (id3.org, ID3v2.4, 3.1).

    A large cover picture would hide an MP3 from libav's probe, and be read whole.
    """
    start = 0
    for _ in range(MAX_ID3_TAGS):
        file.seek(start)
        header = file.read(ID3_HEADER_BYTES)
        if len(header) < ID3_HEADER_BYTES or not header.startswith(b"ID3") or header[3] == 0xFF:
            break
        sizes = header[6:]
        if max(sizes) >= 0x80:
            break
        size = sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]
        footer = ID3_HEADER_BYTES if header[5] & ID3_FOOTER_FLAG else 0
        start += ID3_HEADER_BYTES + size + footer
    file.seek(0)
    return start


def unreadable(error: Exception) -> InternalError:
    """What the caller is told when the disk fails."""
    failure = InternalError("The audio could not be read from the disk; try again.")
    failure.__cause__ = error
    return failure
