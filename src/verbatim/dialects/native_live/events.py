"""What a session tells, as the JSON messages that a client gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from verbatim.domain.errors import VerbatimError
from verbatim.domain.live import (
    Cleared,
    Failed,
    LiveEvent,
    Partial,
    SecondPass,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    UtteranceEnded,
)
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.transcript import Word

TIME_DIGITS: Final = 3
PROBABILITY_DIGITS: Final = 4

LAST_MESSAGE: Final = "ended"
"""The type of the message after which nothing comes."""

Message: TypeAlias = dict[str, Any]


def event_message(event: LiveEvent) -> Message:
    """An event as a message, without its `seq`."""
    told: Message
    match event:
        case SpeechStarted(utterance, start):
            told = {"type": "speech_started", "utterance": utterance, "start": _time(start)}
        case SpeechStopped(utterance, end):
            told = {"type": "speech_stopped", "utterance": utterance, "end": _time(end)}
        case UtteranceEnded(utterance, start, end, reason):
            told = {"type": "utterance_ended", "utterance": utterance, "reason": reason.value}
            told |= {"start": _time(start), "end": _time(end)}
        case Partial():
            told = _text(event, event.committed, event.delta, event.tail, is_final=False)
        case FinalEvent():
            told = _text(event, event.text, event.delta, "", is_final=True)
            told["language_probability"] = round(event.language_probability, PROBABILITY_DIGITS)
            told["reason"] = event.reason.value
        case SecondPass(utterance, start, end, text, words, _, language):
            told = {"type": "second_pass", "utterance": utterance, "text": text}
            told |= {"words": _words(words), "start": _time(start), "end": _time(end)}
            told["language"] = language
        case Cleared(utterance):
            told = {"type": "cleared", "utterance": utterance}
        case Failed(utterance, error):
            told = {"type": "failed", "utterance": utterance, "error": error_object(error)}
        case SessionEnded(reason, audio_s):
            told = {"type": LAST_MESSAGE, "reason": reason.value, "audio_s": _time(audio_s)}
    return told


def error_message(error: VerbatimError) -> Message:
    """An error of the connection or of a message."""
    return {"type": "error", "error": error_object(error)}


def error_object(error: VerbatimError) -> Message:
    """As Verbatim's HTTP routes tell errors."""
    return {
        "message": error.message,
        "type": error.kind.value,
        "param": error.param,
        "code": error.code,
    }


def _text(
    event: Partial | FinalEvent, committed: str, delta: str, tail: str, *, is_final: bool
) -> Message:
    return {
        "type": "text",
        "utterance": event.utterance,
        "is_final": is_final,
        "committed": committed,
        "delta": delta,
        "tail": tail,
        "words": _words(event.words),
        "start": _time(event.start),
        "end": _time(event.end),
        "language": event.language,
    }


def _words(words: Sequence[Word]) -> list[Message]:
    return [
        {
            "word": word.text.strip(),
            "start": _time(word.start),
            "end": _time(word.end),
            "probability": round(word.probability, PROBABILITY_DIGITS),
        }
        for word in words
    ]


def _time(seconds: float) -> float:
    return round(seconds, TIME_DIGITS)
