"""The seam between Verbatim and whatever runs a Whisper model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from verbatim.domain.audio import Window
from verbatim.domain.transcript import TranscriptWarning, WindowResult


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What is loaded, and where.

    Attributes:
        model: the name under which it was asked for, resolved ("tiny", "verbatim-demo", a folder).
        languages: codes the model knows; ("en",) for an English-only one.
        device: "cpu" or "cuda".
        batch_size: how many windows it likes to be given at once.
        warnings: what every transcript made with it should say (the demo model, a device that
            did not work).
    """

    model: str
    languages: tuple[str, ...]
    device: str
    device_indexes: tuple[int, ...]
    compute_type: str
    batch_size: int
    warnings: tuple[TranscriptWarning, ...] = ()

    @property
    def multilingual(self) -> bool:
        """Whether it can tell languages apart and translate."""
        return len(self.languages) > 1


class Engine(Protocol):
    """A loaded model. It holds no state of any request, and may be called concurrently."""

    def describe(self) -> EngineDescription:
        """What is loaded; constant over the engine's life."""
        ...

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows, one result each, in order.

        Raises:
            BadRequestError: options that the model cannot serve (unknown language, translation by
                an English-only model).
            InternalError: the device failed.
        """
        ...

    async def aclose(self) -> None:
        """Free the model. Calls in flight end first; calling twice is fine."""
        ...
