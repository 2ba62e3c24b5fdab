"""Memory of a process with its children, as Linux counts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_RESIDENT: Final = "VmRSS"
_PEAK: Final = "VmHWM"
_KIB: Final = 1024
_FORGET_PEAK: Final = "5"


def resident_bytes(pid: int, proc: Path = PROC) -> int:
    """What a process and its descendants hold now; pages that they share count for each."""
    return sum(_field(one, _RESIDENT, proc) for one in _tree(pid, proc))


def peak_bytes(pid: int, proc: Path = PROC) -> int:
    """The sum of the most that each of them held since `forget_peak`, or its start.

    An upper bound of what they held together.
    """
    return sum(_field(one, _PEAK, proc) for one in _tree(pid, proc))


def forget_peak(pid: int, proc: Path = PROC) -> None:
    """Let peaks be counted from now on."""
    for one in _tree(pid, proc):
        (proc / str(one) / "clear_refs").write_text(_FORGET_PEAK)


def _tree(pid: int, proc: Path) -> Iterator[int]:
    """A process and its descendants; one that ends meanwhile is left out."""
    yield pid
    for children in (proc / str(pid) / "task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from _tree(int(child), proc)


def _field(pid: int, name: str, proc: Path) -> int:
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(next(values, "0")) * _KIB
