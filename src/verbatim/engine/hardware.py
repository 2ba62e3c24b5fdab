"""What this machine has: processor, memory and GPUs, within the limits of its container."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FEATURES: Final = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
)
"""Instructions that speed inference up, by Linux's names; the last four are those of ARM."""

GPU_FRESH_S: Final = 10.0

_NVML_LIBRARY: Final = "libnvidia-ml.so.1"
_NVML_NAME_BYTES: Final = 96
_CGROUP_V1_UNLIMITED_BYTES: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver describes it; `used_bytes` of its memory are in use, by anybody."""

    name: str
    memory_bytes: int
    used_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a process may use here.

    Attributes:
        processor: the model's name.
        features: those of `FEATURES` that it has; empty where the system does not tell.
        cores: how many it may use, by affinity and container quota; a part of one counts as one.
        memory_bytes: of the machine or of the container, whichever is less.
        gpus: what the NVIDIA driver shows; `CUDA_VISIBLE_DEVICES` can hide all.
    """

    processor: str
    features: tuple[str, ...]
    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()


def measure_hardware(root: Path = Path("/")) -> Hardware:
    """Look at the machine; `root` is where `proc` and `sys` lie."""
    processor, flags = _processor(root)
    return Hardware(
        processor=processor,
        features=tuple(feature for feature in FEATURES if feature in flags),
        cores=usable_cores(root),
        memory_bytes=_memory_bytes(root),
        gpus=() if _gpus_hidden() else _gpus(),
    )


class GpuWatch:
    """The GPUs that this process sees, by CUDA's index, looked at again every few seconds.

    Args:
        clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: tuple[Gpu, ...] = ()
        self._seen_at_s: float | None = None

    def read(self) -> tuple[Gpu, ...]:
        """As they were a few seconds ago at most; looking takes milliseconds."""
        now_s = self._clock()
        if self._seen_at_s is None or now_s - self._seen_at_s >= GPU_FRESH_S:
            self._seen, self._seen_at_s = visible_gpus(_gpus()), now_s
        return self._seen


def visible_gpus(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Those that `CUDA_VISIBLE_DEVICES` shows, in its order; all where it names none by number."""
    if _gpus_hidden():
        return ()
    places = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if not all(place.isdecimal() for place in places):
        return tuple(gpus)
    return tuple(gpus[int(place)] for place in places if int(place) < len(gpus))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _processor(root: Path) -> tuple[str, frozenset[str]]:
    name = platform.processor() or platform.machine()
    flags: frozenset[str] = frozenset()
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in {"flags", "Features"}:
            flags = frozenset(value.split())
            break
    return name, flags


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: `taskset` and a container's quota may make them few.

    Args:
        root: where the system's files are.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota, _, period = _read(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        quota = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        allowed = min(allowed, -(-int(quota) // int(period)))
    return max(1, allowed)


def _memory_bytes(root: Path) -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (
        _read(root / "sys/fs/cgroup/memory.max"),
        _read(root / "sys/fs/cgroup/memory/memory.limit_in_bytes"),
    )
    known = [int(limit) for limit in limits if limit.isdigit()]
    return min([total, *(limit for limit in known if limit < _CGROUP_V1_UNLIMITED_BYTES)])


def _gpus_hidden() -> bool:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible is not None and visible.strip() in {"", "-1", "none"}


class _NvmlMemory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def _gpus() -> tuple[Gpu, ...]:
    """Ask NVIDIA's management library, which makes no CUDA context (a fork stays possible)."""
    try:
        nvml = ctypes.CDLL(_NVML_LIBRARY)
    except OSError:
        return ()
    if nvml.nvmlInit_v2() != 0:
        return ()
    try:
        count = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return ()
        found = [_gpu(nvml, index) for index in range(count.value)]
    finally:
        nvml.nvmlShutdown()
    return tuple(gpu for gpu in found if gpu is not None)


def _gpu(nvml: ctypes.CDLL, index: int) -> Gpu | None:
    handle = ctypes.c_void_p()
    memory = _NvmlMemory()
    name = ctypes.create_string_buffer(_NVML_NAME_BYTES)
    failed = (
        nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
        or nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
        or nvml.nvmlDeviceGetName(handle, name, _NVML_NAME_BYTES)
    )
    return None if failed else Gpu(name.value.decode(errors="replace"), memory.total, memory.used)
