"""The machine that figures belong to."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime

from verbatim.engine.hardware import measure_hardware


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run was measured on.

    Attributes:
        processor: its name.
        features: instructions that matter for inference, by Linux's names.
        cores: that may be used.
        memory_bytes: that may be used.
        gpus: names.
        system: operating system and Python.
        date: of the run, UTC.
    """

    processor: str
    features: tuple[str, ...]
    cores: int
    memory_bytes: int
    gpus: tuple[str, ...]
    system: str
    date: str


def this_machine() -> Machine:
    """Look at the machine."""
    hardware = measure_hardware()
    return Machine(
        processor=hardware.processor,
        features=hardware.features,
        cores=hardware.cores,
        memory_bytes=hardware.memory_bytes,
        gpus=tuple(gpu.name for gpu in hardware.gpus),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        date=datetime.now(UTC).date().isoformat(),
    )
