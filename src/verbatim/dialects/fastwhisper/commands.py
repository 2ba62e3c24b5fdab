"""What a client says in its JSON messages."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from verbatim.dialects.fastwhisper.results import wanted_language
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.stages.endpointing import LONGEST_SILENCE_S, SHORTEST_SILENCE_S
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

DEFAULT_SILENCE_S: Final = 2.0

AudioFormat = Literal["auto", "float32", "pcm16", "int16"]
ENCODINGS: Final[dict[AudioFormat, LiveEncoding]] = {
    "auto": LiveEncoding.AUTO,
    "float32": LiveEncoding.FLOAT32,
    "pcm16": LiveEncoding.PCM16,
    "int16": LiveEncoding.PCM16,
}


class StartCommand(BaseModel):
    """A recording begins."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    language: str | None = None
    audio_format: AudioFormat = "auto"
    silence_threshold: float = DEFAULT_SILENCE_S

    @property
    def silence_s(self) -> float:
        """Silence that ends a sentence: what was asked for, as near as it can be had."""
        return min(max(self.silence_threshold, SHORTEST_SILENCE_S), LONGEST_SILENCE_S)

    def audio(self) -> LiveFormat:
        """The format of the binary messages."""
        return LiveFormat(ENCODINGS[self.audio_format])

    def live(self, max_utterance_s: float) -> LiveOptions:
        """How to listen. Raises as `wanted_language`."""
        return LiveOptions(
            language=wanted_language(self.language),
            turns=TurnDetection(silence_s=self.silence_s),
            max_utterance_s=max_utterance_s,
        )


class FileCommand(BaseModel):
    """A file comes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    language: str | None = None
