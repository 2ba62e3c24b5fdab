"""Runs scenarios: starts everybody, gives turns, checks the work, keeps what it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.figures import Expected, UnequalWorkError, check_equal_work, interleaved
from benchmarks.machine import Machine
from benchmarks.messages import BurstJob, FileJob, Job, Outcome, Start
from benchmarks.models import ModelError, ModelStore
from benchmarks.peers import Peer
from benchmarks.processes import ContenderError, ContenderProcess
from benchmarks.recordings import RecordingStore, windows_as_cut
from benchmarks.results import Result, Row
from benchmarks.scenarios import Kind, Scenario
from benchmarks.start_up import start_up_s

WARM_UP_S = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """A scenario's job with what is expected of it.

    Attributes:
        warm_up: is done once before, unmeasured.
        audio_s: seconds of audio in the job.
    """

    job: Job
    warm_up: Job
    expected: Expected
    audio_s: float


@dataclass(slots=True)
class _Taking:
    """A peer that takes part, with what it took so far."""

    peer: Peer
    process: ContenderProcess | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    absent: str | None = None
    failed: bool = False

    def fail(self, why: Exception) -> None:
        """Take no further part."""
        self.absent, self.failed = str(why), True

    def row(self) -> Row:
        """What is kept of it."""
        process = self.process
        if process is None or self.absent is not None:
            outcomes = () if self.absent is not None else tuple(self.outcomes)
            return Row(self.peer.name, outcomes, absent=self.absent, failed=self.failed)
        return Row(
            contender=self.peer.name,
            outcomes=tuple(self.outcomes),
            load_s=process.load_s,
            loaded_bytes=process.loaded_bytes,
            added_bytes=process.added_bytes(),
            versions=process.ready.versions,
            remark=process.ready.remark,
        )


class Driver:
    """Runs scenarios on this machine.

    Args:
        folder: for models, recordings and logs.
        machine: as measured.
        rounds: how often each contender has its turn.
        say: told how it goes, a line at a time.
    """

    def __init__(
        self, folder: Path, machine: Machine, rounds: int, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._machine = machine
        self._rounds = rounds
        self._say = say
        self._models = ModelStore(folder / "models")
        self._recordings = RecordingStore(folder / "recordings")

    def run(self, scenario: Scenario, model: str) -> Result:
        """Measure everybody in a scenario with a model; who cannot take part is listed with why."""
        taking = [_Taking(peer) for peer in scenario.peers]
        for one in taking:
            one.absent = one.peer.obstacle(self._machine.features) or self._prepare(one, model)
        self._models.forget_weights()
        if scenario.kind is Kind.START:
            self._start_ups(scenario, model, taking)
            rows = tuple(one.row() for one in taking)
            return Result(scenario.name, model, 0.0, 0, None, rows)
        work = self.work(scenario)
        with ExitStack() as running:
            for one in taking:
                self._begin(one, model, work, running)
            self._measure(scenario, model, taking, work)
            rows = tuple(one.row() for one in taking)
        expected = work.expected
        return Result(scenario.name, model, work.audio_s, expected.tokens, expected.windows, rows)

    def work(self, scenario: Scenario) -> Work:
        """What everybody does; recordings are made where they are missing."""
        (warm,) = self._recordings.short(1, WARM_UP_S)
        warm_up = FileJob(str(warm.path), scenario.tokens)
        if scenario.kind is Kind.BURST:
            short = self._recordings.short(scenario.count, scenario.seconds)
            job = BurstJob(tuple(str(one.path) for one in short), scenario.tokens)
            expected = Expected(scenario.tokens, scenario.count)
            return Work(job, warm_up, expected, scenario.count * scenario.seconds)
        long = self._recordings.long(scenario.seconds / 60)
        clips = windows_as_cut(long) if scenario.equal_windows else ()
        return Work(
            FileJob(str(long.path), scenario.tokens, clips),
            warm_up,
            Expected(scenario.tokens, len(clips) or None),
            long.duration_s,
        )

    def _prepare(self, one: _Taking, model: str) -> str | None:
        """Make the model; gives why that does not work."""
        try:
            self._models.get(model, one.peer.form)
        except ModelError as error:
            return str(error)
        return None

    def _begin(self, one: _Taking, model: str, work: Work, running: ExitStack) -> None:
        if one.absent is not None:
            return
        peer = one.peer
        start = Start(
            peer.module,
            str(self._models.get(model, peer.form)),
            dict(peer.options),
            self._machine.cores,
        )
        try:
            process = ContenderProcess(
                start, peer.variables(), self._folder / "logs", peer.name.replace("/", "-")
            )
            one.process = running.enter_context(process)
            process.run(work.warm_up)
        except ContenderError as error:
            one.fail(error)

    def _measure(
        self, scenario: Scenario, model: str, taking: Sequence[_Taking], work: Work
    ) -> None:
        by_name = {one.peer.name: one for one in taking}
        rounds = {
            one.peer.name: scenario.rounds(one.peer, self._rounds)
            for one in taking
            if one.absent is None
        }
        for name in interleaved(rounds):
            one = by_name[name]
            if one.process is None or one.absent is not None:
                continue
            try:
                outcome = one.process.run(work.job)
                check_equal_work(outcome.tokens, work.expected)
            except (ContenderError, UnequalWorkError) as error:
                one.fail(error)
            else:
                one.outcomes.append(outcome)
            self._tell(scenario, model, one, work.audio_s)

    def _start_ups(self, scenario: Scenario, model: str, taking: Sequence[_Taking]) -> None:
        folder = self._folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        by_name = {one.peer.name: one for one in taking if one.absent is None}
        # Once more than asked for: the first start fills the system's cache of files.
        rounds = dict.fromkeys(by_name, self._rounds + 1)
        for turn, name in enumerate(interleaved(rounds)):
            one = by_name[name]
            if one.absent is not None:
                continue
            try:
                wall_s = start_up_s(name, self._models.get(model, one.peer.form), folder)
            except ContenderError as error:
                one.fail(error)
            else:
                if turn >= len(by_name):
                    one.outcomes.append(Outcome(wall_s, wall_s, ()))
            self._tell(scenario, model, one, 0.0)

    def _tell(self, scenario: Scenario, model: str, one: _Taking, audio_s: float) -> None:
        what = f"{model}, {scenario.name}: {one.peer.name}"
        if one.absent is not None:
            self._say(f"{what}: {one.absent}")
        elif one.outcomes:
            wall_s = one.outcomes[-1].wall_s
            speed = f", {audio_s / wall_s:.1f} x real time" if audio_s else ""
            self._say(f"{what}: {wall_s:.2f} s{speed}")


def shortened(scenario: Scenario, seconds: float) -> Scenario:
    """The same with recordings of at most so many seconds, to try whether all works."""
    return replace(scenario, seconds=min(scenario.seconds, seconds))
