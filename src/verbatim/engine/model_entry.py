"""A model that is on this machine, as lists show it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from verbatim.engine.hub_cache import size_bytes
from verbatim.engine.known_models import find_known
from verbatim.engine.model_folder import WEIGHTS_FILE, ModelSource


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that is on this machine.

    Attributes:
        name: how to ask for it.
        aliases: other names that lead to it.
        size_bytes: what it takes on disk.
        created: when it came here, in seconds since 1970.
        repository: the hub's name for it, where it has one.
    """

    name: str
    aliases: tuple[str, ...]
    folder: Path
    size_bytes: int
    source: ModelSource
    created: int
    repository: str | None = None


def model_entry(
    name: str, aliases: tuple[str, ...], folder: Path, source: ModelSource
) -> ModelEntry:
    """Look at a folder's files for their size and age."""
    created = int((folder / WEIGHTS_FILE).stat().st_mtime)
    return ModelEntry(name, aliases, folder, size_bytes(folder), source, created)


def folder_entry(folder: Path) -> ModelEntry:
    """A folder of the models directory, under its own name."""
    known = find_known(folder.name)
    entry = model_entry(folder.name, known.aliases if known else (), folder, "folder")
    return replace(entry, repository=known.repository if known else None)


def cache_entry(repository: str, snapshot: Path) -> ModelEntry:
    """A model of the hub's cache, under its known name where it has one."""
    known = find_known(repository)
    aliases = (known.repository, *known.aliases) if known else ()
    entry = model_entry(known.name if known else repository, aliases, snapshot, "cache")
    return replace(entry, repository=repository)
