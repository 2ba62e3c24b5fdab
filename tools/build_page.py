"""Builds the page for browsers before a package is made of it: a build hook of hatch."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB: Final = Path(__file__).parents[1] / "src" / "verbatim" / "web"
BUILT: Final = WEB / "dist" / "index.html"
NOT_SOURCES: Final = ("dist", "node_modules", "tests")
HELP: Final = (
    "The page for browsers is not built, and there is no npm to build it: install Node.js."
)


class PageHook(BuildHookInterface[Any]):
    """Puts the built page into wheels and source archives."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page where that is to be done; an editable install works without."""
        del build_data
        if version != "editable":
            build()


def build() -> None:
    """Bring the built page up to date.

    Raises:
        RuntimeError: there is no npm, and nothing that was built before.
    """
    if is_fresh():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(HELP)
    installed = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--silent"], cwd=WEB, check=True)
    subprocess.run([npm, "run", "--silent", "build"], cwd=WEB, check=True)


def is_fresh() -> bool:
    """Whether the page was built after the last change to its sources."""
    if not BUILT.is_file():
        return False
    built_at = BUILT.stat().st_mtime
    return all(path.stat().st_mtime <= built_at for path in sources())


def sources() -> Iterator[Path]:
    """The files that the page is built from."""
    for path in WEB.iterdir():
        if path.name not in NOT_SOURCES:
            yield from (p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())
