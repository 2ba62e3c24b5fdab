"""Which model "auto" means on a machine: a table, and an order for what is already there.

    GPU memory    model              processor              model
    ≥ 10 GB       large-v3           ≥ 4 cores, ≥ 4 GB      small
    ≥ 4 GB        large-v3-turbo     ≥ 2 cores, ≥ 2 GB      base
    ≥ 2 GB        small              less                   tiny
    less          base

What is installed wins over what would have to be downloaded: first the model of the table, then
smaller ones, then larger ones that fit into memory, then those that know English only.
"""

from __future__ import annotations

from typing import Final

from verbatim.engine.hardware import Hardware
from verbatim.engine.known_models import KNOWN_MODELS, KnownModel

GB: Final = 1_000_000_000

_GPU_TABLE: Final = ((10 * GB, "large-v3"), (4 * GB, "large-v3-turbo"), (2 * GB, "small"))
_GPU_LEAST: Final = "base"
_CPU_TABLE: Final = ((4, 4 * GB, "small"), (2, 2 * GB, "base"))
_CPU_LEAST: Final = "tiny"
_NOMINAL: Final = 0.95
"""Part of its nominal memory that a machine or card shows at least."""

_MULTILINGUAL: Final = (
    "large-v3",
    "large-v2",
    "large-v1",
    "large-v3-turbo",
    "medium",
    "small",
    "base",
    "tiny",
)
"""From the most able to the least; models that translate come before one that does not."""

_BY_NAME: Final = {model.name: model for model in KNOWN_MODELS}

_MEMORY_FACTOR: Final = 1.3
_MEMORY_BASE_BYTES: Final = GB // 2


def memory_needed_bytes(model: KnownModel) -> int:
    """About what a loaded model takes: its float16 weights and the buffers of a decoding."""
    return int(model.download_bytes * _MEMORY_FACTOR) + _MEMORY_BASE_BYTES


def wanted_model(hardware: Hardware, device: str) -> KnownModel:
    """What a machine should have; `device` is that of the settings ("cpu" ignores GPUs)."""
    return _BY_NAME[_wanted_name(hardware, device)]


def _wanted_name(hardware: Hardware, device: str) -> str:
    if hardware.gpus and device != "cpu":
        memory = max(gpu.memory_bytes for gpu in hardware.gpus)
        return next((name for least, name in _GPU_TABLE if memory >= least * _NOMINAL), _GPU_LEAST)
    return next(
        (
            name
            for cores, memory, name in _CPU_TABLE
            if hardware.cores >= cores and hardware.memory_bytes >= memory * _NOMINAL
        ),
        _CPU_LEAST,
    )


def preferred_models(hardware: Hardware, device: str) -> tuple[KnownModel, ...]:
    """All known models that fit, best first for this machine."""
    wanted = wanted_model(hardware, device)
    on_gpu = hardware.gpus and device != "cpu"
    memory = max(gpu.memory_bytes for gpu in hardware.gpus) if on_gpu else hardware.memory_bytes
    multilingual = [_BY_NAME[name] for name in _MULTILINGUAL]
    place = multilingual.index(wanted)
    english = sorted(
        (model for model in KNOWN_MODELS if model.english_only),
        key=lambda model: abs(model.parameters - wanted.parameters),
    )
    ordered = (*multilingual[place:], *reversed(multilingual[:place]), *english)
    return tuple(m for m in ordered if m is wanted or memory_needed_bytes(m) <= memory)
