"""OpenAI's own client of `/v1/realtime`, whose events are held to the published schemas."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import soxr
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from openai.types.realtime import ConversationItemAdded, ConversationItemCreatedEvent
from tests.support.openai_schema import assert_valid
from websockets.exceptions import ConnectionClosed

from verbatim.domain.audio import Samples, to_pcm

RATE = 24_000
PIECE_S = 0.1
TRANSCRIPTION = "conversation.item.input_audio_transcription"
DELTA, COMPLETED = f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed"
SEGMENT, FAILED = f"{TRANSCRIPTION}.segment", f"{TRANSCRIPTION}.failed"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMMITTED, CLEARED = "input_audio_buffer.committed", "input_audio_buffer.cleared"
ADDED = "conversation.item.added"
CLIENT_WARNING = r"ignore:connect\(\) must be used as a context manager:DeprecationWarning"
"""The official client opens its WebSocket in a way that its library no longer likes."""
LOGPROBS = "item.input_audio_transcription.logprobs"
_ITEM = "RealtimeServerEventConversationItemInputAudioTranscription"
_BUFFER = "RealtimeServerEventInputAudioBuffer"
SCHEMAS = {
    "session.created": "RealtimeServerEventSessionCreated",
    "session.updated": "RealtimeServerEventSessionUpdated",
    "transcription_session.updated": "RealtimeServerEventTranscriptionSessionUpdated",
    "error": "RealtimeServerEventError",
    DELTA: f"{_ITEM}Delta",
    COMPLETED: f"{_ITEM}Completed",
    SEGMENT: f"{_ITEM}Segment",
    FAILED: f"{_ITEM}Failed",
    STARTED: f"{_BUFFER}SpeechStarted",
    STOPPED: f"{_BUFFER}SpeechStopped",
    COMMITTED: f"{_BUFFER}Committed",
    CLEARED: f"{_BUFFER}Cleared",
}


class Judge:
    """Sees every event of a connection, and holds it to what is published and promised."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.deltas: dict[str, str] = {}
        self.transcripts: dict[str, str] = {}

    def see(self, data: bytes | str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(data)
        assert event["event_id"] not in {each["event_id"] for each in self.events}
        kind = event["type"]
        if kind in SCHEMAS:
            assert_valid(SCHEMAS[kind], event)
        elif kind == ADDED:
            ConversationItemAdded.model_validate(event, strict=True)
        elif kind == "conversation.item.created":
            ConversationItemCreatedEvent.model_validate(event, strict=True)
        else:
            assert kind == "transcription_session.created"
            assert_valid("RealtimeTranscriptionSessionCreateResponse", event["session"])
        if kind == "error":
            assert set(event["error"]) == {"type", "code", "message", "param", "event_id"}
            assert event["error"]["message"]
        if kind == DELTA:
            item = event["item_id"]
            assert item not in self.transcripts
            self.deltas[item] = self.deltas.get(item, "") + event["delta"]
        if kind == COMPLETED:
            item = event["item_id"]
            assert item not in self.transcripts
            assert event["transcript"] == self.deltas.get(item, "")
            self.transcripts[item] = event["transcript"]
        if "logprobs" in event:
            text = event["delta"] if kind == DELTA else event["transcript"]
            assert "".join(each["token"] for each in event["logprobs"]) == text
            assert all(each["logprob"] <= 0 for each in event["logprobs"])
        self.events.append(event)
        return event

    @property
    def texts(self) -> list[str]:
        """What was said, utterance by utterance."""
        return [text for text in self.transcripts.values() if text]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


class Realtime(Judge):
    """A connection of the official client."""

    def __init__(self, connection: RealtimeConnection) -> None:
        super().__init__()
        self.connection: Any = connection
        self.close: tuple[int, str] | None = None

    def hear(self) -> dict[str, Any]:
        """The next event."""
        return self.see(self.connection.recv_bytes())

    def hear_until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The next event of this type, or the one so many further on."""
        while True:
            event = self.hear()
            count -= event["type"] == kind
            if count == 0:
                return event

    def hear_all(self) -> Iterator[dict[str, Any]]:
        """Everything until the connection is closed."""
        while True:
            try:
                yield self.hear()
            except ConnectionClosed as closed:
                frame = closed.rcvd
                self.close = (frame.code, frame.reason) if frame else (1006, "")
                return

    def update(self, **heard: Any) -> dict[str, Any]:
        """Change the session's audio.input; what was answered."""
        self.connection.session.update(
            session={"type": "transcription", "audio": {"input": heard}}, event_id="update"
        )
        # Text of what was said before may come first.
        while (event := self.hear())["type"] not in {"session.updated", "error"}:
            pass
        return event

    def play(self, samples: Samples) -> None:
        self.play_bytes(pcm24(samples), round(PIECE_S * RATE) * 2)

    def play_bytes(self, data: bytes, piece_bytes: int) -> None:
        for first in range(0, len(data), piece_bytes):
            piece = data[first : first + piece_bytes]
            self.connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())

    def say(self, message: dict[str, Any] | str | bytes) -> None:
        """A message that the client would not send."""
        raw = json.dumps(message) if isinstance(message, dict) else message
        self.connection._connection.send(raw)


def pcm24(samples: Samples) -> bytes:
    """16 kHz samples as the wire's 16-bit audio at 24 kHz."""
    resampled = soxr.resample(samples, 16_000, RATE)
    return to_pcm(np.clip(resampled, -1, 1).astype(np.float32)).tobytes()


@contextmanager
def realtime(
    url: str, key: str = "none", query: dict[str, object] | None = None, **options: Any
) -> Iterator[Realtime]:
    """Connect as the documentation of the client says; the first event was heard."""
    with (
        OpenAI(base_url=f"{url}/v1", api_key=key) as client,
        client.realtime.connect(
            extra_query={"intent": "transcription"} if query is None else query, **options
        ) as connection,
    ):
        talk = Realtime(connection)
        talk.hear()
        yield talk
