from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from tests.support.live_server import PATIENCE_S

from verbatim.domain.errors import OverloadedError, StorageFullError, UnavailableError
from verbatim.wire.spool import (
    BLOCK_BYTES,
    LOCK_NAME,
    UNPLACED_BYTES,
    Place,
    Spool,
    SpoolWriter,
)

HOLD_A_SPOOL = """
import sys, time
from pathlib import Path
from verbatim.wire.spool import Spool
spool = Spool(Path(sys.argv[1]), max_files=1)
(spool.folder / 'upload').touch()
print(spool.folder, flush=True)
time.sleep(60)
"""


async def test_what_is_written_is_there_until_it_is_released(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    with Spool(tmp_path, max_files=1) as spool:
        writer = spool.open()
        for start in range(0, len(content), 60_000):
            await writer.write(content[start : start + 60_000])
        upload = await writer.finish()

        assert upload.path.read_bytes() == content
        assert upload.size_bytes == len(content)
        assert upload.digest == hashlib.sha256(content).hexdigest()
        assert upload.path.stat().st_mode & 0o777 == 0o600
        assert spool.folder.stat().st_mode & 0o777 == 0o700
        upload.release()
        upload.release()
        writer.discard()
        assert not upload.path.exists()
        assert spool.files == 0


async def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    with Spool(tmp_path, max_files=2) as spool:
        first, second, third = spool.open(), spool.open(), spool.open()
        await first.write(bytes(UNPLACED_BYTES))
        await second.finish()
        with pytest.raises(OverloadedError) as caught:
            await third.write(bytes(UNPLACED_BYTES))
        assert caught.value.retry_after_s
        with pytest.raises(OverloadedError):
            await third.finish()
        first.discard()
        await third.finish()
        assert spool.files == 2
        second.discard()
        third.discard()


async def test_what_has_hardly_begun_takes_no_place(tmp_path: Path) -> None:
    with Spool(tmp_path, max_files=1) as spool:
        slow = [spool.open() for _ in range(10)]
        for writer in slow:
            await writer.write(bytes(UNPLACED_BYTES - 1))
        assert spool.files == 0
        assert slow[0].size_bytes == UNPLACED_BYTES - 1
        upload = await slow[1].finish()
        assert upload.path.stat().st_size == UNPLACED_BYTES - 1
        for writer in slow:
            writer.discard()
        assert spool.files == 0


async def test_the_folder_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    with Spool(tmp_path / "made" / "for it", max_files=1) as spool:
        writer = spool.open()
        await writer.write(b"left behind")
        await writer.finish()
        assert len(list(spool.folder.iterdir())) == 2
    assert not spool.folder.exists()


class ScriptedDisk(FileIO):
    """Stands for an open file; what a write does is given."""

    def __init__(self, on_write: Callable[[memoryview], int]) -> None:
        super().__init__(os.devnull, "wb")
        self._on_write = on_write
        self.written_bytes = 0
        self.written_when_closed: int | None = None

    def write(self, data: Any) -> int:
        count = self._on_write(data)
        self.written_bytes += count
        return count

    def close(self) -> None:
        self.written_when_closed = self.written_bytes
        super().close()


class SlowDisk:
    """What its write does: it ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, data: memoryview) -> int:
        self.begun.set()
        assert self.may_end.wait(PATIENCE_S)
        return len(data)


def failing(number: int) -> Callable[[memoryview], int]:
    def fail(data: memoryview) -> int:
        raise OSError(number, "scripted")

    return fail


Scripted = Callable[[Callable[[memoryview], int]], tuple[SpoolWriter, ScriptedDisk]]


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    """Makes a writer whose disk does what is given."""
    given_up: list[Path] = []
    writers: list[SpoolWriter] = []
    with ThreadPoolExecutor() as threads:

        def make(on_write: Callable[[memoryview], int]) -> tuple[SpoolWriter, ScriptedDisk]:
            disk, path = ScriptedDisk(on_write), tmp_path / "upload"
            path.touch()
            place = Place(disk, path, lambda: given_up.append(path))
            writers.append(SpoolWriter(lambda: place, threads))
            return writers[-1], disk

        yield make
        for writer in writers:
            writer.discard()
            writer.discard()
    assert len(given_up) == len(writers)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_told_as_such(scripted: Scripted, number: int) -> None:
    writer, _ = scripted(failing(number))
    with pytest.raises(StorageFullError, match="spool_dir"):
        await writer.write(bytes(BLOCK_BYTES))


async def test_another_disk_error_is_not_hidden(scripted: Scripted) -> None:
    writer, _ = scripted(failing(errno.EIO))
    with pytest.raises(OSError, match="scripted"):
        await writer.write(bytes(BLOCK_BYTES))


async def test_a_disk_that_takes_little_at_a_time_gets_everything(scripted: Scripted) -> None:
    writer, disk = scripted(lambda data: min(len(data), 300_000))
    await writer.write(bytes(BLOCK_BYTES))
    assert disk.written_bytes == BLOCK_BYTES


async def test_cancelling_a_write_waits_for_its_thread(scripted: Scripted) -> None:
    slow = SlowDisk()
    writer, disk = scripted(slow)
    task = asyncio.create_task(writer.write(bytes(BLOCK_BYTES)))
    await asyncio.to_thread(slow.begun.wait, PATIENCE_S)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    writer.discard()
    assert disk.written_when_closed == BLOCK_BYTES


async def test_the_event_loop_goes_on_while_the_disk_is_slow(scripted: Scripted) -> None:
    slow = SlowDisk()
    writer, disk = scripted(slow)
    task = asyncio.create_task(writer.write(bytes(BLOCK_BYTES)))
    # Where the loop had to wait for the disk, it would not come to this.
    await asyncio.to_thread(slow.begun.wait, PATIENCE_S)
    assert not task.done()
    slow.may_end.set()
    await task
    assert disk.written_bytes == BLOCK_BYTES


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="spool_dir"):
        Spool(tmp_path / "file" / "spool", max_files=1)


def test_folders_of_killed_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_SPOOL, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        held = Path(process.stdout.readline().strip())
        with Spool(tmp_path, max_files=1) as mine:
            assert held.is_dir(), "a running process keeps its folder"
            assert len(list(held.iterdir())) == 2
            process.kill()
            process.wait()
            with Spool(tmp_path, max_files=1):
                assert not held.exists(), "a killed process's folder is removed"
                assert mine.folder.is_dir()


def test_a_link_that_looks_like_a_spool_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / LOCK_NAME).touch()
    (precious / "data").write_text("mine")
    (tmp_path / "verbatim-spool-link").symlink_to(precious)
    with Spool(tmp_path, max_files=1):
        assert (precious / "data").read_text() == "mine"
