"""Error rates and greedy decoding, for training's own reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from model import Whisper
from tokens import EOT
from torch import Tensor


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance between two sequences."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, 1):
        last, row[0] = row[0], i
        for j, h in enumerate(hypothesis, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (r != h))
    return row[-1]


def units(text: str, language: str) -> list[str]:
    """What errors are counted in: words for English, characters (without spaces) otherwise."""
    return text.split() if language == "en" else list(text.replace(" ", ""))


@dataclass
class ErrorRate:
    """Errors summed over many texts."""

    wrong: int = 0
    total: int = 0

    def add(self, reference: str, hypothesis: str, language: str) -> int:
        """Count one text; returns its errors."""
        expected = units(reference, language)
        wrong = edit_distance(expected, units(hypothesis, language))
        self.wrong += wrong
        self.total += len(expected)
        return wrong

    @property
    def rate(self) -> float:
        """Errors per reference unit."""
        return self.wrong / max(self.total, 1)


@torch.inference_mode()
def greedy(model: Whisper, mel: Tensor, prompt: Sequence[int], limit: int = 140) -> list[list[int]]:
    """Mel (B, 80, F) -> for each row the most likely tokens after the prompt, to <|endoftext|>."""
    memory = model.encode(mel)
    tokens = torch.tensor([list(prompt)] * mel.shape[0])
    done = torch.zeros(mel.shape[0], dtype=torch.bool)
    for _ in range(limit):
        best = model.decode(tokens, memory)[:, -1, :-1].argmax(-1)
        token = torch.where(done, EOT, model.used[best])
        tokens, done = torch.cat([tokens, token[:, None]], 1), done | (token == EOT)
        if done.all():
            break
    return [[t for t in row[len(prompt) :].tolist() if t != EOT] for row in tokens]
