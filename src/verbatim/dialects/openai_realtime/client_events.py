"""The events that a client sends."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from verbatim.dialects.openai_realtime.config import BetaSession, Session
from verbatim.domain.errors import BadRequestError
from verbatim.wire.json_body import fit
from verbatim.wire.websocket import parse_object

MAX_EVENT_ID_CHARS: Final = 512
UPDATE: Final = "session.update"
BETA_UPDATE: Final = "transcription_session.update"
APPEND: Final = "input_audio_buffer.append"
COMMIT: Final = "input_audio_buffer.commit"
CLEAR: Final = "input_audio_buffer.clear"
TALKING: Final = ("conversation.", "response.", "output_audio_buffer.")
"""What events of sessions that talk begin with."""

_LENIENT: Final = ConfigDict(frozen=True, extra="ignore")


class Update(BaseModel):
    """Other settings from now on; what is left out stays."""

    model_config = _LENIENT

    type: Literal["session.update"]
    session: Session


class BetaUpdate(BaseModel):
    """The same in the beta's words."""

    model_config = _LENIENT

    type: Literal["transcription_session.update"]
    session: BetaSession


class Append(BaseModel):
    """Audio."""

    model_config = _LENIENT

    type: Literal["input_audio_buffer.append"]
    audio: str

    def data(self) -> bytes:
        """The audio's bytes.

        Raises:
            BadRequestError: it is no base64.
        """
        try:
            return base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError(
                "The audio is no base64. Send the bytes of the audio, in the session's format, in "
                "standard base64 with its padding.",
                param="audio",
                code="invalid_value",
            ) from error


class Order(BaseModel):
    """Something to do with the audio that was sent."""

    model_config = _LENIENT

    type: Literal["input_audio_buffer.commit", "input_audio_buffer.clear"]


ClientEvent: TypeAlias = Update | BetaUpdate | Append | Order

_MODELS: Final[dict[str, type[Update | BetaUpdate | Append | Order]]] = {
    UPDATE: Update,
    BETA_UPDATE: BetaUpdate,
    APPEND: Append,
    COMMIT: Order,
    CLEAR: Order,
}


def read_object(message: str | bytes) -> dict[str, Any]:
    """A message as a JSON object.

    Raises:
        BadRequestError: it is none.
    """
    if isinstance(message, bytes):
        raise BadRequestError(
            f"A binary message came. Send JSON as text; audio goes in {APPEND}, as base64.",
            code="invalid_json",
        )
    try:
        return parse_object(message)
    except BadRequestError as error:
        raise BadRequestError(
            "This message is no JSON object. Each message is one event, as a JSON object.",
            code="invalid_json",
        ) from error


def event_id_of(message: dict[str, Any]) -> str | None:
    """What the client calls its event, to be told with an error."""
    event_id = message.get("event_id")
    return event_id[:MAX_EVENT_ID_CHARS] if isinstance(event_id, str) else None


def client_event(message: dict[str, Any]) -> ClientEvent:
    """The event that a message is.

    Raises:
        BadRequestError: it is none that is known here, or does not fit; `param` says where.
    """
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        talks = isinstance(kind, str) and kind.startswith(TALKING)
        why = "This server transcribes only; there is nothing to respond with. " if talks else ""
        raise BadRequestError(
            f"{why}An event has one of these types here: {', '.join(_MODELS)}.",
            param="type",
            code="invalid_value",
        )
    return fit(message, _MODELS[kind], whole_place=True)
