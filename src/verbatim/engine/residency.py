"""Which models are loaded: each once, on demand, shared by all who use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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


def _size_unknown(name: str) -> int:
    del name
    return 0


@dataclass(slots=True, eq=False)
class _Resident(Generic[M]):
    model: M
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
    """

    def __init__(
        self,
        resolve: Callable[[str], str],
        load: Callable[[str], Awaitable[M]],
        limits: ResidencyLimits = UNLIMITED,
        expected_bytes: Callable[[str], int] = _size_unknown,
    ) -> None:
        self._resolve = resolve
        self._load = load
        self._limits = limits
        self._expected_bytes = expected_bytes
        self._loaded: dict[str, _Resident[M]] = {}
        """Least recently used first."""
        self._loading_bytes: dict[str, int] = {}
        self._unloading: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._closed = False

    def loaded(self) -> tuple[EngineDescription, ...]:
        """What is loaded now."""
        return tuple(resident.model.describe() for resident in self._loaded.values())

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
            resident.users -= 1
            self._rest(resolved, resident)

    async def unload(self, name: str) -> bool:
        """Free a model that nobody uses; says whether it was loaded and is now gone.

        Raises:
            ModelNotFoundError: no such model.
        """
        resolved = await asyncio.to_thread(self._resolve, name)
        resident = self._loaded.get(resolved)
        if resident is None or resident.users:
            return False
        await asyncio.shield(self._unload(resolved, resident))
        return True

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
            resident = self._loaded.pop(name, None) or _Resident(await self._fetch(name))
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

    def _rest(self, name: str, resident: _Resident[M]) -> None:
        """A user has left; after the last one the model may go one day."""
        keep_s = self._limits.keep_alive_s
        if resident.users or keep_s is None or self._closed:
            return
        resident.wake()
        loop = asyncio.get_running_loop()
        resident.idle = loop.call_later(keep_s, self._unload, name, resident)

    def _unload(self, name: str, resident: _Resident[M]) -> asyncio.Task[None]:
        """Forget a model at once, and free it."""
        resident.wake()
        del self._loaded[name]
        log.info("a model is unloaded", model=name)
        task = asyncio.create_task(resident.model.aclose())
        self._unloading[name] = task
        task.add_done_callback(lambda _: self._unloading.pop(name, None))
        return task
