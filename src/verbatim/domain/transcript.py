"""The result: words, segments, and what should be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from verbatim.domain.request import Task
from verbatim.domain.units import WINDOW_S


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `text` keeps its leading space, so that words joined give the segment's text."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A text token with its log probability. `data` is the token's own UTF-8, maybe incomplete."""

    token: str
    logprob: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text; times are seconds from the start of the audio (or of the window).

    The ten fields of openai-whisper; `seek` is the window's first mel frame (10 ms).
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What an engine found in one window; times are seconds from the window's start.

    Attributes:
        segments: in order, not overlapping; empty where nothing was said.
        tail: text after the last closed segment, which the model did not end: speech that runs on
            over the window's end. The sequential strategy hears it again from `advance_s`.
        tokens: all tokens of the chosen hypothesis, timestamps included.
        language_probabilities: best first; empty where the language was given.
        advance_s: how far the sequential strategy may go on; the rest of the window was cut in
            mid-sentence and should be heard again.
        heard_out: nothing follows what was written; where False, the window ends in mid-sentence.
        needed_fallback: no temperature passed the gates; the best of the failures is given.
        encoded_s: seconds of audio that the encoder was given for this, padding included.
    """

    segments: tuple[Segment, ...]
    tail: Segment | None
    tokens: tuple[int, ...]
    language: str
    language_probability: float
    language_probabilities: tuple[tuple[str, float], ...]
    no_speech_prob: float
    avg_logprob: float
    compression_ratio: float
    temperature: float
    advance_s: float
    heard_out: bool = True
    needed_fallback: bool = False
    encoded_s: float = WINDOW_S


class WarningCode(StrEnum):
    """What a warning is about; programs can rely on these words."""

    DEMO_MODEL = "demo_model"
    TRUNCATED_AUDIO = "truncated_audio"
    DAMAGED_AUDIO = "damaged_audio"
    REPETITION = "repetition"
    LOW_CONFIDENCE = "low_confidence"
    LANGUAGE_UNCERTAIN = "language_uncertain"
    DEVICE_FALLBACK = "device_fallback"


@dataclass(frozen=True, slots=True)
class TranscriptWarning:
    """Something the reader should know; a span in seconds where it concerns a part only."""

    code: WarningCode
    message: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole recording's text."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    duration_s: float
    """Of the decoded audio."""
    speech_duration_s: float
    """What is left of it without silence."""
    model: str
    task: Task = Task.TRANSCRIBE
    warnings: tuple[TranscriptWarning, ...] = ()

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order; empty where none were asked for."""
        return tuple(word for segment in self.segments for word in segment.words or ())
