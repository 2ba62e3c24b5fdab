"""A contender's process: reads jobs, does them, says what they took.

    python -m benchmarks.worker '{"module": …, "model": …, "options": {…}, "cores": 2}'

Answers go to the pipe that was standard output; what libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from benchmarks.contenders.contract import Contender
from benchmarks.messages import ANSWERS, JOBS, STARTS, Answer, Failure, FileJob, Job, Outcome, Ready


def do(contender: Contender, job: Job) -> Outcome:
    """Do a job by the clock."""
    begun_s = time.perf_counter()
    if isinstance(job, FileJob):
        tokens: list[int] = []
        first_s = 0.0
        for count in contender.file(job):
            first_s = first_s or time.perf_counter() - begun_s
            tokens.append(count)
        wall_s = time.perf_counter() - begun_s
        return Outcome(wall_s, first_s or wall_s, tuple(tokens))
    served = contender.burst(job)
    wall_s = time.perf_counter() - begun_s
    latencies_s = tuple(one.latency_s for one in served)
    every = tuple(count for one in served for count in one.tokens)
    return Outcome(wall_s, min(latencies_s), every, latencies_s)


def work(start: str, jobs: Iterable[str], answers: TextIO) -> None:
    """Load the contender, then answer one job after another until there are no more."""

    def answer(said: Answer) -> None:
        answers.write(ANSWERS.dump_json(said).decode() + "\n")
        answers.flush()

    plan = STARTS.validate_json(start)
    try:
        made = importlib.import_module(plan.module)
        contender: Contender = made.make(plan.model, plan.cores, **plan.options)
        answer(Ready(contender.versions(), contender.remark()))
    except Exception as error:  # noqa: BLE001 - told to the driver, which lists it
        answer(Failure(_told(error)))
        return
    for line in jobs:
        try:
            answer(do(contender, JOBS.validate_json(line)))
        except Exception as error:  # noqa: BLE001 - told to the driver, which lists it
            answer(Failure(_told(error)))
    contender.close()


def _told(error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def main() -> None:
    """Set the pipe aside before any library can print on it."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        work(sys.argv[1], sys.stdin, answers)


if __name__ == "__main__":
    main()
