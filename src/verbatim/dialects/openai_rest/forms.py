"""The parameters of OpenAI's audio endpoints, and ours, as forms bring them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import (
    DEFAULT_TEMPERATURES,
    DecodeOptions,
    Gates,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
    VadOptions,
)
from verbatim.engine.known_models import AUTO, means_default
from verbatim.render.formats import FORMATS, Granularity, RenderOptions, ResponseFormat
from verbatim.stages.captions import CaptionLimits
from verbatim.stages.language_names import language_code
from verbatim.wire.forms import FormModel

DIARIZING_MODEL: Final = "gpt-4o-transcribe-diarize"
DIARIZED_FORMAT: Final = "diarized_json"
SPEAKER_FIELDS: Final = ("known_speaker_names", "known_speaker_references")
NO_SPEAKERS: Final = (
    "This server does not tell speakers apart. Ask for another model and response format, and "
    "leave the fields known_speaker_names and known_speaker_references out."
)
DETECT: Final = "auto"
CHUNKING_AUTO: Final = "auto"
KEYWORDS_JOINT: Final = ", "
MOST_HYPOTHESES: Final = 20
MS_PER_S: Final = 1000

OFF: Final = "off"
Gate = Annotated[float | None, BeforeValidator(lambda value: None if value == OFF else value)]


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


class TranslationForm(FormModel):
    """What both endpoints understand; OpenAI's parameters first, then ours."""

    synonyms: ClassVar[dict[str, str]] = {
        "vad_filter": "vad",
        "logprob_threshold": "log_prob_threshold",
    }
    task: ClassVar[Task] = Task.TRANSLATE

    model: str = Field(
        AUTO,
        max_length=256,
        description="A model's name; whisper-1 and the gpt names mean the server's default model.",
    )
    prompt: str | None = Field(
        None, description="Text that sets names, style and spelling, as if said before."
    )
    response_format: ResponseFormat = Field(ResponseFormat.JSON, description="The answer's format.")
    temperature: float = Field(
        0,
        ge=0,
        le=1,
        description="0 begins greedily and goes higher only where the result is poor; any other "
        "value is used as it is.",
    )
    language: str | None = Field(
        None, description="Language of the speech: a code, a name, or auto to detect it."
    )
    script: Script = Field(Script.AS_SPOKEN, description="Chinese script of the answer.")
    strategy: Strategy | None = Field(
        None, description="How long recordings are decoded: windows at once, or one after another."
    )
    condition_on_previous_text: bool = Field(
        False, description="Give each window the text before it; asks for the sequential strategy."
    )
    vad: bool = Field(True, description="Leave out what is not speech (also: vad_filter).")
    multilingual: bool = Field(
        False, description="Detect the language again and again: the recording has several."
    )
    word_timestamps: bool = Field(False, description="Find each word's time.")
    beam_size: int = Field(5, ge=1, le=MOST_HYPOTHESES, description="Hypotheses in beam search.")
    best_of: int = Field(
        5, ge=1, le=MOST_HYPOTHESES, description="Samples at a temperature above 0."
    )
    patience: float = Field(1.0, gt=0, le=10, description="How long beam search goes on.")
    length_penalty: float = Field(1.0, ge=-10, le=10, description="Above 1 prefers long text.")
    repetition_penalty: float = Field(1.0, gt=0, le=10, description="Above 1 avoids repeats.")
    no_repeat_ngram_size: int = Field(
        0, ge=0, le=100, description="Sequences of so many tokens never repeat; 0: no rule."
    )
    hotwords: str | None = Field(None, description="Words that are likely to be said.")
    compression_ratio_threshold: Gate = Field(
        Gates().compression_ratio,
        description="Text that packs tighter is tried again; off: no such test.",
    )
    log_prob_threshold: Gate = Field(
        Gates().avg_logprob, description="Text less probable is tried again; off: no such test."
    )
    no_speech_threshold: Gate = Field(
        Gates().no_speech,
        description="Poor text above this probability of silence is left out; off: no such test.",
    )
    max_line_chars: int | None = Field(None, description="Longest line of a subtitle.")
    max_lines: int | None = Field(None, description="Lines of a subtitle.")
    max_cue_s: float | None = Field(None, description="Longest time of a subtitle, seconds.")
    max_chars_per_s: float | None = Field(None, description="Reading speed of subtitles.")

    @field_validator("response_format", mode="before")
    @classmethod
    def _no_speakers_in_format(cls, value: object) -> object:
        if value == DIARIZED_FORMAT:
            raise ValueError(NO_SPEAKERS)
        return value

    @field_validator("model")
    @classmethod
    def _known_sort_of_model(cls, value: str) -> str:
        if value.lower() == DIARIZING_MODEL:
            raise ValueError(NO_SPEAKERS)
        # One name for the default, so that identical requests are seen to be identical.
        return AUTO if means_default(value) else value

    def request(self) -> TranscriptionRequest:
        """What is asked of the service.

        Raises:
            BadRequestError: values that do not fit together, or an unknown language.
        """
        return TranscriptionRequest(
            model=self.model,
            decode=self._decode_options(),
            strategy=self._strategy(),
            condition_on_previous_text=self.condition_on_previous_text,
            detect_language_per_window=self.multilingual,
            vad=self.vad,
            script=self.script,
        )

    def _decode_options(self) -> DecodeOptions:
        return DecodeOptions(
            language=_language(self.language),
            task=self.task,
            word_timestamps=self.needs_words(),
            beam_size=self.beam_size,
            best_of=self.best_of,
            patience=self.patience,
            length_penalty=self.length_penalty,
            repetition_penalty=self.repetition_penalty,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            temperatures=(self.temperature,) if self.temperature else DEFAULT_TEMPERATURES,
            gates=self._gates(),
            initial_prompt=self.prompt,
            hotwords=self.hotwords,
        )

    def needs_words(self) -> bool:
        """Whether the answer is made from words: subtitles are laid out by their times."""
        return self.word_timestamps or FORMATS[self.response_format].from_words

    def render_options(self) -> RenderOptions:
        """How the answer is written.

        Raises:
            BadRequestError: a limit makes no sense.
        """
        limits = CaptionLimits(
            max_lines=self.max_lines,
            max_line_chars=self.max_line_chars,
            max_cue_s=self.max_cue_s,
            max_chars_per_s=self.max_chars_per_s,
        )
        return RenderOptions(captions=limits)

    def _strategy(self) -> Strategy:
        if not self.condition_on_previous_text:
            return self.strategy or Strategy.PARALLEL
        if self.strategy is Strategy.PARALLEL:
            raise BadRequestError(
                "condition_on_previous_text needs strategy=sequential: windows decoded at once "
                "cannot know the text before them.",
                param="condition_on_previous_text",
            )
        return Strategy.SEQUENTIAL

    def _gates(self) -> Gates:
        silence_counts = self.no_speech_threshold is not None
        return Gates(
            compression_ratio=self.compression_ratio_threshold,
            avg_logprob=self.log_prob_threshold,
            no_speech=self.no_speech_threshold,
            sure_no_speech=Gates().sure_no_speech if silence_counts else None,
        )


class TranscriptionForm(TranslationForm):
    """What transcription understands besides."""

    task: ClassVar[Task] = Task.TRANSCRIBE

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
    languages: list[str] = Field([], description="Languages that may be spoken.")
    keywords: list[str] = Field([], description="Words and phrases that are likely to be said.")

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
        likely = (*self.keywords, *([self.hotwords] if self.hotwords else ()))
        decode = replace(
            asked.decode,
            hotwords=KEYWORDS_JOINT.join(likely) or None,
            token_logprobs=bool(self.include),
        )
        vad_options = self.chunking_strategy.options() if self.chunking_strategy else VadOptions()
        return replace(
            asked,
            decode=decode,
            vad_options=vad_options,
            languages=tuple(language_code(name, param="languages") for name in self.languages),
        )

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


def _language(name: str | None) -> str | None:
    return None if name is None or name.strip().lower() == DETECT else language_code(name)
