"""An exported model folder, run by CTranslate2: decoding and alignment of samples as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
import torch
from batches import FFT, HOP, LogMel
from speech import PUNCTUATION, RATE_HZ, Samples, Word
from tokens import (
    LANGUAGE,
    NO_TIMESTAMPS,
    PREV,
    SECONDS_PER_TIMESTAMP,
    SOT,
    TIME0,
    TOKENIZER,
    encode,
)
from windows import FULL_S, without_times

BATCH: Final = 8


@dataclass(frozen=True)
class Decoded:
    """What the model wrote; times: its timestamp tokens in seconds."""

    text: str
    times: tuple[float, ...]
    no_speech: float


class ExportedModel:
    """A folder that `export.py` wrote."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._model: Any = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=threads
        )
        self._log_mel = LogMel()

    def encode(self, audio: Sequence[Samples], seconds: float = FULL_S) -> Any:
        """Encoder output of samples padded with zeros to the given length."""
        rows = np.zeros((len(audio), int(seconds * RATE_HZ)), np.float32)
        for row, samples in zip(rows, audio, strict=True):
            row[: samples.size] = samples[: row.size]
        mel = self._log_mel(torch.from_numpy(rows)).numpy()
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel))
        return self._model.encode(view)

    def decode(
        self,
        audio: Sequence[Samples],
        language: str,
        *,
        seconds: float = FULL_S,
        translate: bool = False,
        timestamps: bool = False,
        prompt: Sequence[int] = (),
    ) -> list[Decoded]:
        """Greedy decoding of each of the samples."""
        task = TOKENIZER.translate if translate else TOKENIZER.transcribe
        start = [PREV, *prompt] if prompt else []
        start += [SOT, LANGUAGE[language], task, *([] if timestamps else [NO_TIMESTAMPS])]
        out: list[Decoded] = []
        for i in range(0, len(audio), BATCH):
            part = audio[i : i + BATCH]
            results = self._model.generate(
                self.encode(part, seconds),
                [start] * len(part),
                beam_size=1,
                max_length=448,
                return_no_speech_prob=True,
            )
            out += [_decoded(r.sequences_ids[0], r.no_speech_prob) for r in results]
        return out

    def languages(self, audio: Sequence[Samples]) -> list[str]:
        """The most likely language of each of the samples."""
        out: list[str] = []
        for i in range(0, len(audio), BATCH):
            found = self._model.detect_language(self.encode(audio[i : i + BATCH]))
            out += [best[0][0].strip("<|>") for best in found]
        return out

    def align(
        self, samples: Samples, text: str, language: str, words: Sequence[Word]
    ) -> list[tuple[float, float]]:
        """Start and end of each word of the known text, from the alignment heads' attention."""
        tokens = encode(text)
        start = [SOT, LANGUAGE[language], TOKENIZER.transcribe]
        frames = (samples.size + FFT) // HOP
        [result] = self._model.align(self.encode([samples]), start, [tokens], [frames])
        firsts: dict[int, float] = {}
        for token, position in result.alignments:
            firsts.setdefault(token, position * SECONDS_PER_TIMESTAMP)
        bounds = _word_tokens(tokens, [w.word for w in words])
        return [(firsts[a], firsts.get(b, samples.size / RATE_HZ)) for a, b in bounds]


def _decoded(tokens: list[int], no_speech: float) -> Decoded:
    times = tuple((t - TIME0) * SECONDS_PER_TIMESTAMP for t in tokens if t >= TIME0)
    return Decoded(TOKENIZER.decode(without_times(tokens)).strip(), times, no_speech)


def _word_tokens(tokens: list[int], words: Sequence[str]) -> list[tuple[int, int]]:
    """For each word its first token and the one behind it; the tokens spell the words in turn."""
    ends = np.cumsum([len(TOKENIZER.encoding.decode_single_token_bytes(t)) for t in tokens])
    data = b"".join(TOKENIZER.encoding.decode_single_token_bytes(t) for t in tokens)
    bounds, at = [], 0
    for word in words:
        at = data.index(word.encode(), at)
        first = int(np.searchsorted(ends, at, side="right"))
        at += len(word.encode())
        behind = int(np.searchsorted(ends, at, side="left")) + 1
        bounds.append((first, behind))
    return bounds


def bare(text: str) -> str:
    """A text in lower case without punctuation, to compare words alone."""
    return "".join(c for c in text.lower() if c not in PUNCTUATION.replace(" ", ""))
