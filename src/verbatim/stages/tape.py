"""The samples of a stream, from the oldest that somebody still needs to the newest."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from verbatim.domain.audio import Pcm
from verbatim.domain.units import SAMPLE_RATE_HZ

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ


class Tape:
    """Grows at its end, is forgotten at its beginning; places are samples since the first.

    Kept in blocks of a second, so that pieces of any size cost what they are long.
    """

    def __init__(self) -> None:
        self._blocks: deque[Pcm] = deque()
        self._origin = 0
        """Place of the first block; a whole number of blocks."""
        self.start = 0
        """First sample that is still there."""
        self.end = 0
        """Place of the next sample."""

    def append(self, samples: Pcm) -> None:
        """Add samples (n,) int16."""
        at = 0
        while at < len(samples):
            offset = (self.end - self._origin) % BLOCK_SAMPLES
            if self.end - self._origin == len(self._blocks) * BLOCK_SAMPLES:
                self._blocks.append(np.zeros(BLOCK_SAMPLES, np.int16))
            count = min(len(samples) - at, BLOCK_SAMPLES - offset)
            self._blocks[-1][offset : offset + count] = samples[at : at + count]
            self.end += count
            at += count

    def cut(self, first: int, last: int) -> Pcm:
        """A copy of the samples from `first` up to `last`, exclusive, as far as they are there."""
        first, last = max(first, self.start), min(last, self.end)
        if first >= last:
            return np.zeros(0, np.int16)
        begin = (first - self._origin) // BLOCK_SAMPLES
        stop = -(-(last - self._origin) // BLOCK_SAMPLES)
        joined = np.concatenate([self._blocks[place] for place in range(begin, stop)])
        offset = self._origin + begin * BLOCK_SAMPLES
        # A copy, or a short window would keep all its blocks alive.
        return joined[first - offset : last - offset].copy()

    def forget(self, before: int) -> None:
        """Drop what lies before a place."""
        self.start = max(self.start, min(before, self.end))
        while self._blocks and self._origin + BLOCK_SAMPLES <= self.start:
            self._blocks.popleft()
            self._origin += BLOCK_SAMPLES
