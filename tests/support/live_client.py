"""A client of `/v1/live` for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from verbatim.domain.audio import Samples, to_pcm

PATIENCE_S = 60.0


class LiveClient:
    """One connection. `close` is what it was closed with, once it was."""

    def __init__(self, url: str, path: str = "/v1/live", **options: Any) -> None:
        address = url.replace("http", "ws", 1) + path
        options = {"compression": None, "max_size": None, **options}
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(connect(address, **options))
        self.messages: list[dict[str, Any]] = []
        self.close: tuple[int, str] | None = None

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

    def start(self, **options: Any) -> dict[str, Any]:
        self.say(type="start", **options)
        return self.hear()

    def play(self, samples: Samples, piece_s: float = 0.1) -> None:
        data = to_pcm(samples).tobytes()
        size = round(piece_s * 16_000) * 2
        for first in range(0, len(data), size):
            self.socket.send(data[first : first + size])

    def hear(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self.socket.recv(PATIENCE_S))
        self.messages.append(message)
        return message

    def hear_until(self, kind: str, **values: Any) -> dict[str, Any]:
        """The next message of a type, with these values."""
        while True:
            message = self.hear()
            if message["type"] == kind and values.items() <= message.items():
                return message

    def hear_all(self) -> Iterator[dict[str, Any]]:
        """Everything until the connection is closed."""
        while True:
            try:
                yield self.hear()
            except ConnectionClosed as closed:
                frame = closed.rcvd
                self.close = (frame.code, frame.reason) if frame else (1006, "")
                return

    def finals(self) -> list[str]:
        return [m["committed"] for m in self.messages if m["type"] == "text" and m["is_final"]]
