"""A transcription session's settings: as clients write them, and what they mean here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.engine.known_models import AUTO, means_default
from verbatim.stages.endpointing import LONGEST_PADDING_S, LONGEST_SILENCE_S, SHORTEST_SILENCE_S
from verbatim.stages.language_names import language_code
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

MS_PER_S: Final = 1000
PCM: Final = "audio/pcm"
PCM_RATE_HZ: Final = 24_000
TELEPHONE_RATE_HZ: Final = 8_000
LOGPROBS: Final = "item.input_audio_transcription.logprobs"
DIARIZING_MODEL: Final = "gpt-4o-transcribe-diarize"
LIVE_ALIASES: Final = frozenset({"gpt-live-transcribe"})
REALTIME_MARK: Final = "realtime"
"""In the names of the hosted models that talk, and of the one that listens only."""
KEYWORDS_JOINT: Final = ", "
MAX_MODEL_CHARS: Final = 256

FORMATS: Final[Mapping[str, LiveFormat]] = MappingProxyType(
    {
        PCM: LiveFormat(LiveEncoding.PCM16, PCM_RATE_HZ),
        "audio/pcmu": LiveFormat(LiveEncoding.MULAW, TELEPHONE_RATE_HZ),
        "audio/pcma": LiveFormat(LiveEncoding.ALAW, TELEPHONE_RATE_HZ),
    }
)
BETA_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"pcm16": PCM, "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
)
DEFAULT_BETA_FORMAT: Final = "pcm16"
PAUSE_OF_EAGERNESS_S: Final[Mapping[str, float]] = MappingProxyType(
    {"low": 1.6, "medium": 0.8, "auto": 0.8, "high": 0.4}
)
"""No model judges here whether a sentence is over, so silence has to tell: the more of it the less
eager. They are well below the hosted service's longest waits of 8, 4 and 2 s."""
STEPS_OF_DELAY_S: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "minimal": (0.3, 0.6),
        "low": (0.3, 1.0),
        "medium": (0.75, 1.5),
        "high": (1.0, 2.0),
        "xhigh": (2.0, 3.0),
    }
)
"""Shortest and longest stretch of new audio between two looks at the text."""

# What newer clients say besides is not refused; `session.updated` tells what holds.
_LENIENT: Final = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class AudioFormat(BaseModel):
    """How the audio is coded; mono in any case."""

    model_config = _LENIENT

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = Field(None, description="24000 for audio/pcm, the only rate there.")

    @model_validator(mode="after")
    def _rate_of_its_type(self) -> Self:
        rate_hz = self.live().rate_hz
        if self.rate not in {None, rate_hz}:
            raise ValueError(f"{self.type} comes at {rate_hz} samples a second")
        return self

    def live(self) -> LiveFormat:
        """The same in our terms."""
        return FORMATS[self.type]


class Transcription(BaseModel):
    """What to write down, and with which help."""

    model_config = _LENIENT

    model: str | None = Field(None, max_length=MAX_MODEL_CHARS, description="A model's name.")
    language: str | None = Field(None, description="Of the speech; detected if not given.")
    languages: list[str] | None = Field(None, description="Detection chooses among these.")
    keywords: list[str] | None = Field(None, description="Words and phrases that are likely.")
    prompt: str | None = Field(None, description="Text that sets names, style and spelling.")
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="How long to wait before text is written."
    )

    @field_validator("model")
    @classmethod
    def _no_speakers(cls, value: str | None) -> str | None:
        if value is not None and value.lower() == DIARIZING_MODEL:
            raise ValueError("this server does not tell speakers apart; name another model")
        return value


class Turns(BaseModel):
    """How it is told that somebody has finished speaking."""

    model_config = _LENIENT

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1, description="Speech is above it; server_vad.")
    prefix_padding_ms: int = Field(300, ge=0, description="Heard before speech; server_vad.")
    silence_duration_ms: int = Field(500, ge=0, description="Ends an utterance; server_vad.")
    eagerness: Literal["low", "medium", "high", "auto"] = Field(
        "auto", description="How soon silence ends an utterance; semantic_vad."
    )

    def live(self) -> TurnDetection:
        """The same in our terms; what is out of our bounds becomes the nearest that is not."""
        if self.type == "semantic_vad":
            return TurnDetection(silence_s=PAUSE_OF_EAGERNESS_S[self.eagerness])
        return TurnDetection(
            threshold=self.threshold,
            silence_s=_seconds(self.silence_duration_ms, SHORTEST_SILENCE_S, LONGEST_SILENCE_S),
            padding_s=_seconds(self.prefix_padding_ms, 0.0, LONGEST_PADDING_S),
        )

    def told(self) -> dict[str, Any]:
        """What holds, as a client reads it."""
        if self.type == "semantic_vad":
            return {"type": self.type, "eagerness": self.eagerness}
        live = self.live()
        return {
            "type": self.type,
            "threshold": live.threshold,
            "prefix_padding_ms": round(live.padding_s * MS_PER_S),
            "silence_duration_ms": round(live.silence_s * MS_PER_S),
        }


