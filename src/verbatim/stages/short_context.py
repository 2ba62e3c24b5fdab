"""Whether text is believed that was decoded from less than the 30 s Whisper was trained on.

On a shorter input, models that were not trained for it repeat what was said once, write on after
the end, or stop before it (reported in whisper.cpp issues 1855 and 1951, voxtype issue 124). A
window in doubt is decoded again at full length, where the rules of `fallback` hold: a doubt too
many costs time and no text, so these rules are the stricter ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from verbatim.domain.request import Gates
from verbatim.stages.fallback import Attempt, Verdict, judge
from verbatim.stages.repetition import find_loops
from verbatim.stages.segments import Split
from verbatim.stages.text_units import spoken_units

LEAST_LANGUAGE_PROBABILITY: Final = 0.5
"""A language that is less sure is asked about again at full length."""
LATEST_END_S: Final = 1.0
"""How far after its audio a window's last timestamp may lie; Whisper is no more exact."""
MOST_SILENCE_AT_END_S: Final = 2.0
"""Windows are cut around speech, so text that ends earlier has perhaps left something out."""
MOST_CHARACTERS_PER_SECOND: Final = 30.0
"""Nobody but an auctioneer speaks faster."""
SHORTEST_SPEECH_S: Final = 1.0
"""A window counts as at least so long where characters are counted."""
_WHISPERS_GATES: Final = Gates()


class Doubt(Enum):
    """Why a window is decoded again."""

    GATES = auto()
    """Compression ratio, log probability or no-speech probability."""
    NO_TEXT = auto()
    REPETITION = auto()
    TOO_MUCH_TEXT = auto()
    ENDS_LATE = auto()
    ENDS_EARLY = auto()
    BROKEN_OFF = auto()
    """It announces that speech goes on, into what is silence."""


def doubt(attempt: Attempt, split: Split, duration_s: float, gates: Gates) -> Doubt | None:
    """What speaks against a window's text; None where it is believed.

    Args:
        attempt: the hypothesis.
        split: the same cut at its timestamps.
        duration_s: length of the window's audio, without padding.
        gates: the request's; Whisper's own hold as well, also where the request turns them off.
    """
    return next(_doubts(attempt, split, duration_s, gates), None)


def _doubts(attempt: Attempt, split: Split, duration_s: float, gates: Gates) -> Iterator[Doubt]:
    if any(judge(attempt, each) is not Verdict.ACCEPT for each in (gates, _WHISPERS_GATES)):
        yield Doubt.GATES
    units = spoken_units(attempt.text)
    if not units:
        yield Doubt.NO_TEXT
    if find_loops(units, _believed_repeats, longest=len(units)):
        yield Doubt.REPETITION
    if len(attempt.text) > MOST_CHARACTERS_PER_SECOND * max(duration_s, SHORTEST_SPEECH_S):
        yield Doubt.TOO_MUCH_TEXT
    if not split.heard_out:
        yield Doubt.BROKEN_OFF
    end_s = max(timed.end for timed in split.closed)
    if end_s > duration_s + LATEST_END_S:
        yield Doubt.ENDS_LATE
    if end_s < duration_s - MOST_SILENCE_AT_END_S:
        yield Doubt.ENDS_EARLY


def _believed_repeats(length: int) -> int:
    """How often in a row a body of `length` units is believed: a word twice, a phrase once."""
    return 2 if length == 1 else 1
