"""What is sent to the routes that make client secrets, and what comes back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from verbatim.dialects.openai_realtime.config import Session

SHORTEST_LIFE_S = 10
LONGEST_LIFE_S = 7200
DEFAULT_LIFE_S = 600


class Expiry(BaseModel):
    """When a client secret opens no more sessions; those that are open go on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(DEFAULT_LIFE_S, ge=SHORTEST_LIFE_S, le=LONGEST_LIFE_S)


class SecretToMake(BaseModel):
    """A client secret to be made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    expires_after: Expiry | None = None
    session: Session | None = Field(None, description="Settings of the sessions that it opens.")

    @property
    def life_s(self) -> int:
        """For how long it opens sessions."""
        return (self.expires_after or Expiry()).seconds


class MadeSecret(BaseModel):
    """A client secret."""

    value: str = Field(description="Shown this once.")
    expires_at: int = Field(description="Unix seconds.")


class SecretAnswer(MadeSecret):
    """A client secret, with the session that it opens."""

    session: dict[str, Any] = Field(description="Its settings, as session.created tells them.")


class BetaSessionAnswer(BaseModel):
    """A session in the beta's words, with the client secret that opens it."""

    id: str
    object: str
    client_secret: MadeSecret
    modalities: list[str]
    input_audio_format: str
    input_audio_transcription: dict[str, Any]
    include: list[str]
    turn_detection: dict[str, Any] | None = Field(None, description="Left out where it is off.")
