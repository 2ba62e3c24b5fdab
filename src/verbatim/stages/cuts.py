"""Where to cut audio that is too long for one window: in a pause, or where it is quietest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.audio import Samples
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

Energies: TypeAlias = NDArray[np.float32]
"""Mean squares (frames,) of frames of `FRAME_SAMPLES` samples."""

QUIET_FRAMES: Final = 4
"""A cut by energy looks at this many frames around it (128 ms): longer than a stop consonant's
closure, shorter than a pause between words."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut.

    Attributes:
        frame: the first frame after it, counted in the frames that were looked at.
        silence_frames: length of the pause in which it lies; 0 where there is none.
    """

    frame: int
    silence_frames: int = 0

    def shifted(self, frames: int) -> Cut:
        """The same place, counted from `frames` earlier."""
        return Cut(self.frame + frames, self.silence_frames)


def frame_energies(samples: Samples) -> Energies:
    """Mean squares (frames,) of (n,) samples; a last, incomplete frame is filled up with zeros."""
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    frames = padded.reshape(-1, FRAME_SAMPLES)
    energies: Energies = np.einsum("ij,ij->i", frames, frames) / np.float32(FRAME_SAMPLES)
    return energies


def best_pause(probabilities: Probabilities, threshold: float) -> Cut | None:
    """The middle of the longest and deepest dip of the speech probability.

    Of every run of frames below the threshold, the area between it and the threshold counts; of
    equals the last one wins.

    Returns:
        The cut, or None where no frame is below the threshold.
    """
    depth = np.maximum(0.0, threshold - probabilities.astype(np.float64))
    edges = np.flatnonzero(np.diff(depth > 0.0, prepend=False, append=False))
    areas = np.concatenate(([0.0], np.cumsum(depth)))
    best, best_area = None, 0.0
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        area = float(areas[end] - areas[begin])
        if area >= best_area:
            best, best_area = Cut((begin + end) // 2, end - begin), area
    return best


def quietest(energies: Energies) -> Cut:
    """The boundary between two frames around which there is least energy; of equals the last.

    Args:
        energies: (frames,) float32, at least `QUIET_FRAMES`.
    """
    around = np.convolve(energies, np.ones(QUIET_FRAMES, np.float32), mode="valid")
    last_best = len(around) - 1 - int(np.argmin(around[::-1]))
    return Cut(last_best + QUIET_FRAMES // 2)
