"""The seam between Verbatim and whatever runs a Whisper model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError
from verbatim.domain.transcript import TranscriptWarning, WindowResult
from verbatim.engine.encoder_choice import CTRANSLATE2, EncoderName
from verbatim.engine.lengths import FULL_LENGTH_S


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where and how a model is loaded; "auto" and 0 let the hardware decide.

    Attributes:
        cpu_threads: cores that inference on a CPU uses.
        cpu_workers: batches that are decoded there at the same time, sharing these cores.
        short_context: encode short windows at a length that fits them, see `engine.lengths`.
        encoder: "auto", "ctranslate2" or "openvino", on a CPU; see `engine.cpu_encoder`.
        data_dir: where what was measured about encoders is kept; None measures at each load.
    """

    device: str = "auto"
    device_indexes: tuple[int, ...] = (0,)
    compute_type: str = "auto"
    cpu_threads: int = 0
    cpu_workers: int = 0
    batch_size: int = 0
    short_context: bool = True
    encoder: EncoderName = "auto"
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What is loaded, and where.

    Attributes:
        model: the name under which it was asked for, resolved ("tiny", "verbatim-demo", a folder).
        languages: codes the model knows; ("en",) for an English-only one.
        device: "cpu" or "cuda".
        batch_size: how many windows it likes to be given at once.
        lengths_s: seconds of audio that it encodes at once, rising, the last one 30 s: a window
            costs what the one that `engine.lengths.length_for` gives costs.
        workers: batches that each device decodes at the same time.
        encoder: what encodes: "ctranslate2", or "openvino-" and a number format.
        warnings: what every transcript made with it should say (the demo model, a device that
            did not work).
    """

    model: str
    languages: tuple[str, ...]
    device: str
    device_indexes: tuple[int, ...]
    compute_type: str
    batch_size: int
    lengths_s: tuple[float, ...] = FULL_LENGTH_S
    workers: int = 1
    encoder: str = CTRANSLATE2
    warnings: tuple[TranscriptWarning, ...] = ()

    @property
    def multilingual(self) -> bool:
        """Whether it can tell languages apart and translate."""
        return len(self.languages) > 1

    @property
    def replicas(self) -> int:
        """How many batches it decodes at the same time on all devices."""
        return max(1, len(self.device_indexes)) * self.workers


class WindowsLostError(InternalError):
    """Some windows of a call break the engine whenever they are decoded; the others are done.

    Attributes:
        results: one for each window of the call, in order; None for those that are lost.
    """

    default_code = "engine_crashed"

    def __init__(self, message: str, results: Sequence[WindowResult | None] = ()) -> None:
        super().__init__(message)
        self.results = tuple(results)


class DeviceMemoryError(InternalError):
    """The device's memory does not even hold one window beside the model."""

    default_code = "out_of_memory"


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
            ModelUnavailableError: the model was lost and cannot be loaded again now.
            WindowsLostError: some windows cannot be decoded; it carries the others' results.
            DeviceMemoryError: a window alone is too much for the device.
            InternalError: the device failed.
        """
        ...

    def memory_bytes(self) -> int:
        """Main memory that the model takes, roughly; 0 where it is not known."""
        ...

    async def aclose(self) -> None:
        """Free the model. Calls in flight end first; calling twice is fine."""
        ...
