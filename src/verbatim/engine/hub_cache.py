"""The hub's cache on disk, shared with every other tool that uses it; nothing here needs a network.

The layout is the published one of the Hugging Face Hub's local cache: a folder a repository,
`models--OWNER--NAME`, with `blobs/ETAG`, `snapshots/COMMIT/FILE` (links to blobs) and
`refs/main`, which holds the commit that `main` was when it was last looked at. An ETag is the
SHA-256 of a large file, or the SHA-1 that git gives a small one.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from verbatim.engine.model_folder import looks_like_model

MAIN: Final = "main"
INCOMPLETE_SUFFIX: Final = ".incomplete"

_FOLDER_PREFIX: Final = "models--"
_SEPARATOR: Final = "--"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_HASH_CHUNK_BYTES: Final = 1 << 20


def is_repository_name(name: str) -> bool:
    """Whether it is a hub name, OWNER/NAME, which is then also safe as part of a path."""
    return _REPOSITORY.fullmatch(name) is not None and _SEPARATOR not in name and ".." not in name


def is_content_name(name: str) -> bool:
    """Whether a blob of this name can only hold one content: it is a hash of it."""
    return bool(_SHA256.fullmatch(name) or _GIT_SHA1.fullmatch(name))


def digest_matches(path: Path, etag: str) -> bool:
    """Whether a file's content is what its ETag says; one that is no known hash says nothing."""
    if _SHA256.fullmatch(etag):
        digest = hashlib.sha256()
    elif _GIT_SHA1.fullmatch(etag):
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % path.stat().st_size)
    else:
        return True
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == etag


@dataclass(frozen=True, slots=True)
class HubCache:
    """The cache in `folder`, which need not exist yet."""

    folder: Path

    def repository_folder(self, repository: str) -> Path:
        """Where a repository's files lie, or would."""
        return self.folder / (_FOLDER_PREFIX + repository.replace("/", _SEPARATOR))

    def models(self) -> dict[str, Path]:
        """The repositories that hold a complete Whisper model, each with its newest snapshot."""
        if not self.folder.is_dir():
            return {}
        names = sorted(
            path.name.removeprefix(_FOLDER_PREFIX).replace(_SEPARATOR, "/", 1)
            for path in self.folder.iterdir()
            if path.name.startswith(_FOLDER_PREFIX)
        )
        snapshots = ((name, self.snapshot(name)) for name in names)
        return {name: snapshot for name, snapshot in snapshots if snapshot is not None}

    def snapshot(self, repository: str) -> Path | None:
        """The folder of a complete Whisper model: `main`'s, else the newest other; None if none."""
        base = self.repository_folder(repository)
        if not is_repository_name(repository) or not base.is_dir():
            return None
        others = (base / "snapshots").glob("*/")
        candidates = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
        if (commit := self.main_commit(repository)) is not None:
            candidates.insert(0, base / "snapshots" / commit)
        return next((path for path in candidates if looks_like_model(path)), None)

    def main_commit(self, repository: str) -> str | None:
        """The commit that `main` was when the repository was last fetched."""
        try:
            path = self.repository_folder(repository) / "refs" / MAIN
            commit = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None
        return commit if _GIT_SHA1.fullmatch(commit) else None

    def damaged_files(self, snapshot: Path) -> tuple[Path, ...]:
        """The files of a snapshot whose content is not what their ETag says."""
        return tuple(
            path
            for path in sorted(snapshot.iterdir())
            if path.is_symlink() and not digest_matches(path, path.readlink().name)
        )

    def remove(self, repository: str) -> int:
        """Delete everything of a repository; gives the bytes that this freed."""
        # Blobs may be shared between repositories; the hub's own code knows which can go.
        from huggingface_hub import scan_cache_dir  # noqa: PLC0415  imported when needed: slow

        base = self.repository_folder(repository)
        freed_bytes = size_bytes(base)
        cache = scan_cache_dir(self.folder)
        for found in cache.repos:
            if found.repo_path.resolve() == base.resolve():
                # Only this one: another repository may have a commit of the same name.
                alone = replace(cache, repos=frozenset({found}))
                commits = (revision.commit_hash for revision in found.revisions)
                alone.delete_revisions(*commits).execute()
        shutil.rmtree(base, ignore_errors=True)
        return freed_bytes


def size_bytes(folder: Path) -> int:
    """What the files in a folder take; one that several names lead to counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
