"""What the decoding steps need of a Whisper implementation; CTranslate2's model is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]


class Storage(Protocol):
    """An array of the model's own, on its device."""

    @property
    def device(self) -> str:
        """Where it lies: "cpu" or "cuda"."""
        ...


class Generation(Protocol):
    """A decoded row; hypotheses are ordered, best first."""

    @property
    def sequences_ids(self) -> Sequence[Sequence[int]]:
        """Token ids of each hypothesis, without the prompt and the end token."""
        ...

    @property
    def scores(self) -> Sequence[float]:
        """Log probability of each, divided by its length to the power of the length penalty."""
        ...

    @property
    def no_speech_prob(self) -> float:
        """Probability of the no-speech token at the start."""
        ...


class Alignment(Protocol):
    """Where the tokens of a row lie in its audio."""

    @property
    def alignments(self) -> Sequence[tuple[int, int]]:
        """The warping path: pairs (token, encoder position), both rising."""
        ...

    @property
    def text_token_probs(self) -> Sequence[float]:
        """Probability of each text token."""
        ...


class SearchOptions(TypedDict):
    """How `generate` searches; the names are CTranslate2's."""

    beam_size: int
    patience: float
    num_hypotheses: int
    sampling_topk: int
    sampling_temperature: float
    length_penalty: float
    repetition_penalty: float
    no_repeat_ngram_size: int
    max_length: int
    suppress_blank: bool
    suppress_tokens: Sequence[int]
    max_initial_timestamp_index: int


class WhisperModel(Protocol):
    """The four computations on a batch (B rows); blocking, safe from several threads."""

    def encode(self, mel: Array) -> Storage:
        """Mel (B, mels, frames) -> encoder output (B, frames / 2, width)."""
        ...

    def select(self, encoded: Storage, rows: Sequence[int]) -> Storage:
        """Some rows of an encoder output, in this order."""
        ...

    def detect_language(self, encoded: Storage) -> Sequence[Sequence[tuple[str, float]]]:
        """For each row all language codes with their probabilities, best first."""
        ...

    def generate(
        self,
        encoded: Storage,
        prompts: Sequence[Sequence[int]],
        **options: Unpack[SearchOptions],
    ) -> Sequence[Generation]:
        """Decode each row after its prompt; scores and no-speech probabilities included."""
        ...

    def align(
        self,
        encoded: Storage,
        start_sequence: Sequence[int],
        text_tokens: Sequence[Sequence[int]],
        num_frames: Sequence[int],
    ) -> Sequence[Alignment]:
        """Align each row's text tokens with its audio of `num_frames` mel frames."""
        ...
