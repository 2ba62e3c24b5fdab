"""Samples with the words spoken in them, and the shards (.npz) that hold many of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
Samples = NDArray[np.float32]
PEAK: Final = 0.5
"""Every stored utterance is scaled to this peak."""
PUNCTUATION: Final = " .,?!。，？！"


@dataclass(frozen=True)
class Word:
    """One spoken word; times in seconds from the start of its audio."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence.

    pcm: int16 (n,) at 16 kHz; words: empty where their times are not known.
    """

    pcm: NDArray[np.int16]
    language: str
    text: str
    english: str
    voice: str
    words: tuple[Word, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds."""
        return self.pcm.size / RATE_HZ


def split_words(text: str, language: str) -> list[tuple[int, str]]:
    """The words of a text without punctuation, each with its character offset in the text.

    A Mandarin word is one character, since Mandarin is written without spaces.
    """
    words: list[tuple[int, str]] = []
    at = 0
    for part in list(text) if language == "zh" else text.split(" "):
        if bare := part.strip(PUNCTUATION):
            words.append((at + part.index(bare), bare))
        at += len(part) + (language != "zh")
    return words


def trim(samples: Samples, threshold: float = 0.01) -> tuple[Samples, float]:
    """Samples without the silence around them, and how many seconds were cut off at the start."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max(initial=1e-6) / PEAK)
    if not loud.size:
        return samples[:0], 0.0
    first = max(int(loud[0]) - RATE_HZ // 40, 0)
    return samples[first : int(loud[-1]) + RATE_HZ // 20], first / RATE_HZ


def to_pcm(samples: Samples) -> NDArray[np.int16]:
    """Float samples, scaled to the common peak, as int16."""
    scale = PEAK * 32767 / max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    return (samples * scale).astype(np.int16)


def save_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write a shard: one block of samples, the offsets into it, and the rest as JSON."""
    offsets = np.cumsum([0] + [u.pcm.size for u in utterances])
    meta: list[dict[str, Any]] = []
    for u in utterances:
        row = {k: getattr(u, k) for k in ("language", "text", "english", "voice")}
        meta.append({**row, "words": [list(asdict(w).values()) for w in u.words]})
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        pcm=np.concatenate([u.pcm for u in utterances]),
        offsets=offsets,
        meta=np.array(json.dumps(meta, ensure_ascii=False)),
    )
    partial.rename(path)


def load_shard(path: Path) -> list[Utterance]:
    """Read what `save_shard` wrote."""
    with np.load(path) as data:
        pcm, offsets, meta = data["pcm"], data["offsets"], json.loads(str(data["meta"]))
    utterances = []
    for i, row in enumerate(meta):
        words = tuple(Word(str(w), float(a), float(b)) for w, a, b in row.pop("words"))
        utterances.append(Utterance(pcm[offsets[i] : offsets[i + 1]], words=words, **row))
    return utterances
