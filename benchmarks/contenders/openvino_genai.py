"""OpenVINO GenAI's Whisper pipeline, one window after another."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import openvino_genai
from numpy.typing import NDArray

from benchmarks.contenders.contract import LANGUAGE
from benchmarks.contenders.one_at_a_time import OneAtATime


def make(model: str, cores: int) -> OpenVinoGenAi:
    """Load an OpenVINO folder."""
    return OpenVinoGenAi(openvino_genai.WhisperPipeline(model, "CPU", INFERENCE_NUM_THREADS=cores))


class OpenVinoGenAi(OneAtATime):
    """A loaded model."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def versions(self) -> dict[str, str]:
        """Of OpenVINO."""
        return {"openvino-genai": version("openvino-genai")}

    def remark(self) -> str:
        """The number format of the weights."""
        return "int8 weights"

    def close(self) -> None:
        """Nothing: the process ends."""

    def count(self, window: NDArray[np.float32], tokens: int) -> int:
        """Tokens of a window."""
        found = self._pipeline.generate(
            window.tolist(),
            language=f"<|{LANGUAGE}|>",
            task="transcribe",
            return_timestamps=False,
            max_new_tokens=tokens,
        )
        return int(found.perf_metrics.get_num_generated_tokens())
