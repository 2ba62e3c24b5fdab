"""The home folder, also of a user who has none: one without a name, as containers run them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NOWHERE: Final = Path("/")
"""What container engines set HOME to for such a user."""


def home_folder() -> Path:
    """The user's home folder, or `NOWHERE`."""
    try:
        return Path.home()
    except RuntimeError:
        return NOWHERE


def expanded(path: Path) -> Path:
    """A path with its `~` replaced.

    Raises:
        ValueError: there is no such folder.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no home folder for ~; write the path in full") from error
