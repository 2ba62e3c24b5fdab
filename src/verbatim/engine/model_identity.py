"""What tells one model's files from another's, however both are called."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Final

from verbatim.engine.hub_cache import is_content_name
from verbatim.engine.model_folder import ModelFiles

SMALL_BYTES: Final = 64 * 1024
"""Files up to this length are told by their content, not by their time."""


def model_identity(files: ModelFiles) -> str:
    """A digest that changes when the model's files do.

    A file of the hub's cache is told by the hash that it is stored under; of others, small ones
    by their content, large ones by length and time of change: hashing gigabytes takes seconds.

    Raises:
        OSError: the files cannot be looked at.
    """
    digest = hashlib.sha256(files.name.encode())
    for path in sorted(files.folder.iterdir()):
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            digest.update(f"\0{path.name}\0{_content(path, status.st_size)}".encode())
    return digest.hexdigest()


def _content(path: Path, length_bytes: int) -> str:
    if path.is_symlink() and is_content_name(path.readlink().name):
        return path.readlink().name
    if length_bytes <= SMALL_BYTES:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{length_bytes} {path.stat().st_mtime_ns}"
