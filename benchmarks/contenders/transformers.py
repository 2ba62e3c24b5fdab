"""Whisper of transformers on PyTorch, windows in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from benchmarks.contenders.contract import LANGUAGE, Served, samples_of, serve_by_pool, windows_of
from benchmarks.messages import BurstJob, FileJob
from benchmarks.random_weights import END_OF_TEXT
from verbatim.domain.units import SAMPLE_RATE_HZ

BATCH_WINDOWS: Final = 8


def make(
    model: str, cores: int, *, number_format: str = "float32", device: str = "cpu"
) -> Transformers:
    """Load a folder in a number format of PyTorch's."""
    torch.set_num_threads(cores)
    loaded = WhisperForConditionalGeneration.from_pretrained(
        model, dtype=getattr(torch, number_format), attn_implementation="sdpa"
    )
    features = WhisperFeatureExtractor.from_pretrained(model)
    return Transformers(loaded.to(device).eval(), features)


class Transformers:
    """A loaded model. Recordings are decoded with PyAV."""

    def __init__(self, model: Any, features: Any) -> None:
        self._model = model
        self._features = features

    def versions(self) -> dict[str, str]:
        """Of transformers and PyTorch."""
        return {name: version(name) for name in ("transformers", "torch")}

    def remark(self) -> str:
        """The number format."""
        return str(self._model.dtype).removeprefix("torch.")

    def file(self, job: FileJob) -> Iterator[int]:
        """Batch after batch."""
        windows = windows_of(samples_of(job.path), job.clips)
        for first in range(0, len(windows), BATCH_WINDOWS):
            yield from self._counts(windows[first : first + BATCH_WINDOWS], job.tokens)

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """One request after the other."""

        def transcribe(path: str) -> list[int]:
            return self._counts(windows_of(samples_of(path), ()), job.tokens)

        return serve_by_pool(transcribe, job.paths, 1)

    def close(self) -> None:
        """Nothing: the process ends."""

    def _counts(self, windows: Sequence[Any], tokens: int) -> list[int]:
        found = self._features(
            list(windows), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
        ).input_features
        with torch.inference_mode():
            rows = self._model.generate(
                found.to(self._model.device, self._model.dtype),
                language=LANGUAGE,
                task="transcribe",
                return_timestamps=False,
                max_new_tokens=tokens,
                num_beams=1,
                do_sample=False,
            )
        return [int((row < END_OF_TEXT).sum()) for row in rows]
