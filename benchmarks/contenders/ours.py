"""Verbatim by its public path: the service with the engine and settings that a server has."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.contenders.contract import LANGUAGE, Served, ctranslate2_limit
from benchmarks.messages import BurstJob, FileJob
from verbatim.domain.events import SegmentReady
from verbatim.domain.request import DecodeOptions, Gates, TranscriptionRequest
from verbatim.engine.catalog import Catalog
from verbatim.engine.protocol import EngineDescription
from verbatim.pipeline.local_service import open_service
from verbatim.pipeline.service import Recording, TranscriptionService
from verbatim.settings import Settings

PROMPT_TOKENS: Final = 4
"""Start, language, task, no timestamps."""
NO_GATES: Final = Gates(**{gate.name: None for gate in fields(Gates)})
"""Random text passes none, and every window must be decoded once."""
T = TypeVar("T")


def make(model: str, cores: int, **settings: str | int | bool) -> Ours:
    """Open the service with the settings a user has by default.

    Args:
        model: a CTranslate2 folder.
        cores: not looked at: Verbatim takes what the process may use.
        settings: that differ from the defaults.
    """
    del cores
    data_dir = Path(model).parent / "verbatim-data"
    given = {"model": model, "data_dir": str(data_dir), "offline": True} | settings
    return Ours(Settings.model_validate(given))


class Ours:
    """The service on an event loop of its own, which runs on while others have their turn."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._opened: AbstractAsyncContextManager[TranscriptionService]
        self._service: TranscriptionService
        self._description: EngineDescription
        self._await(self._open(settings))

    async def _open(self, settings: Settings) -> None:
        self._opened = open_service(settings, Catalog(settings))
        self._service = await self._opened.__aenter__()
        self._description = await self._service.preload("auto")
        if settings.device not in {"auto", self._description.device}:
            reasons = [warning.message for warning in self._description.warnings]
            raise RuntimeError(" ".join(reasons) or f"it runs on {self._description.device}")

    def versions(self) -> dict[str, str]:
        """Of Verbatim and what it runs on."""
        return {name: version(name) for name in ("verbatim-stt", "ctranslate2", "onnxruntime")}

    def remark(self) -> str:
        """What was chosen by hardware."""
        chosen = self._description
        return f"{chosen.compute_type}, encoder {chosen.encoder}, {chosen.workers} workers"

    def file(self, job: FileJob) -> Iterator[int]:
        """With clips given, nothing is cut out: the clips are the cuts that Verbatim makes."""
        counts = self._counts(job.path, _request(job.tokens, vad=not job.clips))
        while True:
            count = self._await(anext(counts, None))
            if count is None:
                return
            yield count

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """All requests at once."""
        return self._await(self._serve(job))

    def close(self) -> None:
        """Drain, and free the model."""
        self._await(self._opened.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, job: BurstJob) -> list[Served]:
        begun_s = time.perf_counter()
        request = _request(job.tokens, vad=True)

        async def serve(path: str) -> Served:
            tokens = [count async for count in self._counts(path, request)]
            return Served(time.perf_counter() - begun_s, tuple(tokens))

        return await asyncio.gather(*(serve(path) for path in job.paths))

    async def _counts(self, path: str, request: TranscriptionRequest) -> AsyncIterator[int]:
        run = await self._service.start(Recording(Path(path)), request)
        async with aclosing(run.events()) as events:
            async for event in events:
                if isinstance(event, SegmentReady):
                    yield len(event.segment.tokens)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _request(tokens: int, *, vad: bool) -> TranscriptionRequest:
    decode = DecodeOptions(
        language=LANGUAGE,
        timestamps=False,
        beam_size=1,
        temperatures=(0.0,),
        gates=NO_GATES,
        max_new_tokens=ctranslate2_limit(tokens, PROMPT_TOKENS),
    )
    return TranscriptionRequest(decode=decode, vad=vad)
