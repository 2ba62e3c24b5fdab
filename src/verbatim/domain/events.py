"""What a running transcription tells while it runs; the last event is always `Finished`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from verbatim.domain.transcript import Segment, Transcript


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: a model is loaded, the recording is open, and both are what they are.

    Attributes:
        model: the name of the one that is used.
        duration_s: what the recording says of its length; None where it does not say.
    """

    model: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: seconds of the recording that are done, and its length where it is known."""

    done_s: float
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class SegmentReady:
    """The next segment in order; it will not change."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Finished:
    """The end, with everything."""

    transcript: Transcript


TranscriptionEvent: TypeAlias = Started | Progress | SegmentReady | Finished
