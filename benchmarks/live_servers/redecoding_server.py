"""The server of `redecoding`, started as a module with a model's folder, a port and a language."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import numpy as np
from faster_whisper import WhisperModel
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from benchmarks.live_servers.contract import SILENCE_S
from verbatim.domain.units import SAMPLE_RATE_HZ

EVERY_S: Final = 1.0
LONGEST_S: Final = 30.0
QUIET: Final = 0.01
"""Root mean square below which nobody speaks."""
FRAME_S: Final = 0.1


@dataclass(slots=True)
class Buffer:
    """What was said since the last silence.

    Attributes:
        samples: (n,) float32 at 16 kHz.
        decoded: how many of them had been decoded last.
        quiet_s: how long it has been quiet.
        spoken: whether anybody spoke.
    """

    samples: np.ndarray[Any, np.dtype[np.float32]] = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )
    decoded: int = 0
    quiet_s: float = 0.0
    spoken: bool = False

    def add(self, data: bytes) -> None:
        """Hear more."""
        new = np.frombuffer(data, "<i2").astype(np.float32) / 32_768
        quiet = bool(np.sqrt(np.mean(np.square(new))) < QUIET)
        self.quiet_s = self.quiet_s + len(new) / SAMPLE_RATE_HZ if quiet else 0.0
        self.spoken |= not quiet
        self.samples = np.concatenate([self.samples, new])
        if not self.spoken:
            self.samples = self.samples[-round(FRAME_S * SAMPLE_RATE_HZ) :]
            self.decoded = 0

    @property
    def over(self) -> bool:
        """Whether what was said has ended."""
        return self.spoken and self.quiet_s >= SILENCE_S

    @property
    def due(self) -> bool:
        """Whether there is a second of new audio."""
        return self.spoken and len(self.samples) - self.decoded >= EVERY_S * SAMPLE_RATE_HZ


class Redecoder:
    """One model for all connections."""

    def __init__(self, folder: str, language: str) -> None:
        self._model = WhisperModel(folder, device="cpu", compute_type="int8")
        self._language = language

    def text(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> str:
        """Blocks."""
        last = samples[-round(LONGEST_S * SAMPLE_RATE_HZ) :]
        segments, _ = self._model.transcribe(last, language=self._language)
        return " ".join(segment.text.strip() for segment in segments)

    async def stream(self, socket: ServerConnection) -> None:
        """Serve one connection."""
        buffer = Buffer()
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def receive() -> None:
            try:
                async for data in socket:
                    heard.put_nowait(data if isinstance(data, bytes) else data.encode())
            except ConnectionClosed:
                heard.put_nowait(b"")

        receiving = asyncio.create_task(receive())
        ended = False
        while not ended:
            waiting = [await heard.get()]
            while not heard.empty():
                waiting.append(heard.get_nowait())
            for data in waiting:
                ended |= not data
                if data:
                    buffer.add(data)
                if buffer.over:
                    break_off, buffer = buffer, Buffer()
                    await self._tell(socket, break_off, final=True)
            if buffer.spoken and (buffer.due or ended):
                buffer.decoded = len(buffer.samples)
                await self._tell(socket, buffer, final=ended)
        receiving.cancel()

    async def _tell(self, socket: ServerConnection, buffer: Buffer, *, final: bool) -> None:
        text = await asyncio.to_thread(self.text, buffer.samples)
        await socket.send(json.dumps({"text": text, "final": final}))


def _health(socket: ServerConnection, request: Request) -> Response | None:
    return socket.respond(HTTPStatus.OK, "ready\n") if request.path == "/" else None


async def main(folder: str, port: int, language: str) -> None:
    """Serve until the process is ended."""
    redecoder = Redecoder(folder, language)
    async with serve(redecoder.stream, "127.0.0.1", port, process_request=_health) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
