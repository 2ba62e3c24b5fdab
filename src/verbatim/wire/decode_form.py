"""The form fields that say how to transcribe, shared by the dialects that take all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, field_validator

from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import (
    DEFAULT_TEMPERATURES,
    DecodeOptions,
    Gates,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
)
from verbatim.engine.known_models import AUTO, means_default
from verbatim.stages.language_names import language_code
from verbatim.wire.forms import FormModel

DETECT: Final = "auto"
KEYWORDS_JOINT: Final = ", "
MOST_HYPOTHESES: Final = 20

OFF: Final = "off"
Gate = Annotated[float | None, BeforeValidator(lambda value: None if value == OFF else value)]


class DecodeForm(FormModel):
    """How a recording shall be transcribed; the names are OpenAI's, then faster-whisper's."""

    synonyms: ClassVar[dict[str, str]] = {
        "vad_filter": "vad",
        "logprob_threshold": "log_prob_threshold",
    }

    model: str = Field(
        AUTO,
        max_length=256,
        description="A model's name; whisper-1 and the gpt names mean the server's default model.",
    )
    language: str | None = Field(
        None, description="Language of the speech: a code, a name, or auto to detect it."
    )
    prompt: str | None = Field(
        None, description="Text that sets names, style and spelling, as if said before."
    )
    temperature: float = Field(
        0,
        ge=0,
        le=1,
        description="0 begins greedily and goes higher only where the result is poor; any other "
        "value is used as it is.",
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

    @field_validator("model")
    @classmethod
    def _one_name_for_the_default(cls, value: str) -> str:
        # So that identical requests are seen to be identical.
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

    def wanted_task(self) -> Task:
        """What to write down."""
        return Task.TRANSCRIBE

    def needs_words(self) -> bool:
        """Whether the answer is made from words."""
        return self.word_timestamps

    def _decode_options(self) -> DecodeOptions:
        return DecodeOptions(
            language=_language(self.language),
            task=self.wanted_task(),
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


class HintedForm(DecodeForm):
    """A form that also says what to expect."""

    languages: list[str] = Field([], description="Languages that may be spoken.")
    keywords: list[str] = Field([], description="Words and phrases that are likely to be said.")

    def request(self) -> TranscriptionRequest:
        """What is asked of the service.

        Raises:
            BadRequestError: values that do not fit together, or an unknown language.
        """
        asked = super().request()
        likely = (*self.keywords, *([self.hotwords] if self.hotwords else ()))
        return replace(
            asked,
            decode=replace(asked.decode, hotwords=KEYWORDS_JOINT.join(likely) or None),
            languages=tuple(language_code(name, param="languages") for name in self.languages),
        )


def _language(name: str | None) -> str | None:
    return None if name is None or name.strip().lower() == DETECT else language_code(name)
