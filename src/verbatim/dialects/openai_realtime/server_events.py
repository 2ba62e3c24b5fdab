"""What a session tells, as the events that a client gets."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from verbatim.dialects.openai_realtime.config import MS_PER_S, Config
from verbatim.domain.errors import VerbatimError
from verbatim.domain.live import (
    Cleared,
    Failed,
    LiveEvent,
    Partial,
    SecondPass,
    SessionEnd,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    UtteranceEnded,
)
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.transcript import Word
from verbatim.wire.dialect import STATUS_OF_KIND
from verbatim.wire.v1_errors import ErrorFields, error_fields

ID_BYTES: Final = 12
TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"
NOBODY: Final = ""
"""The speaker of every segment: speakers are not told apart."""
TIME_DIGITS: Final = 3
LEAST_PROBABILITY: Final = 1e-10
REASON_OF_END: Final = {
    SessionEnd.IDLE: "No audio came for as long as a session may be idle here",
    SessionEnd.TOO_LONG: "The session lasted as long as one may last here",
    SessionEnd.DRAINING: "The server is stopping",
}

Event: TypeAlias = dict[str, Any]


def new_id(kind: str) -> str:
    """An unguessable id, such as `item_1f…`."""
    return f"{kind}_{secrets.token_hex(ID_BYTES)}"


def server_event(kind: str, **values: Any) -> Event:
    """An event with an id of its own."""
    return {"type": kind, "event_id": new_id("event"), **values}


def error_event(error: VerbatimError, event_id: str | None = None) -> Event:
    """An error; `event_id` is that of the client's event at fault."""
    return server_event("error", error={**_fields(error), "event_id": event_id})


def _fields(error: VerbatimError) -> ErrorFields:
    return error_fields(error, STATUS_OF_KIND[error.kind])


class Narrator:
    """Turns a session's events into a client's, in order.

    Args:
        config: what holds at the beginning; set `config` when that changes.
        beta: in the words of the beta.
    """

    def __init__(self, config: Config, *, beta: bool) -> None:
        self.config = config
        self.buffer_start_s = 0.0
        """Where the audio begins that belongs to no item yet, on the session's clock."""
        self._added = "conversation.item.created" if beta else "conversation.item.added"
        self._items: dict[int, str] = {}
        self._last_item: str | None = None
        self._told_ms = 0

    def tell(self, event: LiveEvent) -> Iterator[Event]:
        """The events for what happened; none for what has no name there."""
        match event:
            case SpeechStarted(utterance, start):
                yield self._speech_started(utterance, start)
            case SpeechStopped(utterance, end):
                yield self._speech_stopped(utterance, end)
            case UtteranceEnded(utterance, _, end):
                self.buffer_start_s = max(self.buffer_start_s, end)
                yield from self._committed(utterance)
            case Partial():
                yield from self._delta(event, event.committed)
            case FinalEvent():
                yield from self._delta(event, event.text)
                yield from self._completed(event)
            case Cleared(utterance):
                if utterance is not None:
                    self._items.pop(utterance, None)
                yield server_event("input_audio_buffer.cleared")
            case Failed(utterance, error):
                yield self._failed(utterance, error)
            case SessionEnded(reason) if reason in REASON_OF_END:
                yield server_event("error", error=_end(reason))
            case SessionEnded() | SecondPass():
                pass

    def _item(self, utterance: int) -> str:
        return self._items.setdefault(utterance, new_id("item"))

    def _speech_started(self, utterance: int, start: float) -> Event:
        # As published: from where the audio is heard, padding included.
        padding_s = 0.0 if self.config.turns is None else self.config.turns.live().padding_s
        start_ms = max(round((start - padding_s) * MS_PER_S), self._told_ms)
        return server_event(
            "input_audio_buffer.speech_started",
            audio_start_ms=start_ms,
            item_id=self._item(utterance),
        )

    def _speech_stopped(self, utterance: int, end: float) -> Event:
        # As published: the silence that ended it counts.
        silence_s = 0.0 if self.config.turns is None else self.config.turns.live().silence_s
        self._told_ms = round((end + silence_s) * MS_PER_S)
        return server_event(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=self._told_ms,
            item_id=self._item(utterance),
        )

    def _committed(self, utterance: int) -> Iterator[Event]:
        item, before = self._item(utterance), self._last_item
        self._last_item = item
        yield server_event("input_audio_buffer.committed", item_id=item, previous_item_id=before)
        content = [{"type": "input_audio", "transcript": None}]
        message = {"id": item, "object": "realtime.item", "type": "message", "role": "user"}
        yield server_event(
            self._added,
            previous_item_id=before,
            item={**message, "status": "completed", "content": content},
        )

    def _delta(self, event: Partial | FinalEvent, text: str) -> Iterator[Event]:
        if event.delta:
            told = self._of_item(event.utterance) | {"delta": event.delta}
            yield server_event(
                f"{TRANSCRIPTION}.delta", **told, **self._logprobs(event.words, text, event.delta)
            )

    def _completed(self, event: FinalEvent) -> Iterator[Event]:
        place = self._of_item(event.utterance)
        for segment in event.segments:
            yield server_event(
                f"{TRANSCRIPTION}.segment",
                **place,
                id=new_id("seg"),
                text=segment.text.strip(),
                speaker=NOBODY,
                start=round(segment.start, TIME_DIGITS),
                end=round(segment.end, TIME_DIGITS),
            )
        yield server_event(
            f"{TRANSCRIPTION}.completed",
            **place,
            transcript=event.text,
            languages=[{"code": event.language}] if event.text else [],
            usage={"type": "duration", "seconds": round(event.end - event.start, TIME_DIGITS)},
            **self._logprobs(event.words, event.text, event.text),
        )
        self._items.pop(event.utterance, None)

    def _failed(self, utterance: int | None, error: VerbatimError) -> Event:
        if utterance is None:
            return error_event(error)
        told = {name: value for name, value in _fields(error).items() if value is not None}
        place = self._of_item(utterance)
        self._items.pop(utterance, None)
        return server_event(f"{TRANSCRIPTION}.failed", **place, error=told)

    def _of_item(self, utterance: int) -> dict[str, Any]:
        return {"item_id": self._item(utterance), "content_index": 0}

    def _logprobs(self, words: Sequence[Word], text: str, delta: str) -> dict[str, Any]:
        return {"logprobs": word_logprobs(words, text, delta)} if self.config.logprobs else {}


def word_logprobs(words: Sequence[Word], text: str, delta: str) -> list[dict[str, Any]]:
    """Log probabilities of the words at the end of a text.

    Args:
        words: of the whole text.
        text: which ends with the delta.
        delta: what the tokens shall join to.

    Returns:
        For each word, or part of one, that is in the delta: token, logprob and bytes.
    """
    joined = "".join(word.text for word in words)
    text_start = len(joined) - len(joined.lstrip())
    text_end = text_start + len(text)
    delta_start = text_end - len(delta)
    told, at = [], 0
    for word in words:
        first, at = at, at + len(word.text)
        token = joined[max(first, delta_start) : min(at, text_end)]
        if token:
            logprob = math.log(max(word.probability, LEAST_PROBABILITY))
            told.append({"token": token, "logprob": logprob, "bytes": list(token.encode())})
    return told


def _end(reason: SessionEnd) -> dict[str, Any]:
    return {
        "type": "invalid_request_error",
        "code": "session_expired",
        "message": f"{REASON_OF_END[reason]}. Connect again to go on.",
        "param": None,
        "event_id": None,
    }
