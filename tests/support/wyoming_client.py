"""The official Wyoming client, asked as Home Assistant asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from wyoming.asr import Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from verbatim.domain.audio import Samples, to_pcm

PATIENCE_S = 60.0
RATE_HZ = 16_000
CHUNK_S = 0.1


class WyomingClient:
    """One connection. `events` is what the server sent."""

    def __init__(self, client: AsyncTcpClient) -> None:
        self._client = client
        self.events: list[Event] = []

    async def say(self, event: Event) -> None:
        await self._client.write_event(event)

    async def hear(self) -> Event | None:
        """The next event; None where the server closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            event = await self._client.read_event()
        if event is not None:
            self.events.append(event)
        return event

    async def hear_until(self, kind: str) -> Event:
        """The next event of a type."""
        while True:
            event = await self.hear()
            assert event is not None, self.events
            if event.type == kind:
                return event

    async def start(self, **options: str) -> None:
        await self.say(Event("transcribe", {"language": "en", **options}))
        await self.say(AudioStart(RATE_HZ, 2, 1).event())

    async def play(self, samples: Samples, pause_s: float = 0.0) -> None:
        pcm = to_pcm(samples)
        size = round(CHUNK_S * RATE_HZ)
        for first in range(0, len(pcm), size):
            await self.play_bytes(pcm[first : first + size].tobytes())
            await asyncio.sleep(pause_s)

    async def play_bytes(
        self, audio: bytes, rate_hz: int = RATE_HZ, width: int = 2, channels: int = 1
    ) -> None:
        await self.say(AudioChunk(rate_hz, width, channels, audio).event())

    async def stop(self) -> None:
        await self.say(AudioStop().event())

    async def transcript(self) -> Transcript:
        """Everything up to the end of a transcript; its chunks are all of its text."""
        seen = len(self.events)
        whole = Transcript.from_event(await self.hear_until("transcript"))
        await self.hear_until("transcript-stop")
        told = self.events[seen:]
        chunks = [TranscriptChunk.from_event(e).text for e in told if e.type == "transcript-chunk"]
        assert "".join(chunks) == whole.text
        assert [event.type for event in told if event.type != "transcript-chunk"] == [
            *("transcript-start", "transcript", "transcript-stop")
        ]
        return whole

    async def transcribe(self, samples: Samples, **options: str) -> Transcript:
        """Say it all, and hear what was said."""
        await self.start(**options)
        await self.play(samples)
        await self.stop()
        return await self.transcript()


@asynccontextmanager
async def wyoming_client(port: int, host: str = "127.0.0.1") -> AsyncIterator[WyomingClient]:
    """A connection to a server."""
    async with AsyncTcpClient(host, port) as client:
        yield WyomingClient(client)


def pcm_of_width(samples: Samples, width: int) -> bytes:
    """Signed little-endian samples of so many bytes."""
    whole = np.round(samples.astype(np.float64) * (2 ** (8 * width - 1) - 1)).astype("<i8")
    return bytes(whole.view(np.uint8).reshape(-1, 8)[:, :width].tobytes())
