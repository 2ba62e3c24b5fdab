"""A contender for the benchmark's own tests: it does as its options say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from benchmarks.contenders.contract import Served, serve_by_pool
from benchmarks.messages import BurstJob, FileJob

WINDOWS = 3


def make(model: str, cores: int, **options: str | int | bool) -> FakeContender:
    print("libraries print what they like")
    if options.get("cannot_load"):
        raise RuntimeError("no such format\nand more that nobody reads")
    return FakeContender(options)


class FakeContender:
    def __init__(self, options: dict[str, str | int | bool]) -> None:
        self._options = options
        self._jobs = 0

    def versions(self) -> dict[str, str]:
        return {"fake": "1.0"}

    def remark(self) -> str:
        return "float1"

    def file(self, job: FileJob) -> Iterator[int]:
        self._jobs += 1
        # The first job is the warm-up.
        if self._jobs > 1 and self._options.get("fails"):
            raise ValueError("it hurts")
        if self._jobs > 1 and self._options.get("dies"):
            os.abort()
        for _ in job.clips or range(WINDOWS):
            yield job.tokens + int(self._options.get("more_tokens", 0))

    def burst(self, job: BurstJob) -> Sequence[Served]:
        return serve_by_pool(lambda path: [job.tokens], job.paths, 2)

    def close(self) -> None:
        pass
