"""Which models stay in memory, which go, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from verbatim.domain.errors import ModelUnavailableError, UnavailableError
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.residency import Residency, ResidencyLimits, Unloading

PATIENCE_S = 30.0


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
        assert await house.models.unload("1") is Unloading.IN_USE
    await until(lambda: not house.open())


async def test_every_use_begins_the_time_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, skipped_s = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + skipped_s)
    house = House(ResidencyLimits(keep_alive_s=100))
    for _ in range(8):
        await house.use("1")
        skipped_s += 60
    assert house.loads == ["1"]
    skipped_s += 60
    await until(lambda: not house.open())
    await house.models.aclose()


async def test_a_model_is_told_with_its_use() -> None:
    house = House(ResidencyLimits(keep_alive_s=60))
    await house.use("7")
    (resting,) = house.models.residents()
    assert (resting.name, resting.description.model, resting.memory_bytes) == ("7", "7", 7)
    assert resting.users == 0
    assert 0 <= resting.idle_s < PATIENCE_S
    assert resting.goes_in_s is not None
    assert 60 - PATIENCE_S < resting.goes_in_s <= 60
    async with house.models.use("7"):
        (used,) = house.models.residents()
        assert (used.users, used.idle_s, used.goes_in_s) == (1, 0.0, None)
    await house.models.aclose()


async def test_loading_ahead_loads_once_and_tells_so() -> None:
    house = House(ResidencyLimits())
    first, second = await asyncio.gather(house.models.load("1"), house.models.load("1"))
    assert house.loads == ["1"]
    assert (first[0].name, first[0].users) == ("1", 0)
    (_, known) = await house.models.load("1")
    assert known
    assert {first[1], second[1]} == {False}
    await house.models.aclose()


@pytest.mark.parametrize("limit_s", [None, 0.01])
async def test_a_model_is_kept_as_its_loader_asks(limit_s: float | None) -> None:
    house = House(ResidencyLimits(keep_alive_s=limit_s))
    await house.models.load("1", keep_s=0.05)
    await house.models.load("2", keep_s=inf)
    await until(lambda: house.names() == ["2"])
    await asyncio.sleep(0.05)
    await house.use("2")
    (stays,) = house.models.residents()
    assert (stays.name, stays.goes_in_s) == ("2", None)
    await house.models.load("2", keep_s=0)
    await until(lambda: not house.open())
    await house.models.aclose()


async def test_what_is_being_loaded_is_told() -> None:
    house = House(ResidencyLimits())
    loading = asyncio.ensure_future(house.models.load("1"))
    await until(lambda: house.models.loading() == ("1",))
    await loading
    assert house.models.loading() == ()
    await house.models.aclose()


async def test_unloading_on_request() -> None:
    house = House(ResidencyLimits())
    assert await house.models.unload("1") is Unloading.NOT_LOADED
    await house.use("1")
    assert await house.models.unload("1") is Unloading.UNLOADED
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
