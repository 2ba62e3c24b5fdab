"""How much audio the encoder is given for a window: 30 s, as Whisper was trained, or less.

Its cost grows faster than the length, so a window of 5 s costs a tenth where it is not padded
to 30 s.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from verbatim.domain.units import WINDOW_S

MARGIN_S: Final = 2.0
"""Silence that follows every window, so that the model sees where the speech ends. whisper.cpp's
users found 1.3 s too little, and 2 to 2.6 s enough (whisper.cpp issue 1855, voxtype issue 124)."""
FULL_LENGTH_S: Final = (float(WINDOW_S),)
SHORT_LENGTHS_S: Final = (7.0, 9.0, 12.0, 16.0, 20.0, 25.0, *FULL_LENGTH_S)
"""Few, so that windows of about one length share a batch. None below 7 s: the model is furthest
from its training there, and what the encoder would still save is little beside the decoder."""


def length_for(duration_s: float, lengths_s: Sequence[float]) -> float:
    """The shortest length that holds a window and its margin; the longest where none does.

    Args:
        duration_s: of the window.
        lengths_s: rising; see `EngineDescription.lengths_s`.
    """
    place = bisect_left(lengths_s, duration_s + MARGIN_S)
    return lengths_s[min(place, len(lengths_s) - 1)]
