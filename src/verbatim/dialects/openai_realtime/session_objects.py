"""Sessions as clients are told of them, in the words of the released API and of the beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from verbatim.dialects.openai_realtime.config import (
    BETA_FORMATS,
    LOGPROBS,
    PCM,
    PCM_RATE_HZ,
    Config,
)
from verbatim.domain.transcript import TranscriptWarning

SESSION_OBJECT: Final = "realtime.transcription_session"
BETA_FORMAT_OF_TYPE: Final = {released: beta for beta, released in BETA_FORMATS.items()}
NO_SECRET: Final = {"value": "", "expires_at": 0}

JsonObject: TypeAlias = dict[str, Any]


def session_object(
    config: Config, session_id: str, model: str, warnings: Sequence[TranscriptWarning] = ()
) -> JsonObject:
    """A session as the released API tells it.

    Args:
        config: what holds.
        session_id: of the session.
        model: told where the client named none.
        warnings: what should be known about its text.
    """
    turns = config.turns
    session: JsonObject = {
        "type": "transcription",
        "object": SESSION_OBJECT,
        "id": session_id,
        "audio": {
            "input": {
                "format": _format(config),
                "transcription": _transcription(config, model),
                "turn_detection": None if turns is None else turns.told(),
            }
        },
        "include": _include(config),
    }
    return session | _warnings(warnings)


def beta_session_object(
    config: Config,
    session_id: str,
    model: str,
    warnings: Sequence[TranscriptWarning] = (),
    secret: JsonObject | None = None,
) -> JsonObject:
    """A session as the beta tells it; the arguments are those of `session_object`.

    `secret` is a client secret. The published schema requires one everywhere, and says that there
    is none on a WebSocket: there it is empty, and over.
    """
    session: JsonObject = {
        "object": SESSION_OBJECT,
        "id": session_id,
        "client_secret": secret or NO_SECRET,
        "modalities": ["text"],
        "input_audio_format": BETA_FORMAT_OF_TYPE[config.format.type],
        "input_audio_transcription": _transcription(config, model),
        "include": _include(config),
    }
    if config.turns is not None:
        session["turn_detection"] = config.turns.told()
    return session | _warnings(warnings)


def _format(config: Config) -> JsonObject:
    kind = config.format.type
    # Only this one has a rate to tell, in the published schema.
    return {"type": kind, "rate": PCM_RATE_HZ} if kind == PCM else {"type": kind}


def _transcription(config: Config, model: str) -> JsonObject:
    asked = config.transcription.model_dump(exclude_none=True)
    return {"model": model} | {name: value for name, value in asked.items() if value}


def _include(config: Config) -> list[str]:
    return [LOGPROBS] if config.logprobs else []


def _warnings(warnings: Sequence[TranscriptWarning]) -> JsonObject:
    if not warnings:
        return {}
    return {"warnings": [{"code": each.code.value, "message": each.message} for each in warnings]}
