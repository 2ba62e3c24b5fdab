"""Where uploads wait on disk: a private folder, bounded in files, emptied in every case."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar

from verbatim.domain.errors import OverloadedError, StorageFullError, UnavailableError

FOLDER_PREFIX: Final = "verbatim-spool-"
LOCK_NAME: Final = ".lock"
BLOCK_BYTES: Final = 1024 * 1024
"""Written and hashed at once, in a thread: large enough that the hop does not matter."""
UNPLACED_BYTES: Final = 64 * 1024
"""Kept in memory before an upload takes a place among the files."""
WRITER_THREADS: Final = 4
RETRY_AFTER_S: Final = 5.0
FULL_DISK_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that arrived whole.

    Attributes:
        path: where it lies until `release` is called.
        size_bytes: its length.
        digest: SHA-256 of its bytes, hexadecimal.
        release: removes it; a second call does nothing.
    """

    path: Path
    size_bytes: int
    digest: str
    release: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the spool, counted until `give_up` is called."""

    file: FileIO
    path: Path
    give_up: Callable[[], None]


class Spool:
    """A folder of this process alone. Close it, or use it as a context, to remove it.

    Args:
        parent: where the folder is made; the system's temporary folder if None.
        max_files: how many uploads may lie in it at the same time.

    Raises:
        UnavailableError: the folder cannot be made.
    """

    def __init__(self, parent: Path | None, *, max_files: int) -> None:
        base = parent or Path(tempfile.gettempdir())
        try:
            base.mkdir(parents=True, exist_ok=True)
            remove_abandoned(base)
            self.folder: Final = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=base))
            self._lock = _hold_lock(self.folder)
        except OSError as error:
            raise UnavailableError(
                f"Uploads cannot be kept in {base}: {error.strerror}. Set spool_dir to a folder "
                "that can be written to."
            ) from error
        self._max_files = max_files
        self._files = 0
        self._threads = ThreadPoolExecutor(WRITER_THREADS, thread_name_prefix="spool")

    @property
    def files(self) -> int:
        """How many uploads lie in it, or are on their way."""
        return self._files

    def open(self) -> SpoolWriter:
        """Make ready for one upload.

        It takes a place among the files only when it is past what is kept in memory, or complete:
        clients that begin many and send next to nothing leave the places to others.
        """
        return SpoolWriter(self._take_place, self._threads)

    def _take_place(self) -> Place:
        """Make room for one file.

        Raises:
            OverloadedError: there are too many already.
            StorageFullError: the disk has no room for a new file.
        """
        if self._files >= self._max_files:
            raise OverloadedError(
                "The server has as many uploads as it can hold. Try again in a few seconds.",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            handle, name = tempfile.mkstemp(dir=self.folder)
        except OSError as error:
            _raise_if_full(error)
            raise
        self._files += 1
        return Place(os.fdopen(handle, "wb", buffering=0), Path(name), self._on_removed)

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.remove_folder()
        self._lock.close()

    def remove_folder(self) -> None:
        """Remove the folder at once, whoever still writes; for a process that is about to end."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _on_removed(self) -> None:
        self._files -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SpoolWriter:
    """One upload on its way: `write` what comes, then `finish`; or `discard` it."""

    def __init__(self, take_place: Callable[[], Place], threads: ThreadPoolExecutor) -> None:
        self._take_place = take_place
        self._threads = threads
        self._place: Place | None = None
        self._hash = hashlib.sha256()
        self._block = bytearray()
        self._written_bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much came so far."""
        return self._written_bytes + len(self._block)

    async def write(self, data: bytes) -> None:
        """Append; the event loop never waits for the disk.

        Raises:
            OverloadedError: there are too many files already.
            StorageFullError: the disk is full.
        """
        self._block += data
        if len(self._block) >= (BLOCK_BYTES if self._place else UNPLACED_BYTES):
            await self._flush()

    async def finish(self) -> Upload:
        """Close the file and hand it over.

        Raises:
            OverloadedError: there are too many files already.
            StorageFullError: the disk is full.
        """
        place = await self._flush()
        place.file.close()
        return Upload(place.path, self._written_bytes, self._hash.hexdigest(), self._remove)

    def discard(self) -> None:
        """Remove what came; nothing happens where it was handed over and released already."""
        if self._place is not None:
            self._place.file.close()
        self._remove()

    async def _flush(self) -> Place:
        place = self._place = self._place or self._take_place()
        block, self._block = self._block, bytearray()
        await _in_thread(self._threads, lambda: self._append(place.file, block))
        self._written_bytes += len(block)
        return place

    def _append(self, file: FileIO, block: bytearray) -> None:
        self._hash.update(block)
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            _raise_if_full(error)
            raise

    def _remove(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.path.unlink(missing_ok=True)
            place.give_up()


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of processes that were killed: those whose lock nobody holds."""
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK_NAME).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, or gone meanwhile


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run in a thread; when cancelled, wait for the thread before giving way.

    So nobody closes or removes a file that is being written.
    """
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _hold_lock(folder: Path) -> BinaryIO:
    # Under its final name the lock is never seen free, so nobody takes the folder for abandoned.
    unseen = folder / f"{LOCK_NAME}.new"
    lock = unseen.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unseen.rename(folder / LOCK_NAME)
    return lock


def _raise_if_full(error: OSError) -> None:
    if error.errno in FULL_DISK_ERRNOS:
        raise StorageFullError(
            "The server's disk is full, so the upload cannot be kept. Free some room, or set "
            "spool_dir to a larger disk."
        ) from error
