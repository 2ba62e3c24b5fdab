"""A client of the older real-time server, for tests: it does what those clients do."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from verbatim.domain.audio import Samples, to_pcm

PATIENCE_S = 60.0
RATE = 16_000


class OlderClient:
    """One connection to `/ws/transcribe`."""

    def __init__(self, url: str, **options: Any) -> None:
        address = url.replace("http", "ws", 1) + "/ws/transcribe"
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(
            connect(address, **{"max_size": None, **options})
        )
        self.messages: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def order(self, command: str, **options: Any) -> None:
        self.say(command=command, **options)

    def play(self, samples: Samples, piece_s: float = 0.25, pause_s: float = 0.0) -> None:
        data = to_pcm(samples).tobytes()
        size = round(piece_s * RATE) * 2
        for first in range(0, len(data), size):
            self.socket.send(data[first : first + size])
            time.sleep(pause_s)

    def hear(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout_s))
        self.messages.append(message)
        return message

    def hear_until(self, kind: str) -> dict[str, Any]:
        """The next message of a type; what came before it is in `messages`."""
        while True:
            message = self.hear()
            if message["type"] == kind:
                return message

    def close_code(self) -> int:
        """With which the server closes, once everything before is read."""
        while True:
            try:
                self.hear()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    def texts(self, kind: str) -> list[str]:
        return [message["text"] for message in self.messages if message["type"] == kind]
