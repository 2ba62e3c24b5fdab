"""Which model it was, as Deepgram's answers name models."""

from __future__ import annotations

import uuid
from typing import Any, Final

ARCHITECTURE: Final = "whisper"
NAMESPACE: Final = uuid.UUID("6f1d2a7e-6f0d-5b7c-9a55-6d0f3f0c1f10")
"""Ours, so that a model has the same id everywhere."""


def model_uuid(name: str) -> str:
    """An id that is always the same for a name."""
    return str(uuid.uuid5(NAMESPACE, name))


def model_info(name: str, version: str) -> dict[str, Any]:
    """What there is to tell of a model."""
    return {"name": name, "version": version, "arch": ARCHITECTURE}
