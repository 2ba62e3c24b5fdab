"""What happens inside, told to whoever wants to know: counters, traces.

Who tells does not wait and does not know who listens; without a listener it costs next to nothing.
Times are of a clock that only rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from verbatim.domain.request import Priority


class Stage(StrEnum):
    """Where a file's transcription spends its time, one after the other."""

    RECEIVE = "receive"
    """The upload comes in."""
    QUEUE = "queue"
    """It stands in the line of transcriptions."""
    MODEL = "model"
    """Its model is loaded, or is there already."""
    TRANSCRIBE = "transcribe"
    """Decoding, voice activity, and windows in the line before the device and on it."""


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage of a transcription ended well; told in the task that serves the request."""

    stage: Stage
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class WindowBegun:
    """A window left the line before the device."""

    model: str
    priority: Priority
    waited_s: float


@dataclass(frozen=True, slots=True)
class BatchDone:
    """The device decoded windows together."""

    model: str
    windows: int
    took_s: float


Happening: TypeAlias = StageDone | WindowBegun | BatchDone
Listener: TypeAlias = Callable[[Happening], None]


class Telemetry:
    """Passes on what is told."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """From now on have everything told; the listener must be quick and must not raise."""
        self._listeners.append(listener)

    def tell(self, happening: Happening) -> None:
        """Something happened."""
        for listener in self._listeners:
            listener(happening)
