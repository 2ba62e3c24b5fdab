"""How much of the machine this server and everything else take, as Linux tells it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAST_SPAN_S: Final = 0.5
"""Loads are over at least so long; the system counts processor time in steps of 10 ms."""
KIB: Final = 1024
PERCENT: Final = 100.0
_USER_TIME, _SYSTEM_TIME = 11, 12
"""Places in `/proc/PID/stat`, counted behind the command's name."""
_IDLE, _WAITING_FOR_DISK = 3, 4
"""Places in the first line of `/proc/stat`."""


@dataclass(frozen=True, slots=True)
class ProcessorLoad:
    """Shares of all the cores that may be used, 0 to 100; None where it cannot be told.

    Attributes:
        server: of this process and those it started.
        machine: of everything.
    """

    server: float | None
    machine: float | None


NOT_KNOWN: Final = ProcessorLoad(None, None)


@dataclass(frozen=True, slots=True)
class _Reading:
    at_s: float
    server_s: float
    machine_busy: float
    machine_all: float


class ProcessorMeter:
    """The processor's load between two looks at it.

    Args:
        cores: that the server may use.
        clock: seconds that only rise.
        root: where `proc` lies.
    """

    def __init__(self, cores: int, clock: Callable[[], float], root: Path = Path("/")) -> None:
        self._cores = cores
        self._clock = clock
        self._root = root
        self._last = self._read()
        self._load = NOT_KNOWN

    def load(self) -> ProcessorLoad:
        """The load since the last look, or of that look where it was just now."""
        last, now = self._last, self._read()
        if last is None or now is None:
            self._last = now
            return NOT_KNOWN
        span_s = now.at_s - last.at_s
        if span_s < LEAST_SPAN_S:
            return self._load
        server = (now.server_s - last.server_s) / (span_s * self._cores)
        ticks = now.machine_all - last.machine_all
        machine = (now.machine_busy - last.machine_busy) / ticks if ticks > 0 else 0.0
        self._last, self._load = now, ProcessorLoad(_percent(server), _percent(machine))
        return self._load

    def _read(self) -> _Reading | None:
        ticks_per_s = os.sysconf("SC_CLK_TCK")
        try:
            line = (self._root / "proc/stat").read_text().partition("\n")[0]
            times = [float(part) for part in line.split()[1:]]
            used = sum(_ticks(self._root, pid) for pid in family(self._root))
            idle = times[_IDLE] + times[_WAITING_FOR_DISK]
        except (OSError, ValueError, IndexError):
            return None
        return _Reading(self._clock(), used / ticks_per_s, sum(times) - idle, sum(times))


def family(root: Path = Path("/"), pid: int | None = None) -> Iterator[int]:
    """The numbers of a process, this one if none is given, and of all that come from it."""
    pid = pid or os.getpid()
    yield pid
    for children in (root / f"proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue  # it ended meanwhile
        for child in found:
            yield from family(root, int(child))


def server_bytes(root: Path = Path("/")) -> int:
    """Main memory that this process and those it started hold; 0 where it cannot be told."""
    return sum(_resident_bytes(root, pid) for pid in family(root))


def available_bytes(root: Path = Path("/")) -> int:
    """Main memory that can still be had, of the machine or of the container; 0: not known."""
    free = [
        int(line.split()[1]) * KIB
        for line in _lines(root / "proc/meminfo")
        if line.startswith("MemAvailable:")
    ]
    limit = _lines(root / "sys/fs/cgroup/memory.max")
    current = _lines(root / "sys/fs/cgroup/memory.current")
    if limit and current and limit[0].isdigit() and current[0].isdigit():
        free.append(max(0, int(limit[0]) - int(current[0])))
    return min(free, default=0)


def _percent(share: float) -> float:
    return round(min(1.0, max(0.0, share)) * PERCENT, 1)


def _ticks(root: Path, pid: int) -> float:
    """Processor time that a process has used; 0 where it ended meanwhile."""
    # A command's name may hold spaces and parentheses.
    stat = "".join(_lines(root / f"proc/{pid}/stat")).rpartition(")")[2].split()
    return float(stat[_USER_TIME]) + float(stat[_SYSTEM_TIME]) if stat else 0.0


def _resident_bytes(root: Path, pid: int) -> int:
    fields = "".join(_lines(root / f"proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
