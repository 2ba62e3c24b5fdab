"""OpenVINO GenAI's Whisper pipeline, one window after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import openvino_genai

from benchmarks.contenders.contract import LANGUAGE, Served, samples_of, serve_by_pool, windows_of
from benchmarks.messages import BurstJob, FileJob


def make(model: str, cores: int) -> OpenVinoGenAi:
    """Load an OpenVINO folder."""
    return OpenVinoGenAi(openvino_genai.WhisperPipeline(model, "CPU", INFERENCE_NUM_THREADS=cores))


class OpenVinoGenAi:
    """A loaded model. Recordings are decoded with PyAV."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def versions(self) -> dict[str, str]:
        """Of OpenVINO."""
        return {"openvino-genai": version("openvino-genai")}

    def remark(self) -> str:
        """The number format of the weights."""
        return "int8 weights"

    def file(self, job: FileJob) -> Iterator[int]:
        """Window after window, each a call."""
        for window in windows_of(samples_of(job.path), job.clips):
            yield self._count(window, job.tokens)

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """One request after the other: a pipeline decodes one at a time."""

        def transcribe(path: str) -> list[int]:
            return [self._count(window, job.tokens) for window in windows_of(samples_of(path), ())]

        return serve_by_pool(transcribe, job.paths, 1)

    def close(self) -> None:
        """Nothing: the process ends."""

    def _count(self, window: Any, tokens: int) -> int:
        found = self._pipeline.generate(
            window.tolist(),
            language=f"<|{LANGUAGE}|>",
            task="transcribe",
            return_timestamps=False,
            max_new_tokens=tokens,
        )
        return int(found.perf_metrics.get_num_generated_tokens())
