"""The half of a stream that small servers have in common: bare audio, and an empty message."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection


class PcmSocket:
    """A WebSocket that takes audio only; what it tells is each server's own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, pcm: bytes) -> None:
        """Audio."""
        await self._socket.send(pcm)

    async def commit(self) -> None:
        """It cannot."""
        raise NotImplementedError

    async def finish(self) -> None:
        """An empty message ends it."""
        await self._socket.send(b"")
