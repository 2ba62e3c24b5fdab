"""What a dialect is given to work with."""

from __future__ import annotations

from dataclasses import dataclass

from verbatim.engine.catalog import Catalog
from verbatim.pipeline.service import TranscriptionService
from verbatim.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every dialect when the application is made; nothing is looked up globally."""

    settings: Settings
    service: TranscriptionService
    catalog: Catalog
