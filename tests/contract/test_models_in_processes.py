"""What the settings say of models in memory, kept by the real service with real processes."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.speech import speech

from verbatim.domain.errors import ModelUnavailableError
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.engine.catalog import Catalog
from verbatim.engine.known_models import DEMO_NAME
from verbatim.engine.lengths import FULL_LENGTH_S
from verbatim.engine.process import MIN_LIFE_S
from verbatim.pipeline.local_service import open_service
from verbatim.pipeline.service import Recording, TranscriptionService
from verbatim.settings import MIB, Settings

PATIENCE_S = 60.0
READY = "a model's process is ready"
REPLACED = "a model's process is replaced for its memory"
REQUEST = TranscriptionRequest(model=DEMO_NAME, decode=DecodeOptions(language="en", beam_size=1))

Logs = list[MutableMapping[str, Any]]


def settings(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, "offline": True, **more})


def pids(logs: Logs) -> list[int]:
    return [int(line["pid"]) for line in logs if line["event"] == READY]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def text_of(service: TranscriptionService) -> str:
    (file,) = speech("short", "en", 1)
    run = await service.start(Recording(file.path), REQUEST)
    return (await asyncio.wait_for(run.result(), PATIENCE_S)).text


async def test_an_idle_model_and_its_process_go_and_come_back(tmp_path: Path) -> None:
    chosen = settings(tmp_path, keep_alive_s=0.2, batch_size=3, short_context=False, cpu_threads=1)
    with capture_logs() as logs:
        async with open_service(chosen, Catalog(chosen)) as service:
            description = await service.preload(DEMO_NAME)
            assert (description.batch_size, description.lengths_s) == (3, FULL_LENGTH_S)
            assert description.replicas == 1
            (pid,) = pids(logs)
            async with asyncio.timeout(PATIENCE_S):
                while exists(pid):  # noqa: ASYNC110 - there is nothing to wait for
                    await asyncio.sleep(0.01)
            assert service.loaded_models() == ()
            assert await text_of(service)
            assert len(pids(logs)) == 2
    assert not any(map(exists, pids(logs)))


async def test_a_process_that_takes_too_much_memory_is_replaced(tmp_path: Path) -> None:
    now_s = 0.0
    chosen = settings(tmp_path, max_process_bytes=MIB)
    with capture_logs() as logs:
        async with open_service(chosen, Catalog(chosen), lambda: now_s) as service:
            before = await text_of(service)
            assert len(pids(logs)) == 1
            now_s = MIN_LIFE_S
            assert await text_of(service) == before
            assert await text_of(service) == before
            assert len(pids(logs)) == 2
    (line,) = [line for line in logs if line["event"] == REPLACED]
    assert line["limit_bytes"] == MIB < line["memory_bytes"]


async def test_a_model_that_is_larger_than_all_may_be_is_refused(tmp_path: Path) -> None:
    chosen = settings(tmp_path, max_models_bytes=MIB)
    async with open_service(chosen, Catalog(chosen)) as service:
        with pytest.raises(ModelUnavailableError, match="VERBATIM_MAX_MODELS_BYTES"):
            await service.preload(DEMO_NAME)
