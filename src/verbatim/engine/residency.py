"""Which models are loaded: each once, on demand, shared by all who use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Generic, Protocol, TypeVar

import structlog

from verbatim.domain.errors import ModelUnavailableError, UnavailableError
from verbatim.engine.protocol import EngineDescription

log = structlog.stdlib.get_logger(__name__)

RETRY_S = 10.0
STOPPING = "The server is stopping; send the request again later."
MIB = 1024 * 1024


class Model(Protocol):
    """What is kept: an engine, or something that owns one."""

    def describe(self) -> EngineDescription:
        """What is loaded."""
        ...

    def memory_bytes(self) -> int:
        """Main memory that it takes."""
        ...

    async def aclose(self) -> None:
        """Free it."""
        ...


M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class ResidencyLimits:
    """When loaded models go.

    Attributes:
        keep_alive_s: a model is unloaded so long after its last use; None: never for that.
        max_memory_bytes: of all loaded models together; the least recently used make room for
            others. None: no limit.
    """

    keep_alive_s: float | None = None
    max_memory_bytes: int | None = None


UNLIMITED = ResidencyLimits()


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """A loaded model as it is now.

    Attributes:
        name: the one under which it was resolved.
        memory_bytes: main memory that it takes.
        users: who uses it now.
        idle_s: since it was last used; 0 while it is.
        goes_in_s: until it is unloaded if nobody uses it; None where nothing is planned.
    """

    name: str
    description: EngineDescription
    memory_bytes: int
    users: int
    idle_s: float
    goes_in_s: float | None


class Unloading(StrEnum):
    """What came of the wish to unload a model."""

    UNLOADED = "unloaded"
    IN_USE = "in_use"
    NOT_LOADED = "not_loaded"


def _size_unknown(name: str) -> int:
    del name
    return 0


@dataclass(slots=True, eq=False)
class _Resident(Generic[M]):
    model: M
    keep_s: float | None
    """How long it stays after its last use; None: as long as there is room."""
    used_at_s: float
    users: int = 0
    idle: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """It is used: it will not go for being idle."""
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None


class Residency(Generic[M]):
    """Loaded models by name.

    Args:
        resolve: the one name of a model under all its aliases; raises ModelNotFoundError.
        load: loads the model of a resolved name; raises ModelNotFoundError or
            ModelUnavailableError. Two requests for a name at the same time load it once.
        limits: when models go; one that is in use never does.
        expected_bytes: what a model will take of the memory once it is loaded, by its name.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        resolve: Callable[[str], str],
        load: Callable[[str], Awaitable[M]],
        limits: ResidencyLimits = UNLIMITED,
        expected_bytes: Callable[[str], int] = _size_unknown,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._load = load
        self._limits = limits
        self._expected_bytes = expected_bytes
        self._clock = clock
        self._loaded: dict[str, _Resident[M]] = {}
        """Least recently used first."""
        self._loading_bytes: dict[str, int] = {}
        self._unloading: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._closed = False

    def loaded(self) -> tuple[EngineDescription, ...]:
        """What is loaded now."""
        return tuple(resident.model.describe() for resident in self._loaded.values())

    def residents(self) -> tuple[ResidentModel, ...]:
        """The same with how they are used, the least recently used first."""
        return tuple(self._state(name, resident) for name, resident in self._loaded.items())

    def loading(self) -> tuple[str, ...]:
        """The names of the models that are being loaded now."""
        return tuple(self._loading_bytes)

    async def load(self, name: str, *, keep_s: float | None = None) -> tuple[ResidentModel, bool]:
        """Load a model before anybody asks for it; says too whether it was loaded already.

        Args:
            name: as `use`.
            keep_s: how long this one stays after its last use, infinity for ever; None leaves it
                as it is, which at first is as the limits say.

        Raises:
            ModelNotFoundError, ModelUnavailableError, UnavailableError: as `use`.
        """
        resolved = await asyncio.to_thread(self._resolve, name)
        known = resolved in self._loaded
        resident = await self._take(resolved)
        if keep_s is not None:
            resident.keep_s = None if keep_s == inf else keep_s
        self._leave(resolved, resident)
        return self._state(resolved, resident), known

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[M]:
        """A model for the time of the context, loaded if need be.

        Raises:
            ModelNotFoundError: no such model.
            ModelUnavailableError: it cannot be had or loaded now.
            UnavailableError: the server is stopping.
        """
        resolved = await asyncio.to_thread(self._resolve, name)
        resident = await self._take(resolved)
        try:
            yield resident.model
        finally:
            self._leave(resolved, resident)

    async def unload(self, name: str) -> Unloading:
        """Free a model that nobody uses; once this returns, its memory is free.

        Raises:
            ModelNotFoundError: no such model.
        """
        resolved = await asyncio.to_thread(self._resolve, name)
        resident = self._loaded.get(resolved)
        if resident is None:
            return Unloading.NOT_LOADED
        if resident.users:
            return Unloading.IN_USE
        await asyncio.shield(self._unload(resolved, resident))
        return Unloading.UNLOADED

    async def unload_idle(self) -> dict[str, int]:
        """Free every model that nobody uses; gives the bytes that each held, by its name."""
        idle = {name: resident for name, resident in self._loaded.items() if not resident.users}
        held = {name: resident.model.memory_bytes() for name, resident in idle.items()}
        going = [self._unload(name, resident) for name, resident in idle.items()]
        await asyncio.gather(*map(asyncio.shield, going))
        return held

    async def aclose(self) -> None:
        """Free every model; nothing may use one any more."""
        self._closed = True
        for name, resident in list(self._loaded.items()):
            self._unload(name, resident)
        await asyncio.gather(*self._unloading.values())

    async def _take(self, name: str) -> _Resident[M]:
        """The model, loaded, with one more user."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            if self._closed:
                raise UnavailableError(STOPPING)
            # Taken out and put back: the last one is the most recently used.
            resident = self._loaded.pop(name, None) or _Resident(
                await self._fetch(name), self._limits.keep_alive_s, self._clock()
            )
            self._loaded[name] = resident
            resident.users += 1
            resident.wake()
        self._shrink()
        return resident

    async def _fetch(self, name: str) -> M:
        """Make room for a model and load it."""
        if (going := self._unloading.get(name)) is not None:
            await asyncio.shield(going)
        self._loading_bytes[name] = await asyncio.to_thread(self._expected_bytes, name)
        try:
            await self._make_room(name)
            model = await self._load(name)
        finally:
            del self._loading_bytes[name]
        if self._closed:
            await model.aclose()
            raise UnavailableError(STOPPING)
        return model

    async def _make_room(self, name: str) -> None:
        """Unload what nobody uses until a model that is to be loaded fits in.

        Raises:
            ModelUnavailableError: it does not, beside the models in use or at all.
        """
        limit_bytes = self._limits.max_memory_bytes
        needed_bytes = self._loading_bytes[name]
        if limit_bytes is not None and needed_bytes > limit_bytes:
            raise ModelUnavailableError(
                f"The model {name!r} needs about {needed_bytes // MIB} MiB, and all models "
                f"together may take {limit_bytes // MIB} MiB: take a smaller model, or raise "
                "VERBATIM_MAX_MODELS_BYTES."
            )
        self._shrink()
        if self._excess_bytes() > 0:
            raise ModelUnavailableError(
                f"There is no memory for the model {name!r} while the models in use take it; send "
                "the request again in a moment.",
                retry_after_s=RETRY_S,
            )
        if limit_bytes is not None and self._unloading:
            await asyncio.wait(set(self._unloading.values()))

    def _shrink(self) -> None:
        """Begin to unload the least recently used models that are one too many."""
        for name, resident in list(self._loaded.items()):
            if self._excess_bytes() <= 0:
                break
            if not resident.users:
                log.info("a model makes room for others", model=name)
                self._unload(name, resident)

    def _excess_bytes(self) -> int:
        """By how much all models, loaded or being loaded, are over the limit."""
        limit_bytes = self._limits.max_memory_bytes
        if limit_bytes is None:
            return 0
        held = sum(resident.model.memory_bytes() for resident in self._loaded.values())
        return held + sum(self._loading_bytes.values()) - limit_bytes

    def _leave(self, name: str, resident: _Resident[M]) -> None:
        """A user leaves; after the last one the model may go one day."""
        resident.users -= 1
        resident.used_at_s = self._clock()
        if resident.users or self._closed:
            return
        resident.wake()
        if resident.keep_s is not None:
            loop = asyncio.get_running_loop()
            resident.idle = loop.call_later(resident.keep_s, self._unload, name, resident)

    def _state(self, name: str, resident: _Resident[M]) -> ResidentModel:
        loop = asyncio.get_running_loop()
        goes_at_s = resident.idle.when() if resident.idle else None
        return ResidentModel(
            name=name,
            description=resident.model.describe(),
            memory_bytes=resident.model.memory_bytes(),
            users=resident.users,
            idle_s=0.0 if resident.users else self._clock() - resident.used_at_s,
            goes_in_s=None if goes_at_s is None else max(0.0, goes_at_s - loop.time()),
        )

    def _unload(self, name: str, resident: _Resident[M]) -> asyncio.Task[None]:
        """Forget a model at once, and free it."""
        resident.wake()
        del self._loaded[name]
        log.info("a model is unloaded", model=name)
        task = asyncio.create_task(resident.model.aclose())
        self._unloading[name] = task
        task.add_done_callback(lambda _: self._unloading.pop(name, None))
        return task
