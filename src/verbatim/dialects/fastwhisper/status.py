"""What is told about the server: `/stats`, and its parts of `/` and `/health`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field

from verbatim.dialects.fastwhisper.activity import Activity
from verbatim.engine.hardware import Gpu, GpuWatch
from verbatim.engine.protocol import EngineDescription
from verbatim.settings import MIB
from verbatim.wire.context import Context
from verbatim.wire.model_list import model_setting

SECONDS_DIGITS: Final = 1
CUDA: Final = "cuda"


class RootPart(BaseModel):
    """Its part of `GET /`."""

    status: Literal["running"]
    model: str
    compute_type: str
    auth_enabled: bool
    connections: str = Field(description="How many are connected, and may be.")
    uptime: str


class Counters(BaseModel):
    """What was done so far."""

    active_connections: int
    max_connections: int
    total_connections_served: int
    total_transcriptions: int
    uptime_seconds: float
    uptime_formatted: str


class HealthPart(Counters):
    """Its part of `GET /health`; the last three where a GPU is used."""

    gpu_name: str | None = None
    gpu_memory_allocated_mb: float | None = None
    gpu_memory_reserved_mb: float | None = None


class ConnectionDetail(BaseModel):
    """One of the WebSocket connections."""

    client_id: str
    client_info: str
    connected_duration: float = Field(description="Seconds.")
    transcription_count: int


class Stats(Counters):
    """The answer of `/stats`: the older server's counters, and the load of ours."""

    max_concurrent_transcriptions: int
    active_transcriptions: int
    waiting_transcriptions: int
    live_sessions: int
    max_live_sessions: int
    connections_detail: list[ConnectionDetail]


def model_in_use(context: Context) -> EngineDescription | None:
    """The model that is loaded; the default one where it is."""
    return next(iter(context.service.loaded_models()), None)


class Status:
    """Reads the counters.

    Args:
        context: of the application.
        activity: of its clients.
    """

    def __init__(self, context: Context, activity: Activity) -> None:
        self._context = context
        self._activity = activity
        self._gpus = GpuWatch(context.clock)

    def root(self) -> RootPart:
        """For `GET /`."""
        model, settings = model_in_use(self._context), self._context.settings
        return RootPart(
            status="running",
            model=model.model if model else model_setting(self._context),
            compute_type=model.compute_type if model else settings.compute_type,
            auth_enabled=self._context.access.policy.required,
            connections=self._activity.load(),
            uptime=self._activity.uptime(),
        )

    def health(self) -> HealthPart:
        """For `GET /health`."""
        part = HealthPart(**self._counters().model_dump())
        gpu = self._gpu()
        if gpu is None:
            return part
        used_mb = round(gpu.used_bytes / MIB, SECONDS_DIGITS)
        told = {"gpu_memory_allocated_mb": used_mb, "gpu_memory_reserved_mb": used_mb}
        return part.model_copy(update={"gpu_name": gpu.name, **told})

    async def stats(self) -> Stats:
        """Counters, the load, and who is connected."""
        load, live = self._context.service.load(), self._context.service.live.load()
        return Stats(
            **self._counters().model_dump(),
            max_concurrent_transcriptions=self._context.settings.max_running,
            active_transcriptions=load.running,
            waiting_transcriptions=load.waiting,
            live_sessions=live.sessions,
            max_live_sessions=live.max_sessions,
            connections_detail=[
                ConnectionDetail(
                    client_id=client.id,
                    client_info=client.info,
                    connected_duration=round(self._activity.connected_s(client), SECONDS_DIGITS),
                    transcription_count=client.transcriptions,
                )
                for client in self._activity.clients
            ],
        )

    def _counters(self) -> Counters:
        activity = self._activity
        return Counters(
            active_connections=len(activity.clients),
            max_connections=activity.max_clients,
            total_connections_served=activity.served,
            total_transcriptions=activity.transcriptions,
            uptime_seconds=round(activity.uptime_s, SECONDS_DIGITS),
            uptime_formatted=activity.uptime(),
        )

    def _gpu(self) -> Gpu | None:
        """The GPU that the model is on."""
        model = model_in_use(self._context)
        if model is None or model.device != CUDA:
            return None
        gpus = self._gpus.read()
        place = next(iter(model.device_indexes), 0)
        return gpus[place] if place < len(gpus) else None
