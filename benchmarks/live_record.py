"""What a program told while speech was played to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """What a stream's listener sees from a moment on.

    Attributes:
        at_s: when, since the stream began to be spoken.
        committed: all text so far that the program said will not change.
        tail: what it shows after that.
    """

    at_s: float
    committed: str
    tail: str


@dataclass(frozen=True, slots=True)
class Played:
    """One stream.

    Attributes:
        told: in order.
        endpoint_delays_s: for each utterance that silence ended, from the moment at which it had
            been silent for long enough until its final text; empty where a program tells no ends.
        commit_delays_s: from each explicit commit to the final text.
    """

    told: tuple[Told, ...]
    endpoint_delays_s: tuple[float, ...] = ()
    commit_delays_s: tuple[float, ...] = ()
