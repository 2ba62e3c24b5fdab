"""What `/v1/server` answers, and what is sent to it; FastAPI describes it from here."""

from __future__ import annotations

import re
from math import inf
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from verbatim.engine.pulls import PullPhase
from verbatim.engine.residency import Unloading

_DURATION: Final = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNIT_S: Final = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Body(BaseModel):
    """The root of them."""

    model_config = ConfigDict(frozen=True)


class ProcessorBody(Body):
    """The processor; loads are of all its cores, since the last look."""

    name: str
    cores: int = Field(description="That this server may use.")
    server_percent: float | None = Field(description="What this server takes of them.")
    machine_percent: float | None = Field(description="What everything takes of them.")


class MemoryBody(Body):
    """Main memory."""

    server_bytes: int = Field(description="Of the server and the processes of its models.")
    models_bytes: int = Field(description="Of the loaded models; a part of it.")
    machine_total_bytes: int = Field(description="Of the machine, or of the container.")
    machine_available_bytes: int


class GpuBody(Body):
    """A GPU."""

    name: str
    memory_total_bytes: int
    memory_used_bytes: int = Field(description="By anybody.")


class QueueBody(Body):
    """Transcriptions of files."""

    running: int
    waiting: int
    max_running: int
    max_waiting: int


class LiveBody(Body):
    """Live sessions."""

    sessions: int
    max_sessions: int


class TotalsBody(Body):
    """Since the start."""

    requests: int
    audio_s: float
    errors: int
    cache_hits: int


class NoteBody(Body):
    """Something to know about the model."""

    code: str
    message: str


class StatusBody(Body):
    """How the server is."""

    object: Literal["server_status"] = "server_status"
    version: str
    uptime_s: float
    ready: bool
    not_ready_reason: str | None
    draining: bool
    device: str
    compute_type: str
    encoder: str | None = Field(description="What encodes speech; null before it is known.")
    default_model: str
    demo: bool = Field(description="Whether that is the demo model, of a few hundred words.")
    processor: ProcessorBody
    memory: MemoryBody
    gpus: list[GpuBody]
    queue: QueueBody
    live: LiveBody
    totals: TotalsBody
    real_time_factor: float | None = Field(
        description="Time for a second of audio, waiting included, over the last five minutes."
    )
    warnings: list[NoteBody]


class PullBody(Body):
    """A download of a model."""

    state: PullPhase
    phase: Literal["download", "verify"]
    done_bytes: int
    total_bytes: int = Field(description="0 before it is known.")
    error: str | None


class ModelBody(Body):
    """A model that is here, or that can be had."""

    id: str
    aliases: list[str]
    source: Literal["bundled", "folder", "cache"] | None
    on_disk: bool
    disk_bytes: int | None
    download_bytes: int | None = Field(description="About what fetching it takes.")
    parameters: int | None
    loaded: bool
    loading: bool
    users: int = Field(description="Requests and sessions that use it now.")
    memory_bytes: int | None
    device: str | None
    compute_type: str | None
    encoder: str | None
    last_used_s: float | None = Field(description="Seconds since then; 0 while it is used.")
    unloads_in_s: float | None = Field(description="If nobody uses it until then.")
    default: bool
    demo: bool
    languages: list[str] | None = Field(description="Codes; null before they are known.")
    pull: PullBody | None


class ModelListBody(Body):
    """All of them; those that are here first."""

    object: Literal["list"] = "list"
    default: str
    models: list[ModelBody]


class LoadedBody(Body):
    """A model that is in memory now."""

    id: str
    loaded: Literal[True] = True
    already_loaded: bool
    took_s: float
    memory_bytes: int
    device: str
    compute_type: str
    encoder: str


class UnloadedBody(Body):
    """What unloading came to; the freed bytes are measured."""

    id: str
    unloaded: bool
    freed_bytes: int
    reason: Literal[Unloading.IN_USE, Unloading.NOT_LOADED] | None


class PullBegunBody(Body):
    """A download that runs."""

    id: str
    pull: PullBody


class PullEndedBody(Body):
    """Whether there was a download to stop."""

    id: str
    cancelled: bool


class DeletedBody(Body):
    """A model that is gone from the disk."""

    id: str
    deleted: Literal[True] = True
    freed_bytes: int


class ForgottenBody(Body):
    """What was kept, and is no more."""

    deleted: int = Field(description="How many results.")


def keep_seconds(value: Any) -> Any:
    """Seconds of a number or of a text such as 5m; what is below zero is for ever."""
    seconds = value
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError('give seconds, or a text such as "90s", "5m" or "1h"')
        seconds = float(found[1]) * _UNIT_S[found[2]]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError('give seconds, or a text such as "90s", "5m" or "1h"')
    return inf if seconds < 0 else seconds


class LoadBody(Body):
    """How to load a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_alive: Annotated[float | None, BeforeValidator(keep_seconds)] = Field(
        None,
        description="How long it stays after its last use: seconds, or a text such as 5m; 0: only "
        "while it is used; -1: for ever. As the server's setting says if not given.",
        json_schema_extra={"anyOf": [{"type": "number"}, {"type": "string"}]},
    )
