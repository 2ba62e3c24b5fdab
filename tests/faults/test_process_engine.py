"""What happens when a model's process crashes, hangs, grows, cannot start, or loses its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.support.odd_worker import __file__ as odd_worker
from tests.support.speech import samples_of

import verbatim
from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelUnavailableError,
    UnavailableError,
)
from verbatim.domain.request import DecodeOptions
from verbatim.engine.child import Child, ChildLimits, resident_bytes
from verbatim.engine.encoder_choice import CTRANSLATE2
from verbatim.engine.fake import FAKE_DESCRIPTION
from verbatim.engine.frames import Load, Prepare, WorkerSpec
from verbatim.engine.process import (
    LONGEST_PAUSE_S,
    START_TRIES,
    UNAVAILABLE_S,
    ProcessEngine,
    Supervision,
    pause_s,
)
from verbatim.engine.protocol import LoadOptions, WindowsLostError
from verbatim.engine.spare import Spare
from verbatim.engine.worker import LocalLoader

ROOT = Path(__file__).parents[2]
MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
PATIENCE_S = 60.0
MIB = 1024 * 1024

ODD = Supervision(command=(sys.executable, odd_worker))


def window(deed: str = "", value: int = 1) -> Window:
    """A second of sound; the engine says something else for each value."""
    return Window(np.full(16_000, value, np.int16), options=DecodeOptions(initial_prompt=deed))


@asynccontextmanager
async def odd_engine(
    name: str = "odd", supervision: Supervision = ODD
) -> AsyncIterator[ProcessEngine]:
    engine = await ProcessEngine.start(WorkerSpec(Path(), name), supervision, time.monotonic)
    try:
        yield engine
    finally:
        await engine.aclose()


def pid_of(engine: ProcessEngine) -> int:
    assert engine.pid is not None
    return engine.pid


def gone(pid: int) -> bool:
    """Whether nothing is left of a process, not even its exit status."""
    return not Path(f"/proc/{pid}").exists()


def ended(pid: int) -> bool:
    """Whether a process is gone; one that only waits to be reaped by a stranger counts."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until_other(engine: ProcessEngine, pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while engine.pid in (None, pid):  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)


async def test_a_crash_costs_no_request(tmp_path: Path) -> None:
    async with odd_engine() as engine:
        before = pid_of(engine)
        calls = [engine.run([window(value=i)]) for i in range(5)]
        crashing = engine.run([window(f"crash-once {tmp_path / 'once'}"), window(value=9)])
        results = await asyncio.wait_for(asyncio.gather(crashing, *calls), PATIENCE_S)
        assert all(result.segments for each in results for result in each)
        assert [len(each) for each in results] == [2, 1, 1, 1, 1, 1]
        assert pid_of(engine) != before
        assert ended(before)


async def test_what_crashes_twice_is_named_and_others_are_served() -> None:
    async with odd_engine() as engine:
        others = [asyncio.create_task(engine.run([window(value=i)])) for i in range(6)]
        with pytest.raises(WindowsLostError, match="crashed the speech engine twice") as lost:
            await asyncio.wait_for(
                engine.run([window(value=3), window("crash"), window(value=4)]), PATIENCE_S
            )
        first, second, third = lost.value.results
        assert second is None
        alone = await engine.run([window(value=3), window(value=4)])
        assert [first, third] == alone
        assert all(result.segments for each in await asyncio.gather(*others) for result in each)
        assert lost.value.code == "engine_crashed"
        assert isinstance(lost.value, InternalError)


async def test_a_kill_from_outside_is_survived_by_all_in_flight() -> None:
    async with odd_engine() as engine:
        calls = [asyncio.create_task(engine.run([window("take 0.1", i)])) for i in range(8)]
        await asyncio.sleep(0.15)
        os.kill(pid_of(engine), signal.SIGKILL)
        results = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE_S)
        assert all(each[0].segments for each in results)


async def test_an_idle_process_that_dies_is_replaced_at_once() -> None:
    async with odd_engine() as engine:
        before = pid_of(engine)
        os.kill(before, signal.SIGKILL)
        await until_other(engine, before)
        assert (await engine.run([window()]))[0].segments


