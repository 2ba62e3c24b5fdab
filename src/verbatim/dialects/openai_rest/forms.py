"""The parameters of OpenAI's audio endpoints, as forms bring them; ours are shared."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import Task, TranscriptionRequest, VadOptions
from verbatim.render.formats import FORMATS, Granularity, RenderOptions, ResponseFormat
from verbatim.wire.caption_fields import CaptionFields
from verbatim.wire.decode_form import DecodeForm, HintedForm

DIARIZING_MODEL: Final = "gpt-4o-transcribe-diarize"
DIARIZED_FORMAT: Final = "diarized_json"
SPEAKER_FIELDS: Final = ("known_speaker_names", "known_speaker_references")
NO_SPEAKERS: Final = (
    "This server does not tell speakers apart. Ask for another model and response format, and "
    "leave the fields known_speaker_names and known_speaker_references out."
)
CHUNKING_AUTO: Final = "auto"
MS_PER_S: Final = 1000


class ServerVad(BaseModel):
    """How voice activity is told; the names and defaults are OpenAI's."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: float = Field(300, ge=0, le=10_000)
    silence_duration_ms: float = Field(200, ge=0, le=60_000)

    def options(self) -> VadOptions:
        """The same in our terms."""
        return VadOptions(
            threshold=self.threshold,
            pad_s=self.prefix_padding_ms / MS_PER_S,
            min_silence_s=self.silence_duration_ms / MS_PER_S,
        )


def _auto_is_ours(value: object) -> object:
    if value == CHUNKING_AUTO:
        return None
    if isinstance(value, str):
        raise ValueError('give "auto", or an object with the type "server_vad"')
    return value


ChunkingStrategy = Annotated[
    ServerVad | None,
    BeforeValidator(_auto_is_ours),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "enum": [CHUNKING_AUTO]}, ServerVad.model_json_schema()]}
    ),
]


class TranslationForm(CaptionFields, DecodeForm):
    """What both endpoints understand besides."""

    response_format: ResponseFormat = Field(ResponseFormat.JSON, description="The answer's format.")

    @field_validator("response_format", mode="before")
    @classmethod
    def _no_speakers_in_format(cls, value: object) -> object:
        if value == DIARIZED_FORMAT:
            raise ValueError(NO_SPEAKERS)
        return value

    @field_validator("model")
    @classmethod
    def _no_speakers_in_model(cls, value: str) -> str:
        if value.lower() == DIARIZING_MODEL:
            raise ValueError(NO_SPEAKERS)
        return value

    def wanted_task(self) -> Task:
        """What to write down."""
        return Task.TRANSLATE

    def needs_words(self) -> bool:
        """Whether the answer is made from words: subtitles are laid out by their times."""
        return super().needs_words() or FORMATS[self.response_format].from_words

    def render_options(self) -> RenderOptions:
        """How the answer is written.

        Raises:
            BadRequestError: a limit makes no sense.
        """
        return RenderOptions(captions=self.caption_limits())


class TranscriptionForm(HintedForm, TranslationForm):
    """What transcription understands besides."""

    task: Task = Field(
        Task.TRANSCRIBE, description="translate: write down in English, as audio/translations does."
    )
    timestamp_granularities: list[Granularity] = Field(
        [Granularity.SEGMENT], description="What verbose_json lists."
    )
    stream: bool = Field(
        False,
        description="Answer with server-sent events while the text is written; the response "
        "format is then not looked at.",
    )
    include: list[Literal["logprobs"]] = Field(
        [], description="logprobs: each token's log probability, with json and streams."
    )
    chunking_strategy: ChunkingStrategy = Field(
        None, description="How voice activity is told; auto: as the server does by itself."
    )

    def request(self) -> TranscriptionRequest:
        """What is asked of the service.

        Raises:
            BadRequestError: values that do not fit together, or an unknown language.
        """
        if self.include and not self.stream and self.response_format is not ResponseFormat.JSON:
            raise BadRequestError(
                "include[]=logprobs needs response_format=json, or stream=true.", param="include"
            )
        asked = super().request()
        vad_options = self.chunking_strategy.options() if self.chunking_strategy else VadOptions()
        decode = replace(asked.decode, token_logprobs=bool(self.include))
        return replace(asked, decode=decode, vad_options=vad_options)

    def wanted_task(self) -> Task:
        """What to write down."""
        return self.task

    def needs_words(self) -> bool:
        """Whether the answer is made from words."""
        listed = Granularity.WORD in self.timestamp_granularities
        verbose = self.response_format is ResponseFormat.VERBOSE_JSON
        return super().needs_words() or (verbose and listed)

    def render_options(self) -> RenderOptions:
        """How the answer is written.

        Raises:
            BadRequestError: a limit makes no sense.
        """
        return replace(
            super().render_options(),
            granularities=frozenset(self.timestamp_granularities),
            include_logprobs=bool(self.include),
        )


def refuse_speakers(field_name: str) -> None:
    """Refuse a field that asks for speakers, before its content is read.

    Raises:
        BadRequestError: it is one.
    """
    name = field_name.partition("[")[0]
    if name in SPEAKER_FIELDS:
        raise BadRequestError(NO_SPEAKERS, param=name)
