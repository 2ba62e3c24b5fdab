"""The JSON messages that a client sends."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.domain.request import Script, Task
from verbatim.stages.language_names import language_code
from verbatim.wire.json_body import fit
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

_STRICT: Final = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_DEFAULTS: Final = LiveOptions()


class Turns(BaseModel):
    """When speech begins and ends."""

    model_config = _STRICT

    threshold: float = _DEFAULTS.turns.threshold
    silence_s: float = _DEFAULTS.turns.silence_s
    padding_s: float = _DEFAULTS.turns.padding_s
    min_speech_s: float = _DEFAULTS.turns.min_speech_s


class Options(BaseModel):
    """How to listen; the defaults are those of `LiveOptions`."""

    model_config = _STRICT

    model: str = _DEFAULTS.model
    language: str | None = None
    languages: tuple[str, ...] = ()
    task: Task = _DEFAULTS.task
    prompt: str | None = None
    hotwords: str | None = None
    script: Script = _DEFAULTS.script
    turns: Turns = Turns()
    manual: bool = _DEFAULTS.manual
    partials: bool = _DEFAULTS.partials
    second_pass: bool = _DEFAULTS.second_pass
    step_s: float = _DEFAULTS.step_s
    max_step_s: float = _DEFAULTS.max_step_s
    max_utterance_s: float = _DEFAULTS.max_utterance_s

    def live(self, before: LiveOptions = _DEFAULTS) -> LiveOptions:
        """The same in our terms; what was not said stays as it was before.

        Raises:
            BadRequestError: a language that Whisper does not know.
        """
        said = {name: getattr(self, name) for name in self.model_fields_set & OPTION_NAMES}
        values = {name: getattr(before, name) for name in OPTION_NAMES} | said
        if "turns" in said:
            values["turns"] = TurnDetection(**self.turns.model_dump())
        if values["language"] is not None:
            values["language"] = language_code(values["language"])
        values["languages"] = tuple(
            language_code(name, param="languages") for name in values["languages"]
        )
        return LiveOptions(**values)


OPTION_NAMES: Final = frozenset(Options.model_fields)


class Start(Options):
    """The first message: what audio comes, and how to listen to it."""

    type: Literal["start"]
    format: LiveEncoding = LiveEncoding.PCM16
    rate: int = 16_000
    channels: int = 1

    def audio(self) -> LiveFormat:
        """The format of the binary messages."""
        return LiveFormat(self.format, self.rate, self.channels)


class Resume(BaseModel):
    """The first message of a client whose connection broke."""

    model_config = _STRICT

    type: Literal["resume"]
    session: Annotated[str, Field(max_length=64)]
    received: Annotated[int, Field(ge=0)]
    """The `seq` of the last message that it has."""


class Update(Options):
    """Other options from now on; what is left out stays."""

    type: Literal["update"]


class Order(BaseModel):
    """Something to do at this place in the audio."""

    model_config = _STRICT

    type: Literal["commit", "clear", "finish"]


First: TypeAlias = Start | Resume
Later: TypeAlias = Update | Order

_FIRST: Final[dict[str, type[Start | Resume]]] = {"start": Start, "resume": Resume}
_LATER: Final[dict[str, type[Update | Order]]] = {
    "update": Update,
    "commit": Order,
    "clear": Order,
    "finish": Order,
}


def first(message: dict[str, Any]) -> First:
    """The message that a connection begins with.

    Raises:
        BadRequestError: it is another one, or does not fit.
    """
    return fit(message, _FIRST[_kind(message, _FIRST)])


def later(message: dict[str, Any]) -> Later:
    """A message after that. Raises as `first` does."""
    return fit(message, _LATER[_kind(message, _LATER)])


def _kind(message: dict[str, Any], known: dict[str, Any]) -> str:
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in known:
        raise BadRequestError(
            f"Here a message has one of these types: {', '.join(known)}. See docs/live.md.",
            param="type",
            code="unknown_type",
        )
    return kind
