"""Which models are loaded: each once, on demand, shared by all who use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from verbatim.domain.errors import UnavailableError
from verbatim.engine.protocol import Engine, EngineDescription

LoadEngine = Callable[[str], Awaitable[Engine]]
"""Loads the model of a resolved name; raises ModelNotFoundError or ModelUnavailableError."""


@dataclass(slots=True)
class _Resident:
    engine: Engine
    users: int = 0


class Residency:
    """Loaded engines by name.

    Args:
        resolve: the one name of a model under all its aliases; raises ModelNotFoundError.
        load: loads it. Two requests for the same name at the same time load it once.
    """

    def __init__(self, resolve: Callable[[str], str], load: LoadEngine) -> None:
        self._resolve = resolve
        self._load = load
        self._loaded: dict[str, _Resident] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._closed = False

    def loaded(self) -> tuple[EngineDescription, ...]:
        """What is loaded now."""
        return tuple(resident.engine.describe() for resident in self._loaded.values())

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Engine]:
        """An engine for the time of the context, loaded if need be.

        Raises:
            ModelNotFoundError: no such model.
            ModelUnavailableError: it cannot be had or loaded now.
            UnavailableError: the server is stopping.
        """
        resolved = await asyncio.to_thread(self._resolve, name)
        resident = await self._get(resolved)
        resident.users += 1
        try:
            yield resident.engine
        finally:
            resident.users -= 1

    async def _get(self, name: str) -> _Resident:
        async with self._locks.setdefault(name, asyncio.Lock()):
            if self._closed:
                raise UnavailableError("The server is stopping; send the request again later.")
            if name not in self._loaded:
                self._loaded[name] = _Resident(await self._load(name))
            return self._loaded[name]

    async def aclose(self) -> None:
        """Free every model; nothing may use one any more."""
        self._closed = True
        residents, self._loaded = list(self._loaded.values()), {}
        for resident in residents:
            await resident.engine.aclose()