async def test_a_kill_that_comes_too_late_does_not_hide_how_a_process_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = threading.Event()
    waitpid = os.waitpid

    def slow_waitpid(pid: int, options: int) -> tuple[int, int]:
        """As the event loop's watcher finds it where it comes to look after the kill."""
        assert killed.wait(PATIENCE_S)
        return waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", slow_waitpid)
    child = await Child.begin(ODD.command, ChildLimits())
    await child.load(WorkerSpec(Path(), "odd"))
    os.kill(child.pid, signal.SIGUSR1)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop must not see it
    killing = asyncio.create_task(child.kill())
    asyncio.get_running_loop().call_soon(killed.set)
    await killing
    assert str(child.death) == "was ended by SIGUSR1"


async def test_what_hangs_is_killed_and_tried_again(tmp_path: Path) -> None:
    limits = ChildLimits(window_s=1.5)
    async with odd_engine(supervision=Supervision(limits, command=ODD.command)) as engine:
        hanging = engine.run([window(f"hang-once {tmp_path / 'once'}")])
        (result,) = await asyncio.wait_for(hanging, PATIENCE_S)
        assert result.segments
        with pytest.raises(WindowsLostError):
            await asyncio.wait_for(engine.run([window("hang")]), PATIENCE_S)


async def test_the_event_loop_stays_free_meanwhile(tmp_path: Path) -> None:
    """A turn of the loop never takes as long as any part of a restart."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(0.001)
            # Processor time of this thread: a busy machine is nobody's fault.
            longest_s = max(longest_s, time.thread_time() - before_s)

    async with odd_engine() as engine:
        watching = asyncio.create_task(watch())
        long = Window(np.ones(480_000, np.int16))
        await engine.run([long] * 40)
        await engine.run([window(f"crash-once {tmp_path / 'once'}"), *[long] * 3])
        watching.cancel()
    assert longest_s < 0.1


async def test_a_process_that_dies_at_start_is_tried_again(tmp_path: Path) -> None:
    async with odd_engine(f"dies-once {tmp_path / 'once'}") as engine:
        assert (await engine.run([window()]))[0].segments


async def test_a_process_that_always_dies_at_start_makes_the_model_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("verbatim.engine.process.FIRST_PAUSE_S", 0.01)
    with capture_logs() as logs, pytest.raises(ModelUnavailableError) as unavailable:
        async with odd_engine("dies"):
            pass
    assert "ended with status 3" in unavailable.value.message
    assert "libodd.so.1: cannot open shared object file" in unavailable.value.message
    assert unavailable.value.retry_after_s == UNAVAILABLE_S
    deaths = [line for line in logs if line["event"] == "a model's process died at start"]
    assert len(deaths) == START_TRIES


async def test_a_model_that_cannot_be_loaded_again_is_unavailable_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    # No process comes up any more, then all is well again.
    spec = WorkerSpec(Path(), "odd")
    engine = await ProcessEngine.start(spec, ODD, lambda: now_s)
    monkeypatch.setattr("verbatim.engine.process.FIRST_PAUSE_S", 0.01)
    real, starts = Child.begin, 0

    async def no_start(*arguments: Any) -> Any:
        nonlocal starts
        starts += 1
        return await real(("/nowhere/python",), ChildLimits())

    monkeypatch.setattr(Child, "begin", no_start)
    os.kill(pid_of(engine), signal.SIGKILL)
    for _ in range(3):
        with pytest.raises(ModelUnavailableError, match="could not be started: No such file"):
            await asyncio.wait_for(engine.run([window("take 0.5")]), PATIENCE_S)
    assert starts == START_TRIES
    monkeypatch.setattr(Child, "begin", real)
    now_s = UNAVAILABLE_S
    assert (await asyncio.wait_for(engine.run([window()]), PATIENCE_S))[0].segments
    await engine.aclose()


async def test_a_start_that_hangs_is_ended() -> None:
    limits = ChildLimits(start_s=1.0)
    child = await Child.begin(ODD.command, limits)
    with pytest.raises(Exception, match="did not load the model within 1 s"):
        await asyncio.wait_for(child.load(WorkerSpec(Path(), "hangs")), PATIENCE_S)


async def test_an_error_of_the_loading_travels_as_itself() -> None:
    with pytest.raises(ModelUnavailableError, match=r"^This model is broken.$"):
        async with odd_engine("unavailable"):
            pass


@pytest.mark.parametrize("at_load", [True, False])
async def test_an_unknown_error_is_for_the_log(at_load: bool) -> None:
    with capture_logs() as logs, pytest.raises((InternalError, ModelUnavailableError)) as told:
        async with odd_engine("bug" if at_load else "odd") as engine:
            await engine.run([window("fail")])
    assert "secret" not in told.value.message
    assert any("KeyError: 'a secret of the code'" in str(line.get("exception")) for line in logs)


async def test_an_error_of_the_engine_travels_as_itself() -> None:
    async with odd_engine() as engine:
        before = engine.pid
        with pytest.raises(BadRequestError) as refused:
            await engine.run([window("refuse")])
        error = refused.value
        assert (error.message, error.param, error.code) == ("This is refused.", "prompt", "refused")
        assert engine.pid == before


async def test_what_the_process_prints_is_logged_and_bounded() -> None:
    logs: list[MutableMapping[str, Any]]
    with capture_logs() as logs:
        async with odd_engine() as engine:
            await engine.run([window("talk")])
    said = [str(line["line"]) for line in logs if line["event"] == "a model's process says"]
    assert said[-1] == "last words without an end"
    assert max(map(len, said)) <= 2_000


async def test_a_process_that_grows_is_replaced_and_nobody_notices() -> None:
    supervision = Supervision(max_memory_bytes=300 * MIB, min_life_s=0.0, command=ODD.command)
    with capture_logs() as logs:
        async with odd_engine(supervision=supervision) as engine:
            before = pid_of(engine)
            assert 0 < engine.memory_bytes() < 300 * MIB
            deeds = [f"hoard {300 * MIB}", *["take 0.05"] * 6]
            calls = (engine.run([window(deed)]) for deed in deeds)
            results = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE_S)
            assert all(each[0].segments for each in results)
            await until_other(engine, before)
            assert engine.memory_bytes() < 300 * MIB
            assert ended(before)
    assert not [line for line in logs if line["event"] == "windows are tried again"]


async def test_a_process_without_work_gives_its_memory_back() -> None:
    async with odd_engine() as engine:
        await engine.run([window()])
        before = engine.memory_bytes()
        await engine.run([window(f"litter {200 * MIB}")])
        assert engine.memory_bytes() > before + 150 * MIB
        async with asyncio.timeout(PATIENCE_S):
            while engine.memory_bytes() > before + 50 * MIB:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


async def test_a_caller_may_leave_and_the_engine_goes_on(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    async with odd_engine() as engine:
        before = engine.pid
        leaving = [asyncio.create_task(engine.run([window(f"until {go_on}")])) for _ in range(5)]
        await asyncio.sleep(0.1)
        for each in leaving:
            each.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*leaving, return_exceptions=True)
        )
        go_on.touch()
        assert (await asyncio.wait_for(engine.run([window()]), PATIENCE_S))[0].segments
        assert engine.pid == before


async def test_what_nobody_waits_for_any_more_is_not_begun_in_the_process(tmp_path: Path) -> None:
    kept, dropped, go_on = (tmp_path / name for name in ("kept", "dropped", "go on"))
    async with odd_engine() as engine:
        running = asyncio.create_task(engine.run([window(f"until {go_on}")]))
        await asyncio.sleep(0.1)
        leaving = asyncio.create_task(engine.run([window(f"touch {dropped}")]))
        await asyncio.sleep(0.1)
        leaving.cancel()
        staying = asyncio.create_task(engine.run([window(f"touch {kept}")]))
        await asyncio.sleep(0.1)
        go_on.touch()
        await asyncio.wait_for(asyncio.gather(running, staying), PATIENCE_S)
    assert kept.exists()
    assert not dropped.exists()


async def test_the_next_batch_is_in_the_process_while_one_is_decoded(tmp_path: Path) -> None:
    arrived, too_early = tmp_path / "arrived", tmp_path / "too early"
    async with odd_engine() as engine:
        running = asyncio.create_task(engine.run([window("hang-once " + str(tmp_path / "once"))]))
        await asyncio.sleep(0.1)
        following = asyncio.create_task(engine.run([window(f"arrive {arrived}")]))
        last = asyncio.create_task(engine.run([window(f"arrive {too_early}")]))
        async with asyncio.timeout(PATIENCE_S):
            while not arrived.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert not running.done()
        assert not too_early.exists()
        os.kill(pid_of(engine), signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(running, following, last), PATIENCE_S)
        assert too_early.exists()


async def test_callers_that_leave_at_any_moment_leave_no_trace() -> None:
    async with odd_engine() as engine:
        before = engine.pid
        for turns in range(30):
            call = asyncio.create_task(engine.run([window()]))
            for _ in range(turns % 10):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        calls = [engine.run([window(value=value)]) for value in range(8)]
        results = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE_S)
        assert all(each[0].segments for each in results)
        assert engine.pid == before


async def test_closing_lets_calls_end_and_leaves_no_process() -> None:
    async with odd_engine() as engine:
        pid = pid_of(engine)
        call = asyncio.create_task(engine.run([window("take 0.3")]))
        await asyncio.sleep(0.05)
        await asyncio.gather(engine.aclose(), engine.aclose())
        assert (await call)[0].segments
        assert gone(pid)
        with pytest.raises(UnavailableError):
            await engine.run([window()])


@pytest.mark.parametrize("deed", ["hang", "freeze"])
async def test_closing_does_not_wait_for_what_nobody_waits_for(deed: str) -> None:
    # One that hangs ends when it is told to, long before that; one that froze is killed.
    limits = ChildLimits(stop_s=0.2 if deed == "freeze" else 2 * PATIENCE_S)
    async with odd_engine(supervision=Supervision(limits, command=ODD.command)) as engine:
        pid = pid_of(engine)
        call = asyncio.create_task(engine.run([window(deed)]))
        await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.wait_for(engine.aclose(), PATIENCE_S)
        assert gone(pid)


async def test_a_cancelled_start_leaves_no_process() -> None:
    starting = asyncio.create_task(
        ProcessEngine.start(WorkerSpec(Path(), "hangs"), ODD, time.monotonic)
    )
    children: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while not children:
            await asyncio.sleep(0.05)
            children = own_workers()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not own_workers()


WITH_SPARE = replace(ODD, spare_after_s=0.0)


async def spare_of(engine: ProcessEngine) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while (pid := engine.spare_pid) is None:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)
    return pid


async def test_a_process_is_kept_ready_and_takes_the_place_of_one_that_died() -> None:
    async with odd_engine(supervision=WITH_SPARE) as engine:
        before, spare = pid_of(engine), await spare_of(engine)
        os.kill(before, signal.SIGKILL)
        await until_other(engine, before)
        assert engine.pid == spare
        assert (await engine.run([window()]))[0].segments
        assert await spare_of(engine) not in {before, spare}


async def test_the_process_that_is_kept_prepares_the_model_and_tries_it_no_more(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "notes"
    async with odd_engine(f"note {notes}", supervision=WITH_SPARE) as engine:
        before, spare = pid_of(engine), await spare_of(engine)
        async with asyncio.timeout(PATIENCE_S):
            while len(notes.read_text().splitlines()) < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        os.kill(before, signal.SIGKILL)
        await until_other(engine, before)
        done = notes.read_text().splitlines()[:3]
    assert done == [
        f"{before} loads",
        f"{spare} prepares {FAKE_DESCRIPTION.encoder}",
        f"{spare} loads again",
    ]


async def test_where_the_process_that_was_kept_is_dead_too_another_is_begun() -> None:
    async with odd_engine(supervision=WITH_SPARE) as engine:
        before, spare = pid_of(engine), await spare_of(engine)
        os.kill(spare, signal.SIGKILL)
        os.kill(before, signal.SIGKILL)
        await until_other(engine, before)
        assert engine.pid != spare
        assert (await engine.run([window()]))[0].segments


async def test_the_process_that_is_kept_ends_with_the_model() -> None:
    async with odd_engine(supervision=WITH_SPARE) as engine:
        spare = await spare_of(engine)
        await engine.aclose()
        assert gone(spare)
        assert not own_workers()


async def test_no_process_is_kept_where_none_is_wanted() -> None:
    async with odd_engine(supervision=replace(ODD, spare_after_s=None)) as engine:
        await engine.run([window("take 0.2")])
        assert own_workers() == [engine.pid]


async def test_a_process_that_cannot_be_kept_is_told_and_does_no_harm() -> None:
    async def begin() -> Child:
        return await Child.begin(("/nowhere/python",), ChildLimits())

    spare = Spare(begin, 0.0)
    with capture_logs() as logs:
        spare.keep()
        async with asyncio.timeout(PATIENCE_S):
            while not logs:  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0.01)
    assert "No such file" in logs[0]["death"]
    assert spare.take() is None
    await spare.aclose()


def test_a_library_that_is_missing_is_told_when_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "verbatim.engine.local", None)
    loader = LocalLoader()
    loader.begin()
    with pytest.raises(ImportError):
        loader.load(Load(WorkerSpec(MODEL, "demo")))


async def test_what_was_prepared_changes_no_result() -> None:
    spec = WorkerSpec(MODEL, "demo", LoadOptions(device="cpu"))
    plain, prepared = LocalLoader(), LocalLoader()
    prepared.prepare(Prepare(spec, CTRANSLATE2))
    spoken = Window(to_pcm(samples_of("en-01")))
    results = []
    for demand, loader in ((Load(spec), plain), (Load(spec, tried=True), prepared)):
        engine = loader.load(demand)
        results.append(await engine.run([spoken]))
        await engine.aclose()
    assert results[0] == results[1]
    assert results[0][0].segments


def own_workers() -> list[int]:
    """Children of this process that are models' processes."""
    told = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line.split()[0]) for line in told.stdout.splitlines() if odd_worker in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_processes_is_for_the_parent(number: signal.Signals) -> None:
    async with odd_engine() as engine:
        pid = pid_of(engine)
        call = asyncio.create_task(engine.run([window("take 0.3")]))
        await asyncio.sleep(0.1)
        os.kill(pid, number)
        assert (await call)[0].segments
        assert engine.pid == pid
        assert os.getsid(pid) != os.getsid(os.getpid())


