"""What makes two results the same, what is kept, and what happens when the database fails."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.transcripts import segment, transcript

from verbatim.domain.errors import ModelNotFoundError, UnavailableError
from verbatim.domain.request import DecodeOptions, Priority, Strategy, Task, TranscriptionRequest
from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.engine.catalog import BUNDLED_DEMO
from verbatim.engine.model_folder import ModelFiles
from verbatim.engine.model_identity import model_identity
from verbatim.pipeline.result_cache import MAX_UNSAVED, PAUSE_S, ResultCache, ResultKey
from verbatim.settings import Settings
from verbatim.store.database import open_database
from verbatim.store.results import ResultStore

NOW = datetime(2026, 11, 21, tzinfo=UTC)
REQUEST = TranscriptionRequest()
TRANSCRIPT = transcript(segment(" Hello."))


class Watched(ResultStore):
    """A store that can be slow or broken, and counts."""

    failure: Exception | None = None
    wait_s = 0.0
    calls = 0

    async def get(self, digest: str, now: datetime) -> bytes | None:
        await self._happen()
        return await super().get(digest, now)

    async def put(self, digest: str, content: bytes, now: datetime) -> None:
        await self._happen()
        await super().put(digest, content, now)

    async def _happen(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.wait_s)
        if self.failure is not None:
            raise self.failure


class House:
    """A cache with everything around it."""

    def __init__(self, store: Watched) -> None:
        self.store = store
        self.now_s = 0.0
        self.models = {"auto": "identity 1", "other": "identity 2"}
        self.cache = self.reopened()

    def reopened(self, version: str = "1") -> ResultCache:
        return ResultCache(self.store, self.identify, version, lambda: self.now_s, lambda: NOW)

    def identify(self, name: str) -> str:
        if name not in self.models:
            raise ModelNotFoundError("No.")
        return self.models[name]

    async def key(
        self, request: TranscriptionRequest = REQUEST, audio: str = "audio", owner: str = "me"
    ) -> ResultKey:
        key = await self.cache.key(audio, request, owner)
        assert key is not None
        return key


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_database(Settings(data_dir=tmp_path)) as database:
        house = House(Watched(database, 1 << 20, timedelta(days=1)))
        yield house
        await house.cache.aclose()


async def test_a_result_is_found_at_once_and_after_it_is_written(house: House) -> None:
    key = await house.key()
    assert await house.cache.find(key) is None
    house.store.wait_s = 0.2
    house.cache.keep(key, TRANSCRIPT)
    calls = house.store.calls
    assert await house.cache.find(key) is TRANSCRIPT
    assert house.store.calls == calls
    await house.cache.aclose()
    house.store.wait_s = 0.0
    assert await house.reopened().find(key) == TRANSCRIPT


@pytest.mark.parametrize(
    "change",
    [
        {"audio": "other"},
        {"owner": "you"},
        {"owner": ""},
        {"request": replace(REQUEST, model="other")},
        {"request": replace(REQUEST, vad=False)},
        {"request": replace(REQUEST, strategy=Strategy.SEQUENTIAL)},
        {"request": replace(REQUEST, decode=DecodeOptions(task=Task.TRANSLATE))},
        {"request": replace(REQUEST, decode=DecodeOptions(initial_prompt="Names"))},
        {"request": replace(REQUEST, decode=DecodeOptions(word_timestamps=True))},
        {"request": replace(REQUEST, languages=("ko",))},
    ],
)
async def test_what_is_part_of_a_result(house: House, change: dict[str, Any]) -> None:
    assert await house.key(**change) != await house.key()


async def test_what_is_no_part_of_a_result(house: House) -> None:
    assert await house.key(replace(REQUEST, priority=Priority.JOB)) == await house.key()
    house.models["whisper"] = house.models["auto"]
    assert await house.key(replace(REQUEST, model="whisper")) == await house.key()


async def test_another_version_has_its_own_results(house: House) -> None:
    assert await house.reopened("2").key("audio", REQUEST, "me") != await house.key()


async def test_chance_and_unknown_models_have_no_key(house: House) -> None:
    chance = replace(REQUEST, decode=DecodeOptions(temperatures=(0.4,)))
    assert await house.cache.key("audio", chance, "me") is None
    assert await house.cache.key("audio", replace(REQUEST, model="none"), "me") is None


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (WarningCode.DEMO_MODEL, True),
        (WarningCode.REPETITION, True),
        (WarningCode.LOW_CONFIDENCE, True),
        (WarningCode.LANGUAGE_UNCERTAIN, True),
        (WarningCode.DAMAGED_AUDIO, False),
        (WarningCode.TRUNCATED_AUDIO, False),
        (WarningCode.DEVICE_FALLBACK, False),
    ],
)
async def test_what_may_be_otherwise_the_next_time_is_not_kept(
    house: House, code: WarningCode, kept: bool
) -> None:
    key = await house.key()
    house.cache.keep(key, replace(TRANSCRIPT, warnings=(TranscriptWarning(code, "said"),)))
    assert (await house.cache.find(key) is not None) is kept


async def test_a_model_whose_files_were_replaced_keeps_nothing(house: House) -> None:
    class Model:
        pass

    old, new = Model(), Model()
    await house.cache.remember(old, "auto")
    assert await house.cache.is_current(await house.key(), old, "auto")
    house.models["auto"] = "identity 3"
    assert not await house.cache.is_current(await house.key(), old, "auto")
    assert await house.cache.is_current(await house.key(), new, "auto")


@pytest.mark.parametrize("slow", [False, True])
async def test_a_database_that_fails_is_left_alone_for_a_while(
    house: House, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verbatim.pipeline.result_cache.LOOK_UP_S", 0.05)
    key = await house.key()
    house.cache.keep(key, TRANSCRIPT)
    await house.cache.aclose()
    house.store.wait_s = 5.0 if slow else 0.0
    house.store.failure = None if slow else UnavailableError("The database is away.")
    with capture_logs() as logs:
        assert await house.cache.find(key) is None
    assert [log["event"] for log in logs] == ["kept results cannot be read"]
    house.store.wait_s, house.store.failure = 0.0, None
    calls = house.store.calls
    assert await house.cache.find(key) is None
    house.cache.keep(await house.key(audio="other"), TRANSCRIPT)
    assert house.store.calls == calls
    house.now_s += PAUSE_S
    assert await house.cache.find(key) == TRANSCRIPT


async def test_what_cannot_be_written_is_forgotten(house: House) -> None:
    house.store.failure = UnavailableError("The database is away.")
    key = await house.key()
    house.cache.keep(key, TRANSCRIPT)
    await house.cache.aclose()
    house.store.failure = None
    house.now_s += PAUSE_S
    assert await house.cache.find(key) is None


async def test_only_so_many_wait_to_be_written(house: House) -> None:
    house.store.wait_s = 0.01
    keys = [await house.key(audio=str(number)) for number in range(MAX_UNSAVED + 3)]
    for key in keys:
        house.cache.keep(key, TRANSCRIPT)
    await house.cache.aclose()
    assert house.store.calls == MAX_UNSAVED


def test_a_model_is_told_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_DEMO, folder)
    files = ModelFiles("name", folder, "folder")
    before = model_identity(files)
    assert model_identity(files) == before
    assert model_identity(replace(files, name="other")) != before
    weights = folder / "model.bin"
    status = weights.stat()
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    touched = model_identity(files)
    assert touched != before
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert model_identity(files) not in {before, touched}


def test_a_model_of_the_hubs_cache_is_told_by_its_hashes(tmp_path: Path) -> None:
    def cached(name: str, blob: str) -> ModelFiles:
        base = tmp_path / name
        (base / "blobs").mkdir(parents=True)
        (base / "snapshot").mkdir()
        (base / "blobs" / blob).write_bytes(os.urandom(100_000))
        (base / "snapshot" / "model.bin").symlink_to(f"../blobs/{blob}")
        return ModelFiles("name", base / "snapshot", "cache")

    first, same, other = cached("a", "a" * 64), cached("b", "a" * 64), cached("c", "b" * 64)
    assert model_identity(first) == model_identity(same) != model_identity(other)
