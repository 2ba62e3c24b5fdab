"""Verbatim by its public path: the server with its default engine, and `/v1/live`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.live_record import Played, Told
from benchmarks.live_servers.contract import SILENCE_S, ServerCommand


@dataclass(frozen=True, slots=True)
class Verbatim:
    """With its default settings, but for the silence that ends an utterance.

    Attributes:
        settings: that differ from the defaults, by their variables' names.
        options: of the session that differ from the defaults.
    """

    name: str = "Verbatim"
    settings: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    commits: bool = True
    modules: tuple[str, ...] = ("verbatim",)

    def command(self, model: Path, port: int, language: str) -> ServerCommand:
        """The language is the session's business."""
        del language
        program = Path(sys.executable).with_name("verbatim")
        return ServerCommand(
            (str(program), "serve", "--port", str(port)),
            {
                "VERBATIM_MODEL": str(model),
                "VERBATIM_DATA_DIR": str(Path(".bench/verbatim-data").resolve()),
                "VERBATIM_OFFLINE": "true",
                **self.settings,
            },
            "/ready",
        )

    async def connect(self, port: int, language: str, *, manual: bool) -> VerbatimStream:
        """Open a session."""
        socket = await connect(f"ws://127.0.0.1:{port}/v1/live", compression=None, max_size=None)
        start = {"type": "start", "language": language, "manual": manual}
        start |= {"turns": {"silence_s": SILENCE_S}, **self.options}
        await socket.send(json.dumps(start))
        return VerbatimStream(socket)


class VerbatimStream:
    """One session."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._commits_at_s: list[float] = []

    async def send(self, pcm: bytes) -> None:
        """Audio."""
        await self._socket.send(pcm)

    async def commit(self) -> None:
        """End the utterance."""
        self._commits_at_s.append(time.perf_counter())
        await self._socket.send(json.dumps({"type": "commit"}))

    async def finish(self) -> None:
        """End the session."""
        await self._socket.send(json.dumps({"type": "finish"}))

    async def listen(self, began_s: float) -> Played:
        """Until the session has ended.

        Raises:
            RuntimeError: it failed.
        """
        told: list[Told] = []
        texts: dict[int, str] = {}
        speech_ends_s: dict[int, float] = {}
        endpoint_delays_s: list[float] = []
        commit_delays_s: list[float] = []
        async for data in self._socket:
            message = json.loads(data)
            now_s = time.perf_counter() - began_s
            match message["type"]:
                case "speech_stopped":
                    speech_ends_s[message["utterance"]] = message["end"]
                case "text":
                    number = message["utterance"]
                    texts[number] = message["committed"]
                    committed = " ".join(text for text in texts.values() if text)
                    tail = message["tail"]
                    if not message["committed"]:
                        tail = f" {tail}"
                    told.append(Told(now_s, committed, tail))
                    if message["is_final"] and message["reason"] == "endpoint":
                        endpoint_delays_s.append(now_s - speech_ends_s[number] - SILENCE_S)
                    elif message["is_final"] and message["reason"] == "commit":
                        committed_s = self._commits_at_s[len(commit_delays_s)] - began_s
                        commit_delays_s.append(now_s - committed_s)
                case "failed" | "error":
                    raise RuntimeError(message["error"]["message"])
        return Played(tuple(told), tuple(endpoint_delays_s), tuple(commit_delays_s))
