"""Memory and processor time of a process with its children, as Linux counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_SHARED_OUT: Final = ("smaps_rollup", "Pss")
_RESIDENT: Final = ("status", "VmRSS")
_PEAK: Final = ("status", "VmHWM")
_KIB: Final = 1024
_USER_TICKS: Final = 11
_SYSTEM_TICKS: Final = 12
"""Places in `/proc/PID/stat` after the name (proc(5) counts from 1 and from the start)."""
_FORGET_PEAK: Final = "5"


def held_bytes(pid: int, proc: Path = PROC) -> int:
    """What a process and its descendants hold now; pages that several share count once."""
    return sum(_field(one, _SHARED_OUT, proc) for one in tree(pid, proc))


def resident_bytes(pid: int, proc: Path = PROC) -> int:
    """The same, but pages that several share count for each."""
    return sum(_field(one, _RESIDENT, proc) for one in tree(pid, proc))


def peak_bytes(pid: int, proc: Path = PROC) -> int:
    """The sum of the most that was resident in each of them since `forget_peak`, or its start.

    An upper bound of what they held together.
    """
    return sum(_field(one, _PEAK, proc) for one in tree(pid, proc))


def processor_s(pid: int, proc: Path = PROC) -> float:
    """Seconds on a core that a process and its living descendants have used."""
    return sum(_ticks(one, proc) for one in tree(pid, proc)) / os.sysconf("SC_CLK_TCK")


def forget_peak(pid: int, proc: Path = PROC) -> None:
    """Let peaks be counted from now on."""
    for one in tree(pid, proc):
        (proc / str(one) / "clear_refs").write_text(_FORGET_PEAK)


def tree(pid: int, proc: Path = PROC) -> Iterator[int]:
    """A process and its descendants; one that ends meanwhile is left out."""
    yield pid
    for children in (proc / str(pid) / "task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from tree(int(child), proc)


def _field(pid: int, field: tuple[str, str], proc: Path) -> int:
    """A value of a process; 0 for one that ended meanwhile."""
    file, name = field
    try:
        lines = (proc / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(next(values, "0")) * _KIB


def _ticks(pid: int, proc: Path) -> int:
    """Clock ticks in user and system mode; 0 for a process that ended meanwhile."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # The name before it is in brackets and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
