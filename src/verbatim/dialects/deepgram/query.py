"""What stands behind the question mark of `/v1/listen`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from pydantic import Field, field_validator

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.engine.known_models import AUTO, means_default
from verbatim.stages.endpointing import LONGEST_SILENCE_S, SHORTEST_SILENCE_S
from verbatim.stages.language_names import language_code
from verbatim.wire.forms import FormModel
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

MS_PER_S: Final = 1000
YES, NO = "true", "false"
SEVERAL: Final = "multi"
"""The language of recordings in which several are spoken."""
HOSTED: Final = re.compile(
    r"(automotive|base|conversationalai|custom|drivethru|enhanced|finance|flux|general|medical"
    r"|meeting|nova|phonecall|video|voicemail|whisper)(-[^/]*)?"
)
"""Names of hosted models, which mean the default model here."""
MILLISECONDS: Final = re.compile(r"[0-9]{1,9}")
"""Up to eleven days."""
WHISPER_PREFIX: Final = "whisper-"
WORDS_JOINT: Final = ", "
QUIET_STEP_S: Final = 2.0
QUIET_MAX_STEP_S: Final = 4.0
"""Between two looks at the text where nobody wants to see it before it is final."""
MOST_NAME_CHARS: Final = 256

RAW_ENCODINGS: Final = {
    "linear16": LiveEncoding.PCM16,
    "linear32": LiveEncoding.FLOAT32,
    "mulaw": LiveEncoding.MULAW,
    "alaw": LiveEncoding.ALAW,
}
WRAPPED_ENCODINGS: Final = {
    "opus": LiveEncoding.OPUS,
    "ogg-opus": LiveEncoding.OPUS,
    "flac": LiveEncoding.CONTAINER,
    "amr-nb": LiveEncoding.CONTAINER,
    "amr-wb": LiveEncoding.CONTAINER,
}
"""These say their rate themselves."""

NOT_DONE: Final = {
    "custom_intent": "intents",
    "custom_topic": "topics",
    "detect_entities": "entities",
    "diarize": "speakers",
    "diarize_model": "speakers",
    "dictation": "spoken punctuation marks",
    "intents": "intents",
    "measurements": "measurements",
    "multichannel": "channels apart; they are mixed",
    "numerals": "numerals",
    "profanity_filter": "profanity",
    "replace": "replacements",
    "search": "searches",
    "sentiment": "sentiments",
    "summarize": "summaries",
    "topics": "topics",
}
"""What adds to an answer there and not here, by parameter; the answer says so."""


class ListenQuery(FormModel):
    """What recordings and live audio have in common; unknown parameters are ignored."""

    model: str = Field(
        AUTO, max_length=MOST_NAME_CHARS, description="nova-3 and the like mean the default model."
    )
    language: str | None = Field(
        None, description="A code, or multi; detected if not given, where Deepgram takes English."
    )
    detect_language: list[str] = Field(
        [], description="true: tell the language; codes: choose among these."
    )
    punctuate: bool = Field(False, description="With punctuation and capitals.")
    smart_format: bool = Field(False, description="The same, in paragraphs where it is recorded.")
    keyterm: list[str] = Field([], description="Words and phrases that are likely.")
    keywords: list[str] = Field([], description="The same; what follows a colon is ignored.")
    tag: list[str] = Field([], description="Given back.")
    callback: str | None = Field(None, description="Not here.")
    redact: list[str] = Field([], description="Not here.")
    encoding: str | None = Field(None, description="How raw live audio is coded.")

    @field_validator("callback")
    @classmethod
    def _no_callback(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("this server calls nobody back; leave it out and wait for the answer")
        return value

    @field_validator("redact")
    @classmethod
    def _no_redaction(cls, value: list[str]) -> list[str]:
        if any(each != NO for each in value):
            raise ValueError("this server takes nothing out of the text; leave it out")
        return value

    @property
    def punctuated(self) -> bool:
        """Whether the text keeps its punctuation and capitals."""
        return self.punctuate or self.smart_format

    @property
    def many_languages(self) -> bool:
        """Whether each result names its language."""
        return self.language == SEVERAL

    def model_name(self) -> str:
        """The model in our terms."""
        name = self.model.strip()
        low = name.lower()
        if means_default(low):
            return AUTO
        if low.startswith(WHISPER_PREFIX):
            return low.removeprefix(WHISPER_PREFIX)
        return AUTO if HOSTED.fullmatch(low) else name

    def language_code(self) -> str | None:
        """The language in our terms; None detects it.

        Raises:
            BadRequestError: Whisper does not know it.
        """
        if self.language is None or self.many_languages or self.detect_language not in ([], [NO]):
            return None
        return language_code(self.language)

    def candidates(self) -> tuple[str, ...]:
        """Languages that detection chooses among; empty for all.

        Raises:
            BadRequestError: Whisper does not know one.
        """
        named = [each for each in self.detect_language if each not in {YES, NO}]
        return tuple(language_code(each, param="detect_language") for each in named)

    def hotwords(self) -> str | None:
        """What is likely to be said."""
        weighted = (each.partition(":")[0] for each in self.keywords)
        words = [each.strip() for each in (*self.keyterm, *weighted) if each.strip()]
        return WORDS_JOINT.join(words) or None


class RecordedQuery(ListenQuery):
    """For recordings."""

    paragraphs: bool = Field(False, description="Also tell paragraphs and sentences.")
    utterances: bool = Field(False, description="Also tell what is said between pauses.")
    utt_split: float = Field(0.8, ge=0, le=60, description="The shortest such pause, in seconds.")

    @property
    def punctuated(self) -> bool:
        """Whether the text keeps its punctuation and capitals."""
        return super().punctuated or self.paragraphs

    def request(self) -> TranscriptionRequest:
        """What is asked of the service.

        Raises:
            BadRequestError: an unknown language.
        """
        decode = DecodeOptions(
            language=self.language_code(), word_timestamps=True, hotwords=self.hotwords()
        )
        return TranscriptionRequest(
            model=self.model_name(),
            decode=decode,
            languages=self.candidates(),
            detect_language_per_window=self.many_languages,
        )


class LiveQuery(ListenQuery):
    """For live audio."""

    sample_rate: int | None = Field(None, description="Of raw audio.")
    channels: int = Field(1, description="Of raw audio; they are mixed.")
    interim_results: bool = Field(False, description="Tell text before it is final.")
    endpointing: str | None = Field(
        None, description="Silence that ends speech, in ms; false: none does. 500 if not given."
    )
    utterance_end_ms: int | None = Field(
        None, gt=0, le=60_000, description="Tell when there were no words for so long."
    )
    vad_events: bool = Field(False, description="Tell when speech begins.")

    @field_validator("endpointing")
    @classmethod
    def _ms_or_not(cls, value: str | None) -> str | None:
        if (
            value is not None
            and value.lower() not in {YES, NO}
            and not MILLISECONDS.fullmatch(value)
        ):
            raise ValueError("give milliseconds, or false")
        return value

    @property
    def tells_endpoints(self) -> bool:
        """Whether silence ends what is said."""
        return self.endpointing is None or self.endpointing.lower() != NO

    def options(self) -> LiveOptions:
        """How the session listens.

        Raises:
            BadRequestError: an unknown language.
        """
        options = LiveOptions(
            model=self.model_name(),
            language=self.language_code(),
            languages=self.candidates(),
            hotwords=self.hotwords(),
            turns=self._turns(),
        )
        if self.interim_results:
            return options
        return replace(options, step_s=QUIET_STEP_S, max_step_s=QUIET_MAX_STEP_S)

    def audio(self) -> LiveFormat:
        """How the audio comes.

        Raises:
            BadRequestError: an encoding that is not known here, or one without its rate.
        """
        name = None if self.encoding is None else self.encoding.strip().lower()
        if name is None:
            return LiveFormat(LiveEncoding.CONTAINER)
        if name in WRAPPED_ENCODINGS:
            return LiveFormat(WRAPPED_ENCODINGS[name])
        if name not in RAW_ENCODINGS:
            known = ", ".join((*RAW_ENCODINGS, *WRAPPED_ENCODINGS))
            raise BadRequestError(
                f"The encoding {name[:40]!r} is not read here. Give one of {known}; or none, and "
                "send a file as it is written, such as WebM, Ogg, WAV or MP3.",
                param="encoding",
            )
        if self.sample_rate is None:
            raise BadRequestError(
                f"Audio in {name} does not say its rate; add sample_rate.", param="sample_rate"
            )
        return LiveFormat(RAW_ENCODINGS[name], self.sample_rate, self.channels)

    def _turns(self) -> TurnDetection:
        if self.endpointing is None or not MILLISECONDS.fullmatch(self.endpointing):
            return TurnDetection()
        silence_s = int(self.endpointing) / MS_PER_S
        return TurnDetection(silence_s=min(max(silence_s, SHORTEST_SILENCE_S), LONGEST_SILENCE_S))


def not_done(parameters: dict[str, str]) -> list[dict[str, Any]]:
    """Warnings about what was asked for and is not done, in Deepgram's shape."""
    return [
        {
            "parameter": name,
            "type": "unsupported_model",
            "message": f"Not done here: {what}.",
        }
        for name, what in NOT_DONE.items()
        if parameters.get(name, NO).lower() not in {NO, ""}
    ]
