"""Fetching one file from the hub: resumed where it broke off, verified, moved into place whole."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import httpx

from verbatim.domain.errors import ModelUnavailableError, StorageFullError
from verbatim.engine.hub_cache import INCOMPLETE_SUFFIX, digest_matches

ATTEMPTS: Final = 5
"""Broken connections in a row, none of which brought anything, after which it is given up."""
FIRST_PAUSE_S: Final = 0.5
CORRUPT_ATTEMPTS: Final = 2
RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})

Phase: TypeAlias = Literal["download", "verify"]


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a model's download is.

    Attributes:
        model: what is being fetched.
        phase: "download", or "verify" while checksums are computed.
        done_bytes: of all files together, counting what lay there before.
        total_bytes: of all files together.
    """

    model: str
    phase: Phase
    done_bytes: int
    total_bytes: int


ProgressListener: TypeAlias = Callable[[DownloadProgress], None]
FileReport: TypeAlias = Callable[[Phase, int], None]
"""Hears what is done with one file, and how many bytes of it are there."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it; the ETag is the hash of its content."""

    name: str
    url: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class FileTransfer:
    """Brings one file to a blob of the cache.

    Attributes:
        client: with which requests are made; its timeouts say when a connection has stalled.
        headers: sent to the hub with each.
        sleep: waits that many seconds between attempts.
    """

    client: httpx.Client
    headers: dict[str, str]
    sleep: Callable[[float], None]

    def fetch(self, file: RemoteFile, blob: Path, report: FileReport) -> None:
        """Make `blob` the whole, verified file.

        Raises:
            ModelUnavailableError: the connection broke again and again, or what arrives is not
                what the hub says it is. What has arrived stays, and the next attempt goes on there.
            StorageFullError: the disk has no room for it.
        """
        incomplete = blob.with_name(blob.name + INCOMPLETE_SUFFIX)
        for _ in range(CORRUPT_ATTEMPTS):
            self._bring(file, incomplete, report)
            report("verify", file.size_bytes)
            if digest_matches(incomplete, file.etag):
                incomplete.replace(blob)
                return
            incomplete.unlink()
        raise ModelUnavailableError(
            f"{file.name} arrived damaged {CORRUPT_ATTEMPTS} times: its checksum is not the one "
            f"that {httpx.URL(file.url).host} names. A proxy or mirror in between may change it; "
            "try another network, or unset HF_ENDPOINT."
        )

    def _bring(self, file: RemoteFile, incomplete: Path, report: FileReport) -> None:
        """Fetch what is missing, over as many connections as it takes."""
        failures = 0
        most = have = _size(incomplete)
        while have != file.size_bytes:
            if have > file.size_bytes:
                incomplete.unlink()
                have = 0
            _require_space(incomplete, file.size_bytes - have)
            try:
                self._stream(file, incomplete, have, report)
                reason = "the connection ended early, or too much arrived"
            except httpx.RequestError as error:
                reason = str(error) or type(error).__name__
            except OSError as error:
                raise _disk_error(error, incomplete) from error
            have = _size(incomplete)
            if have == file.size_bytes:
                return
            failures = 0 if most < have < file.size_bytes else failures + 1
            most = max(most, have)
            if failures == ATTEMPTS:
                raise ModelUnavailableError(
                    f"The download of {file.name} keeps breaking off ({reason}). What has arrived "
                    "is kept: run `verbatim models pull` again to go on from there."
                )
            self.sleep(FIRST_PAUSE_S * 2**failures)

    def _stream(self, file: RemoteFile, incomplete: Path, have: int, report: FileReport) -> None:
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self.client.stream(
            "GET", file.url, headers=headers, follow_redirects=True
        ) as response:
            if response.status_code in RETRIED_STATUSES:
                raise httpx.RemoteProtocolError(f"status {response.status_code}")
            if response.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
                raise ModelUnavailableError(
                    f"{httpx.URL(file.url).host} answered {response.status_code} when asked for "
                    f"{file.name}. Try again later."
                )
            # A server that ignores the range sends everything: start over.
            goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
            with incomplete.open("ab" if goes_on else "wb") as output:
                for chunk in response.iter_raw():
                    output.write(chunk)
                    report("download", output.tell())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _require_space(path: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(path.parent).free
    if free_bytes < needed_bytes:
        raise StorageFullError(
            f"The download needs {needed_bytes / 1e6:,.0f} MB more in {path.parent}, and only "
            f"{free_bytes / 1e6:,.0f} MB are free. Make room, or set HF_HOME to a folder on "
            "another disk."
        )


def _disk_error(error: OSError, path: Path) -> StorageFullError | ModelUnavailableError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFullError(
            f"The disk filled up while downloading into {path.parent}. Make room and try again: "
            "the download goes on where it stopped."
        )
    return unwritable(error, path.parent)


def unwritable(error: OSError, folder: Path) -> ModelUnavailableError:
    """The error for a cache folder that cannot be written to."""
    return ModelUnavailableError(
        f"Models cannot be kept in {folder} ({error.strerror or error}). Make it writable, or set "
        "HF_HOME to a folder that is."
    )
