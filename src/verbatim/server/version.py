"""Which version runs."""

from __future__ import annotations

from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "verbatim-stt"


def installed_version() -> str:
    """The version of the installed package."""
    return metadata.version(DISTRIBUTION)
