"""A contender's process, as the driver sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks import resources
from benchmarks.messages import (
    ANSWERS,
    JOBS,
    STARTS,
    Answer,
    Failure,
    Job,
    Outcome,
    Ready,
    Start,
)

ROOT: Final = Path(__file__).parents[1]
LONGEST_LOAD_S: Final = 600.0
LONGEST_JOB_S: Final = 3_600.0
_GRACE_S: Final = 20.0
_SETTINGS_PREFIX: Final = "VERBATIM_"


class ContenderError(Exception):
    """A contender could not be started, or failed at a job; the message says why."""


class ContenderProcess:
    """One contender in a process of its own, with an environment of its own.

    Starting it loads the model. Use it as a context manager.

    Args:
        start: what is loaded.
        environment: variables over those of this process.
        folder: its working directory; what it prints is kept there.
        name: of the file that keeps it.

    Attributes:
        ready: what it said when the model was loaded.
        load_s: from the start of the process until then.
        loaded_bytes: what it held then, its children included.

    Raises:
        ContenderError: the model cannot be loaded.
    """

    def __init__(
        self, start: Start, environment: Mapping[str, str], folder: Path, name: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{name}.log"
        begun_s = time.perf_counter()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", STARTS.dump_json(start).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=_environment(environment),
                text=True,
                start_new_session=True,
            )
        try:
            answer = self._answer(LONGEST_LOAD_S)
            if not isinstance(answer, Ready):
                raise ContenderError(f"answered out of turn; see {self._log}")
        except ContenderError:
            self.close()
            raise
        self.ready: Final = answer
        self.load_s: Final = time.perf_counter() - begun_s
        self.loaded_bytes: Final = resources.held_bytes(self._process.pid)
        self._resident_bytes = resources.resident_bytes(self._process.pid)
        resources.forget_peak(self._process.pid)

    def run(self, job: Job) -> Outcome:
        """Have a job done.

        Raises:
            ContenderError: it failed, took too long, or the process died.
        """
        if self._process.stdin is None:
            raise ContenderError("was started without a pipe")
        before_s = resources.processor_s(self._process.pid)
        try:
            self._process.stdin.write(JOBS.dump_json(job).decode() + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        answer = self._answer(LONGEST_JOB_S)
        if not isinstance(answer, Outcome):
            raise ContenderError(f"answered out of turn; see {self._log}")
        return replace(answer, processor_s=resources.processor_s(self._process.pid) - before_s)

    def added_bytes(self) -> int:
        """The most that it held since it was loaded, above what it held then."""
        return max(0, resources.peak_bytes(self._process.pid) - self._resident_bytes)

    def close(self) -> None:
        """Let it end, by force after a while; twice is fine."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self, patience_s: float) -> Answer:
        if self._process.stdout is None:
            raise ContenderError("was started without a pipe")
        timer = threading.Timer(patience_s, self._kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise self._died()
        answer = ANSWERS.validate_json(line)
        if isinstance(answer, Failure):
            raise ContenderError(answer.reason)
        return answer

    def _died(self) -> ContenderError:
        self._kill()
        status = self._process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return ContenderError(f"its process ended ({how}); see {self._log}")

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """This process' variables without settings of Verbatim's, and what is given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_SETTINGS_PREFIX)}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path} | dict(given)
