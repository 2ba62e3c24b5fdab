"""What the driver and a contender's process say to each other: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pydantic import TypeAdapter

Clip: TypeAlias = tuple[float, float]
"""Start and end of a stretch of a recording, in seconds."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """Transcribe one recording.

    Attributes:
        path: of the recording.
        tokens: how many each window is decoded to, exactly.
        clips: the windows; empty leaves the cutting to the contender's defaults.
    """

    path: str
    tokens: int
    clips: tuple[Clip, ...] = ()
    kind: Literal["file"] = "file"


@dataclass(frozen=True, slots=True)
class BurstJob:
    """Transcribe several short recordings that are asked for at the same moment."""

    paths: tuple[str, ...]
    tokens: int
    kind: Literal["burst"] = "burst"


Job: TypeAlias = FileJob | BurstJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job took.

    Attributes:
        wall_s: from the first call until everything is written.
        first_s: until the first window is written.
        tokens: how many each window was decoded to, over all recordings.
        latencies_s: for each recording of a burst, from the burst's beginning to its end.
        processor_s: seconds on a core that all threads together used; the driver looks at that.
    """

    wall_s: float
    first_s: float
    tokens: tuple[int, ...]
    latencies_s: tuple[float, ...] = ()
    processor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job, or the loading, did not work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded.

    Attributes:
        versions: of the packages that do the work.
        remark: what the program chose by itself, for the report; may be empty.
    """

    versions: dict[str, str]
    remark: str = ""


Answer: TypeAlias = Outcome | Ready | Failure


@dataclass(frozen=True, slots=True)
class Start:
    """What a contender's process is started with.

    Attributes:
        module: whose `make` gives the contender.
        model: the model's file or folder.
        options: of `make`.
        cores: how many threads it may use.
    """

    module: str
    model: str
    options: dict[str, str | int | bool]
    cores: int


JOBS: Final[TypeAdapter[Job]] = TypeAdapter(Job)
ANSWERS: Final[TypeAdapter[Answer]] = TypeAdapter(Answer)
STARTS: Final[TypeAdapter[Start]] = TypeAdapter(Start)
