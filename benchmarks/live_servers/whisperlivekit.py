"""WhisperLiveKit with its LocalAgreement policy over faster-whisper, by its WebSocket."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import connect

from benchmarks.live_record import Played, Told
from benchmarks.live_servers.contract import ServerCommand
from benchmarks.live_servers.pcm_socket import PcmSocket


@dataclass(frozen=True, slots=True)
class WhisperLiveKit:
    """Its other policy, SimulStreaming, needs a checkpoint of openai-whisper."""

    name: str = "WhisperLiveKit, LocalAgreement"
    commits: bool = False
    modules: tuple[str, ...] = ("whisperlivekit", "faster_whisper")

    def command(self, model: Path, port: int, language: str) -> ServerCommand:
        """Its server; the language is the server's."""
        server = (sys.executable, "-m", "whisperlivekit.basic_server", "--host", "127.0.0.1")
        policy = ("--backend", "faster-whisper", "--backend-policy", "localagreement")
        given = ("--port", str(port), "--model_dir", str(model), "--lan", language, "--pcm-input")
        return ServerCommand((*server, *policy, *given))

    async def connect(self, port: int, language: str, *, manual: bool) -> WhisperLiveKitStream:
        """Open a stream."""
        del language, manual
        return WhisperLiveKitStream(await connect(f"ws://127.0.0.1:{port}/asr"))


class WhisperLiveKitStream(PcmSocket):
    """One stream."""

    async def listen(self, began_s: float) -> Played:
        """Until it says that everything was told.

        Raises:
            RuntimeError: it failed.
        """
        told: list[Told] = []
        async for data in self._socket:
            message = json.loads(data)
            if message.get("error"):
                raise RuntimeError(message["error"])
            if message.get("type") == "ready_to_stop":
                break
            if "lines" in message:
                lines = [line["text"].strip() for line in message["lines"] if line.get("text")]
                now_s = time.perf_counter() - began_s
                tail = f" {message['buffer_transcription'].strip()}"
                told.append(Told(now_s, " ".join(lines), tail))
        await self._socket.close()
        return Played(tuple(told))
