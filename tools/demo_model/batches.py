"""Batches for training: windows of one length as tensors."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import corpus
import numpy as np
import torch
from model import MELS
from speech import RATE_HZ, Utterance, load_shard
from tokens import EOT, TIME0
from torch import Tensor
from whisper.audio import mel_filters
from windows import FULL_S, Recipe, Window, WindowMaker

HOP: Final = 160
FFT: Final = 400
IGNORE: Final = -100
FRAMES_PER_POSITION: Final = 2
POSITION_S: Final = FRAMES_PER_POSITION * HOP / RATE_HZ
WARM_UP_LENGTHS_S: Final = {4.0: 0.15, 6.0: 0.25, 8.0: 0.3, 12.0: 0.3}
LENGTHS_S: Final = {
    4.0: 0.06,
    6.0: 0.12,
    8.0: 0.2,
    12.0: 0.3,
    16.0: 0.14,
    20.0: 0.06,
    30.0: 0.12,
}
MOVED: Final = 0.7
"""The share of short windows that are moved to a random place in 30 s."""
_LOOK_FOR_SHARDS_S: Final = 60.0


@dataclass(frozen=True)
class Batch:
    """B windows of one length, R >= B descriptions of L tokens, T encoder positions.

    mel: (B, 80, 2 T); offsets: (B,) encoder positions that are taken to have gone before, cut away
    to save time; source: (R,) which window a description is of; inputs, targets: (R, L) token ids,
    targets IGNORE where nothing is learned; spans: (S, 4) of description, query, first and end
    position.
    """

    mel: Tensor
    offsets: Tensor
    source: Tensor
    inputs: Tensor
    targets: Tensor
    spans: Tensor


class LogMel:
    """Whisper's log-mel spectrogram of a batch."""

    def __init__(self) -> None:
        self._filters = mel_filters("cpu", MELS)
        self._window = torch.hann_window(FFT)

    def __call__(self, audio: Tensor) -> Tensor:
        """Audio (B, samples) -> (B, 80, samples / 160)."""
        stft = torch.stft(audio, FFT, HOP, window=self._window, return_complex=True)
        mel = self._filters @ (stft[..., :-1].abs() ** 2)
        log = mel.clamp(min=1e-10).log10()
        log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (log + 4.0) / 4.0


def collate(
    windows: Sequence[Window], seconds: float, log_mel: LogMel, offsets: Sequence[int] = ()
) -> Batch:
    """Windows of one length as tensors, at the given offsets in positions (else none)."""
    offsets = list(offsets) or [0] * len(windows)
    described = [(i, d) for i, w in enumerate(windows) for d in w.descriptions]
    longest = max(len(d.tokens) for _, d in described) - 1
    inputs = torch.full((len(described), longest), EOT)
    targets = torch.full((len(described), longest), IGNORE)
    mel = log_mel(torch.from_numpy(np.stack([w.audio for w in windows])))
    for i, w in enumerate(windows):
        if w.mel_padding:  # some programs pad the spectrogram with zeros, not the sound
            mel[i, :, w.filled // HOP :] = 0.0
    positions = round(seconds / POSITION_S)
    spans: list[tuple[int, int, int, int]] = []
    for row, (i, d) in enumerate(described):
        tokens = torch.tensor(d.tokens)
        timed = tokens >= TIME0
        timed[: d.prompt_length] = False
        tokens[timed] += offsets[i]
        inputs[row, : len(tokens) - 1] = tokens[:-1]
        targets[row, d.prompt_length : len(tokens) - 1] = tokens[d.prompt_length + 1 :]
        for span in d.spans:
            first = min(max(round(span.start / POSITION_S), 0), positions - 1)
            end = min(max(round(span.end / POSITION_S), first + 1), positions)
            spans.append((row, span.position - 1, first, end))
    table = torch.tensor(spans, dtype=torch.long).reshape(-1, 4)
    source = torch.tensor([i for i, _ in described])
    return Batch(mel, torch.tensor(offsets), source, inputs, targets, table)


def by_language(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances by language code."""
    return {c: [u for u in utterances if u.language == c] for c in corpus.LANGUAGES}


class BatchMaker:
    """Makes batches of all shards in a folder; shards that appear later are used too.

    Makers of the same seed draw windows of the same lengths, so that processes that train
    together take equally long; what is in the windows differs by rank.
    """

    def __init__(self, folder: Path, batch_s: float, seed: int, rank: int) -> None:
        self._folder, self._batch_s = folder, batch_s
        self._lengths_rng = np.random.default_rng(seed)
        pools: dict[str, list[Utterance]] = {c: [] for c in corpus.LANGUAGES}
        self._maker = WindowMaker(pools, np.random.default_rng((seed, rank)), Recipe())
        self._offset_rng = np.random.default_rng((seed, rank, 1))
        self._loaded: set[Path] = set()
        self._looked, self._log_mel = -math.inf, LogMel()

    def _look(self) -> None:
        if time.monotonic() - self._looked < _LOOK_FOR_SHARDS_S:
            return
        self._looked = time.monotonic()
        found = {p for p in self._folder.glob("*.npz") if ".partial" not in p.name} - self._loaded
        for path in sorted(found):
            for language, more in by_language(load_shard(path)).items():
                self._maker.pools[language] += more
        self._loaded |= found

    def _offsets(self, count: int, seconds: float) -> list[int]:
        """Where in 30 s a short window is taken to be; at the start in some."""
        latest = round((FULL_S - seconds) / POSITION_S) - 25
        if latest <= 0:
            return [0] * count
        chosen = self._offset_rng.integers(0, latest, count)
        kept = self._offset_rng.random(count) < MOVED
        return [int(c) if k else 0 for c, k in zip(chosen, kept, strict=True)]

    def next(self, warming: bool) -> Batch:
        """The next batch; while warming up, of short windows."""
        self._maker.recipe = Recipe(single=0.3, silent=0.03) if warming else Recipe()
        lengths = WARM_UP_LENGTHS_S if warming else LENGTHS_S
        seconds = float(self._lengths_rng.choice(list(lengths), p=list(lengths.values())))
        return self.make(seconds, max(round(self._batch_s / seconds), 1))

    def make(self, seconds: float, count: int) -> Batch:
        """So many windows of one length."""
        self._look()
        windows = [self._maker.window(seconds) for _ in range(count)]
        return collate(windows, seconds, self._log_mel, self._offsets(count, seconds))
