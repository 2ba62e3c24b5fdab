"""openai-whisper on PyTorch, one window after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import torch
import whisper

from benchmarks.contenders.contract import LANGUAGE, Served, samples_of, serve_by_pool
from benchmarks.messages import BurstJob, Clip, FileJob


def make(model: str, cores: int, *, device: str = "cpu") -> OpenAiWhisper:
    """Load a checkpoint."""
    torch.set_num_threads(cores)
    return OpenAiWhisper(whisper.load_model(model, device=device), half=device != "cpu")


class OpenAiWhisper:
    """A loaded model. Recordings are decoded with PyAV, so that no ffmpeg is needed."""

    def __init__(self, model: Any, *, half: bool) -> None:
        self._model = model
        self._half = half

    def versions(self) -> dict[str, str]:
        """Of openai-whisper and PyTorch."""
        return {name: version(name) for name in ("openai-whisper", "torch")}

    def remark(self) -> str:
        """The number format."""
        return "float16" if self._half else "float32"

    def file(self, job: FileJob) -> Iterator[int]:
        """All windows come together, at the end."""
        yield from self._counts(job.path, job.tokens, job.clips)

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """One request after the other."""
        return serve_by_pool(lambda path: self._counts(path, job.tokens, ()), job.paths, 1)

    def close(self) -> None:
        """Nothing: the process ends."""

    def _counts(self, path: str, tokens: int, clips: Sequence[Clip]) -> list[int]:
        found = self._model.transcribe(
            samples_of(path),
            language=LANGUAGE,
            temperature=0.0,
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=None,
            condition_on_previous_text=False,
            without_timestamps=True,
            sample_len=tokens,
            fp16=self._half,
            verbose=None,
            clip_timestamps=[moment for clip in clips for moment in clip] or "0",
        )
        return [len(segment["tokens"]) for segment in found["segments"]]
