"""Deepgram's own client of `/v1/listen`."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
import numpy as np
import pytest
from deepgram.core.unchecked_base_model import UncheckedBaseModel
from websockets.exceptions import ConnectionClosed

from verbatim.domain.audio import Samples, to_pcm

with warnings.catch_warnings():
    # The official client imports a part of its WebSocket library that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    from deepgram import AsyncDeepgramClient, DeepgramClient, DeepgramClientEnvironment
    from deepgram.listen.v1 import client as _loaded_late
    from deepgram.listen.v1.socket_client import V1SocketClient
    from deepgram.listen.v1.types.listen_v1error import ListenV1Error
    from deepgram.listen.v1.types.listen_v1metadata import ListenV1Metadata
    from deepgram.listen.v1.types.listen_v1results import ListenV1Results
    from deepgram.listen.v1.types.listen_v1speech_started import ListenV1SpeechStarted
    from deepgram.listen.v1.types.listen_v1utterance_end import ListenV1UtteranceEnd

del _loaded_late

PIECE_S = 0.1
PATIENCE_S = 60.0
RATE = 16_000
RAW = {"encoding": "linear16", "sample_rate": str(RATE)}
MODELS: dict[str, type[UncheckedBaseModel]] = {
    "Results": ListenV1Results,
    "Metadata": ListenV1Metadata,
    "SpeechStarted": ListenV1SpeechStarted,
    "UtteranceEnd": ListenV1UtteranceEnd,
    "Error": ListenV1Error,
}


def _environment(url: str) -> DeepgramClientEnvironment:
    live = url.replace("http", "ws", 1)
    return DeepgramClientEnvironment(base=url, production=live, agent=live, agent_rest=url)


@contextmanager
def client(url: str, key: str = "none") -> Iterator[DeepgramClient]:
    """The official client, pointed here."""
    with httpx.Client(timeout=PATIENCE_S) as http:
        yield DeepgramClient(api_key=key, environment=_environment(url), httpx_client=http)


@asynccontextmanager
async def async_client(url: str, key: str = "none") -> AsyncIterator[AsyncDeepgramClient]:
    """The same, asynchronous."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        yield AsyncDeepgramClient(api_key=key, environment=_environment(url), httpx_client=http)


class Listener:
    """One connection of the official client; what is heard is held to what the API promises."""

    def __init__(self, socket: V1SocketClient) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.close: tuple[int, str] | None = None

    def play(self, samples: Samples, piece_s: float = PIECE_S) -> None:
        self.play_bytes(to_pcm(samples).tobytes(), round(piece_s * RATE) * 2)

    def play_bytes(self, data: bytes, piece_bytes: int) -> None:
        for first in range(0, len(data), piece_bytes):
            self.socket.send_media(data[first : first + piece_bytes])

    def say(self, message: dict[str, Any] | str | bytes) -> None:
        """A message that the client would not send."""
        raw = json.dumps(message) if isinstance(message, dict) else message
        self.socket._websocket.send(raw)

    def hear(self, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self.socket._websocket.recv(timeout=patience_s))
        kind = message["type"]
        if kind in MODELS:
            MODELS[kind].model_validate(message)
        self.messages.append(message)
        return message

    def hear_until(self, kind: str, **values: Any) -> dict[str, Any]:
        """The next message of a type, with these values."""
        while True:
            message = self.hear()
            if message["type"] == kind and values.items() <= message.items():
                return message

    def listen_on_until(self, kind: str) -> dict[str, Any]:
        """The next message of a type; a microphone that hears nothing meanwhile stays on."""
        silence = np.zeros(round(PIECE_S * RATE), np.float32)
        for _ in range(round(PATIENCE_S / PIECE_S)):
            self.play(silence)
            with suppress(TimeoutError):
                while True:
                    message = self.hear(PIECE_S)
                    if message["type"] == kind:
                        return message
        raise TimeoutError(f"no {kind} in {PATIENCE_S:g} s")

    def hear_all(self) -> list[dict[str, Any]]:
        """Everything until the connection is closed."""
        begin = len(self.messages)
        while True:
            try:
                self.hear()
            except ConnectionClosed as closed:
                frame = closed.rcvd
                self.close = (frame.code, frame.reason) if frame else (1006, "")
                return self.messages[begin:]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [message for message in self.of("Results") if message["is_final"]]

    @property
    def texts(self) -> list[str]:
        """What was said for good, stretch by stretch."""
        texts = (final["channel"]["alternatives"][0]["transcript"] for final in self.finals)
        return [text for text in texts if text]


@contextmanager
def listen(url: str, key: str = "none", **query: Any) -> Iterator[Listener]:
    """Connect; 16-bit audio at 16 kHz unless `encoding` says otherwise."""
    asked = {"model": "nova-3", **RAW, **query}
    given = {name: value for name, value in asked.items() if value is not None}
    with client(url, key) as deepgram, deepgram.listen.v1.connect(**given) as socket:
        yield Listener(socket)


def assert_close(seconds: float, expected: float, abs_s: float = 0.4) -> None:
    """Voice activity is near, but not exact."""
    assert seconds == pytest.approx(expected, abs=abs_s)
