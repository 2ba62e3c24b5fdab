"""Looks at the machine, the queue and the models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from verbatim.dialects.native_server.bodies import (
    GpuBody,
    LiveBody,
    MemoryBody,
    ModelBody,
    NoteBody,
    ProcessorBody,
    PullBody,
    QueueBody,
    StatusBody,
    TotalsBody,
)
from verbatim.domain.errors import VerbatimError
from verbatim.engine.hardware import GpuWatch, Hardware
from verbatim.engine.known_models import AUTO, DEMO_NAME, KnownModel, find_known
from verbatim.engine.model_entry import ModelEntry
from verbatim.engine.pulls import Pull, Pulls
from verbatim.engine.residency import ResidentModel
from verbatim.engine.usage import ProcessorMeter, available_bytes, server_bytes
from verbatim.wire.context import Context
from verbatim.wire.model_list import model_setting

ENGLISH: Final = ["en"]
TIME_DIGITS: Final = 1
FACTOR_DIGITS: Final = 4


class Facts:
    """What is told; its methods read files, so they belong into a thread.

    Args:
        context: of the application.
        hardware: what the machine has.
    """

    def __init__(self, context: Context, hardware: Hardware) -> None:
        self._context = context
        self._hardware = hardware
        self._meter = ProcessorMeter(hardware.cores, context.clock)
        self._gpus = GpuWatch(context.clock)

    def status(self, residents: Iterable[ResidentModel], obstacle: str | None) -> StatusBody:
        """How the server is.

        Args:
            residents: the models in memory.
            obstacle: what keeps requests away; None where nothing does.
        """
        context = self._context
        loaded = {resident.name: resident for resident in residents}
        default = default_name(context)
        model = loaded[default].description if default in loaded else None
        totals = context.server.totals()
        load, live = context.service.load(), context.service.live.load()
        factor = totals.real_time_factor
        return StatusBody(
            version=context.server.version,
            uptime_s=round(context.server.uptime_s(), TIME_DIGITS),
            ready=obstacle is None,
            not_ready_reason=obstacle,
            draining=context.server.draining(),
            device=model.device if model else context.settings.device,
            compute_type=model.compute_type if model else context.settings.compute_type,
            encoder=model.encoder if model else None,
            default_model=default,
            demo=default == DEMO_NAME,
            processor=self._processor(),
            memory=self._memory(loaded.values()),
            gpus=self._gpu_list(),
            queue=QueueBody(
                running=load.running,
                waiting=load.waiting,
                max_running=load.max_running,
                max_waiting=load.max_waiting,
            ),
            live=LiveBody(sessions=live.sessions, max_sessions=live.max_sessions),
            totals=TotalsBody(
                requests=totals.requests,
                audio_s=round(totals.audio_s, TIME_DIGITS),
                errors=totals.errors,
                cache_hits=totals.cache_hits,
            ),
            real_time_factor=None if factor is None else round(factor, FACTOR_DIGITS),
            warnings=[
                NoteBody(code=warning.code.value, message=warning.message)
                for warning in (model.warnings if model else ())
            ],
        )

    def _processor(self) -> ProcessorBody:
        load = self._meter.load()
        return ProcessorBody(
            name=self._hardware.processor,
            cores=self._hardware.cores,
            server_percent=load.server,
            machine_percent=load.machine,
        )

    def _memory(self, loaded: Iterable[ResidentModel]) -> MemoryBody:
        return MemoryBody(
            server_bytes=server_bytes(),
            models_bytes=sum(resident.memory_bytes for resident in loaded),
            machine_total_bytes=self._hardware.memory_bytes,
            machine_available_bytes=available_bytes(),
        )

    def _gpu_list(self) -> list[GpuBody]:
        return [
            GpuBody(
                name=gpu.name,
                memory_total_bytes=gpu.memory_bytes,
                memory_used_bytes=gpu.used_bytes,
            )
            for gpu in self._gpus.read()
        ]


def default_name(context: Context) -> str:
    """The name of the default model; that of the setting where there is none on disk."""
    try:
        return context.catalog.resolve(AUTO).name
    except VerbatimError:
        return model_setting(context)


def model_bodies(
    context: Context,
    default: str,
    residents: Iterable[ResidentModel],
    loading: Collection[str],
    pulls: Pulls,
) -> list[ModelBody]:
    """The models on disk, then those that are fetched, then those that are known besides.

    It reads folders, so it belongs into a thread.
    """
    entries = {entry.name: entry for entry in context.catalog.installed()}
    loaded = {resident.name: resident for resident in residents}
    fetched = {pull.name: pull for pull in pulls.list()}
    here = {entry.repository for entry in entries.values()} | set(entries)
    known = (m.name for m in context.catalog.known() if not {m.name, m.repository} & here)
    return [
        _model_body(
            name,
            entry=entries.get(name),
            resident=loaded.get(name),
            pull=fetched.get(name),
            is_default=name == default,
            is_loading=name in loading,
        )
        for name in dict.fromkeys((*entries, *loaded, *fetched, *known))
    ]


def _model_body(
    name: str,
    *,
    entry: ModelEntry | None,
    resident: ResidentModel | None,
    pull: Pull | None,
    is_default: bool,
    is_loading: bool,
) -> ModelBody:
    known = find_known(name)
    model = resident.description if resident else None
    goes_in_s = resident.goes_in_s if resident else None
    return ModelBody(
        id=name,
        aliases=list(entry.aliases if entry else known.aliases if known else ()),
        source=entry.source if entry else None,
        on_disk=entry is not None,
        disk_bytes=entry.size_bytes if entry else None,
        download_bytes=known.download_bytes if known and not entry else None,
        parameters=known.parameters if known else None,
        loaded=resident is not None,
        loading=is_loading,
        users=resident.users if resident else 0,
        memory_bytes=resident.memory_bytes if resident else None,
        device=model.device if model else None,
        compute_type=model.compute_type if model else None,
        encoder=model.encoder if model else None,
        last_used_s=round(resident.idle_s, TIME_DIGITS) if resident else None,
        unloads_in_s=None if goes_in_s is None else round(goes_in_s, TIME_DIGITS),
        default=is_default,
        demo=name == DEMO_NAME,
        languages=list(model.languages) if model else _languages(known),
        pull=pull_body(pull) if pull else None,
    )


def _languages(known: KnownModel | None) -> list[str] | None:
    return ENGLISH if known and known.english_only else None


def pull_body(pull: Pull) -> PullBody:
    """A download."""
    return PullBody(
        state=pull.state,
        phase=pull.doing,
        done_bytes=pull.done_bytes,
        total_bytes=pull.total_bytes,
        error=pull.error,
    )
