"""What a caller asks for: the options of one window's decoding, and of a whole transcription."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DEFAULT_TEMPERATURES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The fallback ladder of the Whisper paper (Radford et al. 2022, section 4.5)."""


class Task(StrEnum):
    """What to write down: the words as spoken, or their English translation."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Strategy(StrEnum):
    """How long audio is decoded.

    PARALLEL cuts at silences and decodes windows independently; SEQUENTIAL goes window after
    window as openai-whisper does, each seeing the text before it when asked to.
    """

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


class Script(StrEnum):
    """The Chinese script of the answer; names of OpenCC's configurations."""

    AS_SPOKEN = "as_spoken"
    S2T = "s2t"
    S2TW = "s2tw"
    S2TWP = "s2twp"
    S2HK = "s2hk"
    T2S = "t2s"


class Priority(StrEnum):
    """Who goes first when the device is busy."""

    LIVE = "live"
    INTERACTIVE = "interactive"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Gates:
    """When a decoded window is believed; None turns a gate off (Radford et al. 2022, 4.5)."""

    compression_ratio: float | None = 2.4
    """Text that zlib packs tighter than this repeats itself: try the next temperature."""
    avg_logprob: float | None = -1.0
    """A mean log probability a token below this is a guess: try the next temperature."""
    no_speech: float | None = 0.6
    """No-speech probability above this, with a failed log probability, means silence."""
    sure_no_speech: float | None = 0.9
    """No-speech probability above this, with a mean log probability below half the gate, means
    silence as well; this gate is ours, against text invented in silence."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How one window is decoded. Equal options can share a batch.

    The defaults are those of openai-whisper's command and of faster-whisper.
    """

    language: str | None = None
    """ISO 639-1 code (Whisper's set); None detects it."""
    candidate_languages: tuple[str, ...] = ()
    """If not empty, detection chooses among these only."""
    task: Task = Task.TRANSCRIBE
    timestamps: bool = True
    """Let the model write timestamp tokens; without them a window is one segment."""
    word_timestamps: bool = False
    token_logprobs: bool = False
    """Also give the log probability of every text token."""
    beam_size: int = 5
    best_of: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    temperatures: tuple[float, ...] = DEFAULT_TEMPERATURES
    gates: Gates = field(default_factory=Gates)
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] = (-1,)
    """Token ids that are never written; -1 stands for Whisper's non-speech symbols."""
    max_initial_timestamp_s: float = 1.0
    max_new_tokens: int | None = None
    initial_prompt: str | None = None
    """Text before the window that sets names, style and spelling."""
    prefix: str | None = None
    """Text with which the window's transcript begins."""
    hotwords: str | None = None
    """Words and phrases that are likely, given to the model before its context."""
    provisional: bool = False
    """More audio follows soon: text of a short window that is in doubt is left out, instead of
    being decoded again at full length."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """Which stretches count as speech; the names are Silero VAD's."""

    threshold: float = 0.5
    """Speech starts at this probability; it stops `hysteresis` below it."""
    hysteresis: float = 0.15
    min_speech_s: float = 0.1
    min_silence_s: float = 0.5
    """Silence of at least this length is taken out."""
    pad_s: float = 0.3
    """Kept before and after each stretch of speech."""


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """One transcription, whichever dialect asked for it."""

    model: str = "auto"
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    strategy: Strategy = Strategy.PARALLEL
    condition_on_previous_text: bool = False
    """Sequential only: give each window the text before it."""
    prompt_reset_temperature: float = 0.5
    """A window that needed a higher temperature than this is not trusted as context."""
    languages: tuple[str, ...] = ()
    """If not empty, detection chooses among these only."""
    detect_language_per_window: bool = False
    """For recordings in several languages."""
    vad: bool = True
    vad_options: VadOptions = field(default_factory=VadOptions)
    script: Script = Script.AS_SPOKEN
    priority: Priority = Priority.INTERACTIVE
