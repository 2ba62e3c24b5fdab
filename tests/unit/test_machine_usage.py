"""What the server and the machine take, read from files as Linux writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verbatim.engine.usage import (
    LEAST_SPAN_S,
    NOT_KNOWN,
    ProcessorLoad,
    ProcessorMeter,
    available_bytes,
    family,
    server_bytes,
)

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """A machine of which only the files are there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now_s = 0.0
        self.processes: dict[int, float] = {os.getpid(): 0.0, 70: 0.0, 71: 0.0}
        self.write(busy_s=0.0, idle_s=0.0)

    def write(self, busy_s: float, idle_s: float) -> None:
        user, idle = round(busy_s * TICKS_PER_S), round(idle_s * TICKS_PER_S)
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc/stat").write_text(f"cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 …\n")
        children = {os.getpid(): "70 ", 70: "71 ", 71: ""}
        for pid, used_s in self.processes.items():
            task = self.root / f"proc/{pid}/task/{pid}"
            task.mkdir(parents=True, exist_ok=True)
            (task / "children").write_text(children[pid])
            half = round(used_s * TICKS_PER_S / 2)
            (self.root / f"proc/{pid}/stat").write_text(
                f"{pid} (a (strange) name) S 1 1 1 0 -1 4 0 0 0 0 {half} {half} 0 0 20 0"
            )
            (self.root / f"proc/{pid}/statm").write_text(f"900 {pid % 100 + 1} 3 4 0 5 0")

    def clock(self) -> float:
        return self.now_s


def test_loads_are_shares_of_all_cores_between_two_looks(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    meter = ProcessorMeter(4, machine.clock, tmp_path)
    machine.now_s = 10.0
    machine.processes |= {os.getpid(): 2.0, 70: 4.0, 71: 4.0}
    machine.write(busy_s=30.0, idle_s=10.0)
    assert meter.load() == ProcessorLoad(25.0, 75.0)
    machine.now_s += LEAST_SPAN_S / 2
    machine.write(busy_s=31.0, idle_s=10.0)
    assert meter.load() == ProcessorLoad(25.0, 75.0)
    machine.now_s += 10.0
    machine.write(busy_s=31.0, idle_s=50.0)
    assert meter.load() == ProcessorLoad(0.0, 2.4)


def test_a_process_that_ends_makes_no_load_below_zero(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.processes[71] = 100.0
    machine.write(busy_s=0.0, idle_s=0.0)
    meter = ProcessorMeter(1, machine.clock, tmp_path)
    machine.now_s = 1.0
    machine.processes[71] = 0.0
    machine.write(busy_s=0.0, idle_s=1.0)
    assert meter.load() == ProcessorLoad(0.0, 0.0)


def test_what_the_system_does_not_tell_is_not_known(tmp_path: Path) -> None:
    meter = ProcessorMeter(1, lambda: 0.0, tmp_path)
    assert meter.load() == NOT_KNOWN
    assert server_bytes(tmp_path) == available_bytes(tmp_path) == 0


def test_memory_of_the_server_is_that_of_all_its_processes(tmp_path: Path) -> None:
    Machine(tmp_path)
    assert list(family(tmp_path)) == [os.getpid(), 70, 71]
    assert server_bytes(tmp_path) == PAGE_BYTES * (os.getpid() % 100 + 1 + 71 + 72)


@pytest.mark.parametrize(
    ("limit", "current", "expected"),
    [("max", "5000", 4096 * 1024), ("6000", "5000", 1000), ("6000", "7000", 0)],
)
def test_a_containers_room_counts(tmp_path: Path, limit: str, current: str, expected: int) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9999 kB\nMemAvailable:    4096 kB\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{current}\n")
    assert available_bytes(tmp_path) == expected


def test_this_machine(tmp_path: Path) -> None:
    alone = server_bytes()
    assert alone > 10e6
    wait = "import sys; print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in list(family())
        assert server_bytes() > alone + 1e6
    assert child.pid not in list(family())
