"""What programs do that decode one window at a time, and open no files themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.contract import Served, samples_of, serve_by_pool, windows_of
from benchmarks.messages import BurstJob, FileJob


class OneAtATime(ABC):
    """A loaded model that is given window after window. Recordings are decoded with PyAV."""

    @abstractmethod
    def count(self, window: NDArray[np.float32], tokens: int) -> int:
        """Decode a window (n,) at 16 kHz to so many tokens; says how many there were."""

    def file(self, job: FileJob) -> Iterator[int]:
        """Window after window, each a call."""
        for window in windows_of(samples_of(job.path), job.clips):
            yield self.count(window, job.tokens)

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """One request after the other: the model decodes one at a time."""

        def transcribe(path: str) -> list[int]:
            return [self.count(window, job.tokens) for window in windows_of(samples_of(path), ())]

        return serve_by_pool(transcribe, job.paths, 1)