def _seconds(ms: int, least_s: float, most_s: float) -> float:
    # Bounded first: JSON may say more than any float holds.
    return min(max(ms, least_s * MS_PER_S), most_s * MS_PER_S) / MS_PER_S


class NoiseReduction(BaseModel):
    """Understood, and not done."""

    model_config = _LENIENT

    type: Literal["near_field", "far_field"] | None = None


class AudioInput(BaseModel):
    """All about the audio that comes in. What is not given stays as it was."""

    model_config = _LENIENT

    format: AudioFormat | None = None
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: Turns | None = None


class Audio(BaseModel):
    """A transcription session has only input."""

    model_config = _LENIENT

    input: AudioInput | None = None


Include = list[Literal["item.input_audio_transcription.logprobs"]]


class Session(BaseModel):
    """A session as clients of the released API describe it."""

    model_config = _LENIENT

    type: Literal["transcription"] = Field(
        "transcription", description="This server transcribes; it does not talk."
    )
    audio: Audio | None = None
    include: Include | None = None


class BetaSession(BaseModel):
    """A session as clients of the beta describe it."""

    model_config = _LENIENT

    input_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] | None = None
    input_audio_transcription: Transcription | None = None
    input_audio_noise_reduction: NoiseReduction | None = None
    turn_detection: Turns | None = None
    include: Include | None = None

    def released(self) -> Session:
        """The same in the released API's words."""
        said = self.model_fields_set
        heard: dict[str, Any] = {}
        if "input_audio_format" in said:
            name = self.input_audio_format or DEFAULT_BETA_FORMAT
            heard["format"] = AudioFormat.model_validate({"type": BETA_FORMATS[name]})
        if "input_audio_transcription" in said:
            heard["transcription"] = self.input_audio_transcription
        if "turn_detection" in said:
            heard["turn_detection"] = self.turn_detection
        values: dict[str, Any] = {"audio": Audio(input=AudioInput(**heard))}
        if "include" in said:
            values["include"] = self.include
        return Session(**values)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that holds for a session.

    Attributes:
        format: of the audio.
        transcription: what to write.
        turns: None where the client says itself when an utterance ends.
        logprobs: tell them with the text.
    """

    format: AudioFormat = field(default_factory=AudioFormat)
    transcription: Transcription = field(default_factory=Transcription)
    turns: Turns | None = field(default_factory=Turns)
    logprobs: bool = False

    def changed(self, session: Session) -> Config:
        """With what a client said; what it did not mention stays."""
        heard = (session.audio and session.audio.input) or AudioInput()
        said = heard.model_fields_set
        config = self
        if "format" in said:
            config = replace(config, format=heard.format or AudioFormat())
        if "transcription" in said:
            asked = heard.transcription or Transcription()
            if asked.model is None:
                asked = asked.model_copy(update={"model": self.transcription.model})
            config = replace(config, transcription=asked)
        if "turn_detection" in said:
            config = replace(config, turns=heard.turn_detection)
        if "include" in session.model_fields_set:
            config = replace(config, logprobs=bool(session.include))
        return config

    def with_model(self, name: str) -> Config:
        """With another model.

        Raises:
            BadRequestError: no name of one.
        """
        if len(name) > MAX_MODEL_CHARS or name.lower() == DIARIZING_MODEL:
            raise BadRequestError("Name another model, or leave it out.", param="model")
        return replace(self, transcription=self.transcription.model_copy(update={"model": name}))

    def options(self) -> LiveOptions:
        """How the session listens.

        Raises:
            BadRequestError: a language that Whisper does not know.
        """
        asked = self.transcription
        turns = TurnDetection() if self.turns is None else self.turns.live()
        step_s, max_step_s = STEPS_OF_DELAY_S[asked.delay or "low"]
        return LiveOptions(
            model=_model(asked.model),
            language=language_code(asked.language) if asked.language else None,
            languages=tuple(
                language_code(name, param="languages") for name in asked.languages or ()
            ),
            prompt=asked.prompt or None,
            hotwords=KEYWORDS_JOINT.join(asked.keywords or ()) or None,
            turns=turns,
            manual=self.turns is None,
            step_s=step_s,
            max_step_s=max_step_s,
        )


def _model(name: str | None) -> str:
    """Names of hosted models that listen live, or talk, mean the default model."""
    if name is None or means_default(name) or name.lower() in LIVE_ALIASES:
        return AUTO
    hosted = name.lower().startswith("gpt-") and REALTIME_MARK in name.lower()
    return AUTO if hosted else name
