"""The benchmark's driver with contenders that do as they are told, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import resources
from benchmarks.__main__ import chosen
from benchmarks.driver import Driver, shortened
from benchmarks.install import calls
from benchmarks.machine import Machine
from benchmarks.messages import BurstJob, FileJob
from benchmarks.models import RECIPE, ModelFormat
from benchmarks.peers import EVERYBODY, Peer, configured
from benchmarks.recordings import RecordingStore, windows_as_cut
from benchmarks.results import Result
from benchmarks.scenarios import BY_DEFAULT, SCENARIOS, SLOW, SLOW_ROUNDS, Kind, Scenario
from tests.support.fake_contender import WINDOWS

from verbatim.stages.decode_audio import decode_all

FAKE = Peer("good", "tests.support.fake_contender", ModelFormat.CTRANSLATE2_INT8)
MACHINE = Machine("A Processor", ("avx2",), 1, 1 << 30, (), "Linux", "2026-01-02")
FILE = Scenario("file", "File", "", Kind.FILE, (FAKE,), FAKE.name, seconds=2.0, tokens=7)
ROUNDS = 2


def told(name: str, **options: str | int | bool) -> Peer:
    return replace(FAKE, name=name, options=options)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    # The fake needs no model, so that there is something in its place is enough.
    (tmp_path / "models" / f"tiny-{RECIPE}" / FAKE.form.value).mkdir(parents=True)
    lines: list[str] = []
    return Driver(tmp_path, MACHINE, ROUNDS, lines.append)


def measured(driver: Driver, *peers: Peer) -> Result:
    return driver.run(replace(FILE, peers=peers), "tiny")


def test_contenders_are_measured(driver: Driver) -> None:
    result = measured(driver, FAKE, told("other"))
    assert [row.contender for row in result.rows] == ["good", "other"]
    for row in result.rows:
        assert row.absent is None
        assert len(row.outcomes) == ROUNDS
        assert all(outcome.tokens == (7,) * WINDOWS for outcome in row.outcomes)
        assert all(0 < outcome.first_s <= outcome.wall_s for outcome in row.outcomes)
        assert row.loaded_bytes > 0
        assert (row.versions, row.remark) == ({"fake": "1.0"}, "float1")
    assert result.audio_s == 2.0


def test_who_does_other_work_has_no_figures(driver: Driver) -> None:
    good, other = measured(driver, FAKE, told("other", more_tokens=1)).rows
    assert good.outcomes
    assert other.failed
    assert not other.outcomes
    assert other.absent == "it did other work: not 7 tokens in each window, but 3 of 8"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("cannot_load", "RuntimeError: no such format"),
        ("fails", "ValueError: it hurts"),
        ("dies", "its process ended (signal SIGABRT)"),
    ],
)
def test_who_breaks_is_listed_and_the_others_go_on(
    driver: Driver, option: str, reason: str
) -> None:
    broken, good = measured(driver, told("broken", **{option: True}), FAKE).rows
    assert len(good.outcomes) == ROUNDS
    assert broken.failed
    assert broken.absent is not None
    assert broken.absent.startswith(reason)


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (replace(FAKE, imports=("no_such_module",)), "no_such_module is not installed"),
        (replace(FAKE, preload="libnone.so.9"), "libnone.so.9 is not installed"),
        (replace(FAKE, features=frozenset({"amx_bf16"})), "the processor has none of amx_bf16"),
    ],
)
def test_who_cannot_take_part_here_is_listed_and_no_failure(
    driver: Driver, peer: Peer, reason: str
) -> None:
    (row,) = measured(driver, peer).rows
    assert row.absent is not None
    assert reason in row.absent
    assert not row.failed


def test_a_model_that_cannot_be_made_is_a_reason(driver: Driver) -> None:
    (row,) = measured(driver, replace(FAKE, form=ModelFormat.OPENAI)).rows
    assert row.absent == "torch is not installed"


def test_a_burst_has_an_answer_for_each_recording(driver: Driver) -> None:
    burst = replace(FILE, kind=Kind.BURST, seconds=0.5, count=4)
    (row,) = driver.run(burst, "tiny").rows
    assert row.absent is None
    assert [len(outcome.latencies_s) for outcome in row.outcomes] == [4, 4]
    assert all(max(one.latencies_s) <= one.wall_s for one in row.outcomes)


def test_everybody_is_given_the_same_windows(driver: Driver) -> None:
    scenario = replace(FILE, seconds=40.0, equal_windows=True)
    work = driver.work(scenario)
    assert isinstance(work.job, FileJob)
    assert work.expected.windows == len(work.job.clips) == 2
    assert work.job.clips[0][0] == 0.0
    assert work.job.clips[0][1] == work.job.clips[1][0]
    assert work.job.clips[1][1] == pytest.approx(40.0, abs=0.1)


def test_a_burst_is_of_different_recordings(driver: Driver) -> None:
    work = driver.work(replace(FILE, kind=Kind.BURST, seconds=1.0, count=3))
    assert isinstance(work.job, BurstJob)
    contents = {Path(path).read_bytes() for path in work.job.paths}
    assert len(contents) == 3
    assert {len(decode_all(Path(path))[0]) for path in work.job.paths} == {16_000}


def test_a_recording_is_as_long_as_it_says(tmp_path: Path) -> None:
    recording = RecordingStore(tmp_path).long(0.5)
    samples, info, _ = decode_all(recording.path)
    assert info.codec.startswith("mp3")
    assert len(samples) / 16_000 == pytest.approx(recording.duration_s, abs=0.1)
    starts = [start for start, _ in windows_as_cut(recording)]
    assert starts == sorted(starts)


def test_memory_and_time_of_a_process_are_counted_with_its_children() -> None:
    hoard = "b = b'x' * 50_000_000; n = sum(range(2_000_000)); print(flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hoard!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert resources.held_bytes(process.pid) > 50_000_000
        assert resources.resident_bytes(process.pid) >= resources.held_bytes(process.pid)
        assert resources.peak_bytes(process.pid) > 50_000_000
        assert resources.processor_s(process.pid) > 0
        resources.forget_peak(process.pid)
        assert resources.peak_bytes(process.pid) >= resources.resident_bytes(process.pid) * 0.9
        process.communicate(b"\n")
    assert resources.held_bytes(process.pid) == 0


def test_slow_peers_have_fewer_rounds() -> None:
    scenario = SCENARIOS["file"]
    rounds = {peer.name: scenario.rounds(peer, 5) for peer in scenario.peers}
    assert {name for name, own in rounds.items() if own == SLOW_ROUNDS} == set(SLOW)
    assert set(rounds.values()) == {SLOW_ROUNDS, 5}


def test_the_scenarios_fit_together() -> None:
    known = {peer.name for peer in EVERYBODY}
    assert len(known) == len(EVERYBODY)
    for scenario in SCENARIOS.values():
        names = [peer.name for peer in scenario.peers]
        assert scenario.reference in names
        assert len(set(names)) == len(names)
        assert set(names) <= known
    assert set(BY_DEFAULT) <= set(SCENARIOS)


def test_contenders_can_be_chosen_and_the_reference_stays() -> None:
    scenario = chosen(SCENARIOS["file"], ["Verbatim"], ["engine=local,batch_size=8"])
    assert [peer.name for peer in scenario.peers] == [
        "Verbatim",
        "faster-whisper",
        "Verbatim, engine=local,batch_size=8",
    ]
    assert scenario.peers[-1].options == {"engine": "local", "batch_size": "8"}
    with pytest.raises(ValueError, match="SETTING=VALUE"):
        configured("engine")


def test_recordings_can_be_shortened() -> None:
    assert shortened(SCENARIOS["long"], 30.0).seconds == 30.0
    assert shortened(SCENARIOS["burst-5s"], 30.0).seconds == 5.0


def test_nothing_is_installed_twice() -> None:
    found = calls(EVERYBODY)
    assert len(set(found)) == len(found)
    assert ("faster-whisper==1.2.1",) in found


def test_settings_of_the_environment_do_not_reach_a_contender(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBATIM_BATCH_SIZE", "not a number")
    assert os.environ["VERBATIM_BATCH_SIZE"]
    (row,) = measured(driver, replace(FAKE, module="tests.support.settings_contender")).rows
    assert row.remark == "batch_size=0"
