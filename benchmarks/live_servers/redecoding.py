"""The way of small servers: the last seconds are decoded again every second.

There is no voice activity detection, no committed text and no queue of windows: a thread decodes
with faster-whisper what was said since the last silence, shows it, and calls it final when it has
been quiet for long enough. Its server is in `redecoding_server`.
"""

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
class Redecoding:
    """With faster-whisper's defaults."""

    name: str = "decodes the last seconds again every second"
    commits: bool = False
    modules: tuple[str, ...] = ("faster_whisper",)

    def command(self, model: Path, port: int, language: str) -> ServerCommand:
        """Our own small server."""
        module = "benchmarks.live_servers.redecoding_server"
        return ServerCommand((sys.executable, "-m", module, str(model), str(port), language))

    async def connect(self, port: int, language: str, *, manual: bool) -> RedecodingStream:
        """Open a stream."""
        del language, manual
        return RedecodingStream(await connect(f"ws://127.0.0.1:{port}/live"))


class RedecodingStream(PcmSocket):
    """One stream."""

    async def listen(self, began_s: float) -> Played:
        """Until the server closes."""
        told: list[Told] = []
        finals: list[str] = []
        async for data in self._socket:
            message = json.loads(data)
            tail = f" {message['text']}"
            if message["final"]:
                finals.append(message["text"])
                tail = ""
            now_s = time.perf_counter() - began_s
            told.append(Told(now_s, " ".join(filter(None, finals)), tail))
        return Played(tuple(told))
