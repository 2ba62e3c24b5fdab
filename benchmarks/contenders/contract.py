"""What a contender does, and what several of them share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.messages import BurstJob, Clip, FileJob
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_S
from verbatim.stages.decode_audio import decode_all

LANGUAGE: Final = "en"
"""Given to all: nobody spends time on finding it out."""


@dataclass(frozen=True, slots=True)
class Served:
    """One recording of a burst.

    Attributes:
        latency_s: from the burst's beginning.
        tokens: of each window.
    """

    latency_s: float
    tokens: tuple[int, ...]


class Contender(Protocol):
    """A loaded model of some program."""

    def versions(self) -> dict[str, str]:
        """Of the packages that do the work."""
        ...

    def remark(self) -> str:
        """What the program chose by itself, for the report; may be empty."""
        ...

    def file(self, job: FileJob) -> Iterator[int]:
        """Transcribe a recording; gives each window's number of tokens when it is written."""
        ...

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """Transcribe recordings that are asked for at the same moment."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


def serve_by_pool(
    transcribe: Callable[[str], Sequence[int]], paths: Sequence[str], permits: int
) -> list[Served]:
    """Serve a burst as small servers do: a thread for each request, a semaphore before the model.

    Args:
        transcribe: a recording's path to the tokens of its windows.
        paths: the recordings.
        permits: how many are transcribed at the same time.
    """
    free = threading.Semaphore(permits)
    begun_s = time.perf_counter()

    def serve(path: str) -> Served:
        with free:
            tokens = tuple(transcribe(path))
        return Served(time.perf_counter() - begun_s, tokens)

    with ThreadPoolExecutor(len(paths)) as threads:
        return list(threads.map(serve, paths))


def samples_of(path: str) -> NDArray[np.float32]:
    """A recording's waveform (n,) at 16 kHz, for programs that do not decode files themselves."""
    samples, _, _ = decode_all(Path(path))
    return samples


def windows_of(samples: NDArray[np.float32], clips: Sequence[Clip]) -> list[NDArray[np.float32]]:
    """A recording cut at the clips, or every 30 s where there are none."""
    length_s = len(samples) / SAMPLE_RATE_HZ
    starts = np.arange(0.0, length_s, WINDOW_S)
    spans = clips or [(start, min(start + WINDOW_S, length_s)) for start in starts]
    return [
        samples[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] for start, end in spans
    ]


def ctranslate2_limit(tokens: int, prompt: int) -> int:
    """The limit of new tokens that makes CTranslate2 decode exactly `tokens`.

    It ends at the smaller of half the maximum length and what the prompt leaves of it.

    Args:
        tokens: wanted.
        prompt: tokens before them, counted into the maximum length by the caller.
    """
    return max(tokens, 2 * tokens - prompt)