@pytest.mark.parametrize("deed", ["hang", "freeze"])
def test_a_process_does_not_outlive_its_parent(deed: str) -> None:
    """Not even while it cannot look at its socket."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lonely_parent", deed],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert parent.stderr is not None
        with parent.stderr as said:
            pid = int(said.readline())
        time.sleep(0.2)
        assert not ended(pid)
    finally:
        parent.kill()
        parent.wait()
    deadline_s = time.monotonic() + PATIENCE_S
    while not ended(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


async def test_a_model_in_a_process_takes_no_memory_here() -> None:
    """Loading and unloading it again and again leaves this process as large as it was."""
    sizes = []
    for _ in range(3):
        engine = await ProcessEngine.start(WorkerSpec(MODEL, "demo"), Supervision(), time.monotonic)
        assert engine.memory_bytes() > MODEL.joinpath("model.bin").stat().st_size
        await engine.run([window()])
        pid = pid_of(engine)
        await engine.aclose()
        assert resident_bytes(pid) == 0
        sizes.append(resident_bytes(os.getpid()))
    assert sizes[-1] - sizes[0] < 8 * MIB


def test_pauses_grow_with_deaths_and_are_bounded() -> None:
    pauses = [pause_s(deaths) for deaths in range(20)]
    assert pauses[:4] == [0.0, 0.0, 0.5, 1.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
