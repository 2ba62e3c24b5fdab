"""Which models stay in memory, which go, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from verbatim.domain.errors import ModelUnavailableError, UnavailableError
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.residency import Residency, ResidencyLimits

PATIENCE_S = 10.0


class Sized(FakeEngine):
    """A fake of a size, whose closing takes a moment."""

    def __init__(self, name: str, size_bytes: int) -> None:
        super().__init__(description=replace(FAKE_DESCRIPTION, model=name))
        self.size_bytes = size_bytes

    def memory_bytes(self) -> int:
        return self.size_bytes

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)
        await super().aclose()


class House:
    """A residency whose models are as large as the number in their names."""

    def __init__(self, limits: ResidencyLimits, expected: Callable[[str], int] = int) -> None:
        self.loads: list[str] = []
        self.engines: list[Sized] = []
        self.most_bytes = 0
        self.models = Residency(str, self._load, limits, expected)

    async def _load(self, name: str) -> Sized:
        self.loads.append(name)
        await asyncio.sleep(0.01)
        self.engines.append(Sized(name, int(name)))
        self.most_bytes = max(self.most_bytes, sum(e.size_bytes for e in self.open()))
        return self.engines[-1]

    def open(self) -> list[Sized]:
        return [engine for engine in self.engines if not engine.closed]

    def names(self) -> list[str]:
        return [description.model for description in self.models.loaded()]

    async def use(self, *names: str) -> None:
        for name in names:
            async with self.models.use(name):
                pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.005)


async def test_by_default_models_stay() -> None:
    house = House(ResidencyLimits())
    await house.use("1", "2", "1", "2")
    assert house.loads == ["1", "2"]
    await house.models.aclose()
    assert not house.open()


async def test_an_idle_model_goes_and_comes_back() -> None:
    house = House(ResidencyLimits(keep_alive_s=0.05))
    await house.use("1")
    assert house.names() == ["1"]
    await until(lambda: not house.names())
    await until(lambda: not house.open())
    await house.use("1")
    assert house.loads == ["1", "1"]
    await house.models.aclose()


async def test_a_model_in_use_does_not_go() -> None:
    house = House(ResidencyLimits(keep_alive_s=0.02))
    async with house.models.use("1"):
        await house.use("1")
        await asyncio.sleep(0.1)
        assert house.names() == ["1"]
        assert not await house.models.unload("1")
    await until(lambda: not house.open())


async def test_every_use_begins_the_time_anew() -> None:
    house = House(ResidencyLimits(keep_alive_s=0.3))
    for _ in range(8):
        await house.use("1")
        await asyncio.sleep(0.06)
    assert house.loads == ["1"]
    await house.models.aclose()


async def test_unloading_on_request() -> None:
    house = House(ResidencyLimits())
    assert not await house.models.unload("1")
    await house.use("1")
    assert await house.models.unload("1")
    assert not house.open()
    assert not house.names()


async def test_a_model_comes_back_only_when_it_has_gone() -> None:
    house = House(ResidencyLimits())
    await house.use("1")
    await asyncio.gather(house.models.unload("1"), house.use("1"), house.use("1"))
    assert house.most_bytes == 1
    await house.models.aclose()


async def test_the_least_recently_used_makes_room() -> None:
    house = House(ResidencyLimits(max_memory_bytes=10))
    await house.use("4", "3", "2", "4")
    await house.use("5")
    assert house.names() == ["4", "5"]
    assert house.most_bytes <= 10
    await house.use("3")
    assert house.names() == ["5", "3"]
    assert house.most_bytes <= 10
    await house.models.aclose()


async def test_models_in_use_never_make_room() -> None:
    house = House(ResidencyLimits(max_memory_bytes=10))
    async with house.models.use("4"):
        await house.use("5")
        await house.use("6")
        assert house.names() == ["4", "6"]
        with pytest.raises(ModelUnavailableError, match="models in use take it") as busy:
            await house.use("7")
        assert busy.value.retry_after_s is not None
        assert "4" in house.names()
    await house.use("7")
    assert house.names() == ["7"]
    await house.models.aclose()


async def test_a_model_that_can_never_fit_is_refused_and_nothing_goes_for_it() -> None:
    house = House(ResidencyLimits(max_memory_bytes=10))
    await house.use("4")
    with pytest.raises(ModelUnavailableError, match="VERBATIM_MAX_MODELS_BYTES"):
        await house.use("11")
    assert house.names() == ["4"]
    await house.models.aclose()


async def test_what_turns_out_larger_than_expected_makes_others_go() -> None:
    house = House(ResidencyLimits(max_memory_bytes=10), expected=lambda name: 1)
    await house.use("6", "7")
    assert house.names() == ["7"]
    await house.models.aclose()


async def test_two_that_come_at_once_do_not_take_the_same_room() -> None:
    house = House(ResidencyLimits(max_memory_bytes=10))
    outcomes = await asyncio.gather(house.use("6"), house.use("7"), return_exceptions=True)
    assert sum(isinstance(outcome, ModelUnavailableError) for outcome in outcomes) == 1
    assert house.most_bytes <= 10
    await house.models.aclose()


async def test_a_model_that_was_being_loaded_at_the_end_is_freed() -> None:
    house = House(ResidencyLimits())
    using = asyncio.create_task(house.use("1"))
    await until(lambda: bool(house.loads))
    await house.models.aclose()
    with pytest.raises(UnavailableError):
        await using
    assert not house.open()
